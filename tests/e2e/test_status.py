"""What an operator asks first: how service, store, backups, fleet and clock stand."""
import os
import re

from bad_disk import Disk
from installation import until

SHORT = ("--lease", "3s", "--ping-interval", "500ms", "--ack-limit", "1s")


def text(tollgate):
    return tollgate.cli("status", as_json=False).stdout


def test_it_follows_what_happens(tollgate):
    tollgate.start_service(*SHORT, "--backup-dir", os.path.join(tollgate.home, "backups"))
    shown = text(tollgate)
    assert re.match(r"service    \d+\.\d+\.\d+ at \S+, up \d+ s\n", shown), shown
    for words in ("no live token", "backup     none yet; make one:  tollgate backup create\n",
                  "fleet      no validators\n", "clock      trusted; edges: none tells"):
        assert words in shown, shown
    edge = tollgate.start_validator("payments/edge-1")
    for label in ("one", "two"):
        tollgate.create(label)
    revision = tollgate.cli("backup", "create", "--name", "b")["revision"]
    until("the edge is in sync", lambda: "fleet      1 validator: 1 in sync\n" in text(tollgate))
    shown = text(tollgate)
    assert "2 live tokens in 1 workspace\n" in shown, shown
    assert re.search(r"backup     (just now|\d+ s ago): \S+/backups/b\n", shown), shown
    assert int(re.search(r"revision (\d+), epoch [0-9a-f]{8}…", shown)[1]) >= int(revision)
    # It dies, and is named for what it is.
    edge.kill()
    until("it is named", lambda: "to look at: payments/edge-1 lapsed   tollgate validators list --problems\n" in text(tollgate))
    told = tollgate.cli("status")
    assert told["ready"] and told["fleet"]["validators"][0]["validator_id"] == "payments/edge-1"
    assert int(told["store"]["size_bytes"]) > 0 and told["backup"]["newest_path"].endswith("/backups/b")
    assert tollgate.cli("status", "-q", as_json=False).stdout == ""


def test_a_store_that_does_not_answer_is_told_at_once(tollgate, home):
    disk = Disk(home)
    tollgate.start_service("--disk-hang-limit", "3s", "--drain-pause", "0s", "--drain-timeout", "1s",
                           environment=disk.environment)
    token, _ = tollgate.create("one")
    disk.hang("sync store/")
    under_way = tollgate.client().future("TokenService/RevokeToken", name=f"workspaces/acme/tokens/{token}")
    until("it is told", lambda: "TROUBLE: the disk: a commit in " in text(tollgate))
    until("it is not ready", lambda: ", NOT READY\n" in text(tollgate))
    assert "backup     the service was not told where backups go" in text(tollgate)
    disk.answer()
    under_way.result()
    until("all is well again", lambda: "TROUBLE" not in text(tollgate) and "NOT READY" not in text(tollgate))


def test_a_service_that_is_not_there_has_its_exit_code(tollgate):
    service = tollgate.start_service()
    service.kill()
    assert "unavailable: " in tollgate.cli("status", code=5, as_json=False).stderr
