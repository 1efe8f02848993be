"""A disk that stops answering: it is told, readiness follows, a stop is bounded, and nothing that was acknowledged is lost."""
import os
import shutil

import grpc
import pytest
from bad_disk import Disk
from installation import ADMIT, REVOKED, metric, until

STOP_OVERDUE = 71
ROLLED_BACK = 9
QUICK_STOP = ("--drain-pause", "0s", "--drain-timeout", "1s")


@pytest.fixture
def disk(home):
    return Disk(home)


def said(program, message, **fields):
    """The lines that begin so, and have these beginnings of fields."""
    return [record for record in program.records()
            if record["message"].startswith(message)
            and all(str(record.get(name, "")).startswith(value) for name, value in fields.items())]


def revoke(tollgate, token):
    return tollgate.client().future("TokenService/RevokeToken", name=f"workspaces/acme/tokens/{token}")


@pytest.mark.parametrize("where, what", [
    ("sync store/", "a commit"),
    ("sync store.journal", "a write to the journal"),
    ("write store.journal", "a write to the journal"),
    ("write store.journal.mark", "a write of the head mark"),
])
def test_a_write_that_hangs(tollgate, disk, where, what):
    service = tollgate.start_service("--disk-hang-limit", "3s", *QUICK_STOP, environment=disk.environment)
    edge = tollgate.start_validator()
    token, secret = tollgate.create("one")
    assert tollgate.check(edge, secret) == ADMIT
    client = tollgate.client()
    assert client.serving("readiness") and client.serving("")

    disk.hang(where)
    under_way = revoke(tollgate, token)
    line = until("it is told", lambda: said(service, "the disk is slow", what=what))[0]
    assert line["level"] == "warning" and line["for_seconds"] >= 2, line
    assert line["where"].startswith(os.path.join(disk.home, "store"))
    until("readiness follows", lambda: not client.serving("readiness"))
    assert not client.serving("") and client.serving("liveness")
    assert tollgate.probe(service, "/readyz") == 503 and tollgate.probe(service, "/livez") == 200
    metrics = tollgate.metrics(service)
    assert metric(metrics, "tollgate_store_healthy") == 0
    assert metric(metrics, "tollgate_disk_wait_seconds", work="write") >= 3
    until("it is told again", lambda: len(said(service, "the disk is slow", what=what)) >= 2)
    assert said(service, "the disk hangs", what=what)
    assert not under_way.done()

    disk.answer()
    under_way.result()
    until("its end is told", lambda: said(service, "the disk has answered", what=what))
    until("readiness is back", lambda: client.serving("readiness") and client.serving(""))
    assert tollgate.probe(service, "/readyz") == 200
    assert metric(tollgate.metrics(service), "tollgate_store_healthy") == 1
    until("the edge has heard", lambda: tollgate.check(edge, secret) == REVOKED)
    assert service.stop() == 0


@pytest.mark.parametrize("where", ["sync store/", "sync store.journal", "write store.journal.mark"])
def test_a_stop_on_a_disk_that_hangs_is_bounded(tollgate, disk, where):
    service = tollgate.start_service(*QUICK_STOP, environment=disk.environment)
    edge = tollgate.start_validator()
    token, secret = tollgate.create("one")
    other, other_secret = tollgate.create("two")
    tollgate.cli("token", "revoke", other, "--yes", "--wait")
    disk.hang(where)
    under_way = revoke(tollgate, token)
    until("it is told", lambda: said(service, "the disk is slow"))
    service.signal(15)
    # The drain's second, and five for the store's last writes; the rest is the machine's load.
    assert service.process.wait(timeout=60) == STOP_OVERDUE, service.tail()
    with pytest.raises(grpc.RpcError):
        under_way.result()
    last = service.records()[-1]
    assert last["level"] == "error" and last["message"].startswith("stopping takes too long"), last
    assert "store" in last["waits_for"], last

    disk.answer()
    tollgate.restart_service()
    until("the edge is back", lambda: tollgate.check(edge, other_secret) == REVOKED)
    # It was never acknowledged, so either is right; once it is, it is off.
    tollgate.cli("token", "revoke", token, "--yes", "--wait")
    assert tollgate.check(edge, secret) == REVOKED
    tollgate.cli("audit", "verify", as_json=False)


@pytest.mark.parametrize("where, what", [
    ("open store/CURRENT", "opening the store"),
    ("sync store/", "opening the store"),
    ("sync store.journal", "a write to the journal"),
    ("sync store.keyring", "opening the keyring"),
    ("sync store.seal", "opening the sealing key"),
])
def test_a_start_that_hangs_says_so_and_can_be_ended(tollgate, disk, where, what):
    disk.hang(where)
    service = tollgate.prepare_service(*QUICK_STOP, environment=disk.environment)
    service.launch()
    until("it is told", lambda: said(service, "the disk is", what=what))
    service.signal(15)
    assert service.process.wait(timeout=60) == STOP_OVERDUE, service.tail()
    disk.answer()
    service.start()
    assert not os.path.exists(os.path.join(disk.home, "store.rolled-back"))
    assert service.stop() == 0


def test_a_read_that_hangs(tollgate, disk):
    service = tollgate.start_service("--disk-hang-limit", "1s", *QUICK_STOP, environment=disk.environment)
    token, _ = tollgate.create("one")
    # A start brings what the log holds into files, so that a first look goes to the disk.
    assert service.stop() == 0
    service = tollgate.restart_service()
    client = tollgate.client()
    client.method("TokenService/GetToken")  # the reflection, while nothing hangs
    disk.hang("read store/")
    under_way = client.future("TokenService/GetToken", name=f"workspaces/acme/tokens/{token}")
    until("it is told", lambda: said(service, "the disk is slow", what="a read of the store"))
    until("readiness follows", lambda: not client.serving("readiness"))
    disk.answer()
    assert under_way.result().token_id == token
    until("readiness is back", lambda: client.serving("readiness"))


def test_a_backup_that_hangs_holds_nothing_up(tollgate, disk):
    service = tollgate.start_service("--backup-dir", os.path.join(disk.home, "backups"),
                                     "--disk-hang-limit", "1s", *QUICK_STOP, environment=disk.environment)
    client = tollgate.client()
    client.method("OperationsService/CreateBackup")
    disk.hang("sync backups/", "write backups/")
    backup = client.future("OperationsService/CreateBackup", directory_name="b")
    until("it is told", lambda: said(service, "the disk is at work", what="a copy of the store"))
    assert said(service, "the disk is at work")[0]["where"] == os.path.join(disk.home, "backups")
    tollgate.create("meanwhile")
    assert client.serving("readiness"), "who serves is not concerned"
    disk.answer()
    backup.result()
    assert service.stop() == 0


def test_a_roll_back_that_is_found_out_on_a_disk_that_hangs(tollgate, disk, home):
    store, copy = os.path.join(home, "store"), os.path.join(home, "copy")
    service = tollgate.start_service("--no-journal", *QUICK_STOP, environment=disk.environment)
    edge = tollgate.start_validator()
    assert service.stop() == 0
    shutil.copytree(store, copy)
    tollgate.restart_service()
    token, secret = tollgate.create("made after the copy")
    until("the edge has heard", lambda: tollgate.check(edge, secret) == ADMIT)
    tollgate.cli("token", "revoke", token, "--yes", "--wait")
    assert service.stop() == 0
    shutil.rmtree(store)
    shutil.copytree(copy, store)
    os.remove(f"{store}.mark")  # it would tell at once: here the validator is the only witness

    disk.hang("sync store.rolled-back")
    port = service.ready["listen"][0].rsplit(":", 1)[1]
    service.arguments[service.arguments.index("--listen") + 1] = f"127.0.0.1:{port}"
    service.launch()
    # Not NOT_SERVING for ever: the mark gets its five seconds.
    assert service.process.wait(timeout=60) == ROLLED_BACK, service.tail()
    assert said(service, "cannot mark the store", mark=f"{store}.rolled-back"), service.tail()
