"""Backups, and what a restore must not bring back."""
import os
import shutil
import subprocess

from installation import ADMIT, BIN, REVOKED, SUSPENDED, metric, until


def tollgated(*arguments, code=0):
    done = subprocess.run([os.path.join(BIN, "tollgated"), *arguments], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == code, f"tollgated {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def ends(program, code):
    assert program.process.wait(timeout=30) == code, program.tail()


def test_what_was_revoked_after_the_backup_stays_revoked(tollgate, home):
    store, backups = os.path.join(home, "store"), os.path.join(home, "backups")
    tollgate.start_service("--backup-dir", backups)
    edge = tollgate.start_validator()
    good_id, good = tollgate.create("good")
    bad_id, bad = tollgate.create("in a gist")
    off_id, off = tollgate.create("switched off")
    _, stolen = tollgate.create("on the stolen laptop", "--owner", "team-a")
    for secret in (good, bad, off, stolen):
        assert tollgate.check(edge, secret) == ADMIT

    backup = tollgate.cli("backup", "create", "--name", "before")
    assert backup["path"] == os.path.join(backups, "before") and int(backup["revision"]) >= 4
    again = tollgate.cli("backup", "create", "--name", "before", code=4)
    assert "exists" in again.stderr
    tollgate.cli("backup", "create", "--name", "../before", code=2)
    assert "revision" in tollgate.cli("backup", "create", as_json=False).stdout
    epoch = backup["epoch"]

    # The history goes on: what is made and what is revoked now is not in the backup.
    _, late = tollgate.create("made after the backup")
    tollgate.cli("token", "revoke", bad_id, "--yes", "--wait")
    tollgate.cli("token", "revoke", "--all", "--owner", "team-a", "--yes", "--wait")
    tollgate.cli("token", "suspend", off_id)
    assert tollgate.check(edge, late) == ADMIT
    for secret, verdict in ((bad, REVOKED), (stolen, REVOKED), (off, SUSPENDED)):
        until(f"the edge says {verdict}", lambda: tollgate.check(edge, secret) == verdict)

    # The disk with the store is lost. The journal was on another one.
    tollgate.service.kill()
    shutil.rmtree(store)
    journal = os.path.join(home, "elsewhere.journal")
    os.rename(f"{store}.journal", journal)
    restore = ["restore", "--from", backup["path"], "--store", store]
    refused = tollgated(*restore, code=2)
    assert "--without-journal" in refused.stderr and f"after revision {backup['revision']} (" in refused.stderr
    assert not os.path.exists(store)
    tollgated(*restore, "--journal", os.path.join(home, "none"), code=8)
    done = tollgated(*restore, "--journal", journal)
    assert "1 token ended, 1 cohort, 1 suspended" in done.stdout, done.stdout
    assert "Nothing is declared enforced for 10 minutes" in done.stdout
    tollgated(*restore, "--journal", journal, code=2)  # there is a store now

    tollgate.service.arguments += ["--journal", journal]
    tollgate.restart_service()
    assert tollgate.service.ready["epoch"] != epoch
    for words in ("the store was restored, or given a new epoch", "made a new sealing key"):
        assert [record for record in tollgate.service.records() if words in record["message"]
                and record["epoch"] == tollgate.service.ready["epoch"]], words
    # The same process at the edge starts clean: also what it held of the lost history is gone.
    until("the edge asks anew about what is lost", lambda: tollgate.check(edge, late)[0] == "DENY")
    assert tollgate.check(edge, late) == ("DENY", "UNKNOWN")
    for secret, verdict in ((good, ADMIT), (bad, REVOKED), (stolen, REVOKED), (off, SUSPENDED)):
        assert tollgate.check(edge, secret) == verdict
    _, fresh = tollgate.create("made after the restore", "--owner", "team-a")
    assert tollgate.check(edge, fresh) == ADMIT

    # It is off at once, but nothing is called enforced: leases of the lost history may be out there.
    held = tollgate.client().call("TokenService/RevokeToken", name=f"workspaces/acme/tokens/{good_id}",
                                  wait_enforced="1s").receipt
    assert held.state == 1 and "restore" in held.hold and 500 < held.hold_left.seconds <= 630, held  # PENDING
    until("the edge refuses", lambda: tollgate.check(edge, good) == REVOKED)
    tollgate.cli("audit", "verify", as_json=False)
    audit = tollgate.cli("audit", "list", as_json=False).stdout
    assert audit.count("restore.replay") == 3

    # Once more, from the same backup: both histories' revocations hold.
    assert tollgate.service.stop() == 0
    shutil.rmtree(store)
    assert "2 tokens ended" in tollgated(*restore, "--journal", journal).stdout
    tollgate.restart_service()
    # Until it has heard of the new epoch it answers by what it held, and then for a moment by nothing.
    until("the edge is back", lambda: [tollgate.check(edge, secret) for secret in (off, good, bad, stolen)]
          == [SUSPENDED, REVOKED, REVOKED, REVOKED])


def test_a_store_that_was_rolled_back_is_not_served(tollgate, home):
    store, backups = os.path.join(home, "store"), os.path.join(home, "backups")
    tollgate.start_service("--backup-dir", backups)
    edge = tollgate.start_validator()
    bad_id, bad = tollgate.create("bad")
    _, good = tollgate.create("good")
    backup = tollgate.cli("backup", "create")["path"]
    for number in range(5):
        tollgate.create(f"later {number}")
    tollgate.cli("token", "revoke", bad_id, "--yes", "--wait")
    assert tollgate.check(edge, bad) == REVOKED

    # Somebody puts the old copy in place by hand.
    assert tollgate.service.stop() == 0
    shutil.rmtree(store)
    shutil.copytree(backup, store)
    tollgate.service.launch()
    ends(tollgate.service, 9)  # the journal knows more than the store
    assert "tollgated new-epoch" in tollgate.service.tail()

    # Without a journal it takes a validator to notice: it has seen a later revision.
    tollgate.service.arguments.append("--no-journal")
    port = tollgate.address.rsplit(":", 1)[1]
    arguments = tollgate.service.arguments
    arguments[arguments.index("--listen") + 1] = f"127.0.0.1:{port}"
    tollgate.service.launch()
    ends(tollgate.service, 9)
    assert "new-epoch" in tollgate.service.tail()
    tollgate.service.launch()
    ends(tollgate.service, 9)  # a supervisor does not help: it is marked
    assert tollgate.check(edge, bad) != ADMIT

    arguments.remove("--no-journal")
    said = tollgated("new-epoch", "--store", store).stdout
    assert "1 token ended" in said, said
    tollgate.service.start()
    until("the edge is back", lambda: tollgate.check(edge, good) == ADMIT)
    assert tollgate.check(edge, bad) == REVOKED
    assert metric(tollgate.metrics(tollgate.service), "tollgate_store_rolled_back") == 0


def test_backups_are_refused_where_they_are_not_configured(tollgate):
    tollgate.start_service()
    refused = tollgate.cli("backup", "create", code=4)
    assert "--backup-dir" in refused.stderr
