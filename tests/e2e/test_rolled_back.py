"""R11: the store is put back to an older state under a validator that lives on."""
import json
import os
import shutil
import subprocess
import threading

import grpc
import pytest
from grpc_status_details import error_info
from installation import ADMIT, BIN, REVOKED, metric, until

ROLLED_BACK = 9
# So many writes are made before the validator has called. Without a journal a store that has caught up with what the
# validator saw cannot be told from the real one: here it is far from that.
MEANWHILE = 50


def put_back(copy, store):
    shutil.rmtree(store)
    shutil.copytree(copy, store)
    os.remove(f"{store}.mark")  # it would tell at once: here the validators are the only witnesses


def relaunch(service):
    """Starts it again at its old port, without waiting for anything."""
    port = service.ready["listen"][0].rsplit(":", 1)[1]
    service.arguments[service.arguments.index("--listen") + 1] = f"127.0.0.1:{port}"
    return service.launch()


def test_a_store_rolled_back_under_a_live_validator(tollgate, home):
    store, copy = os.path.join(home, "store"), os.path.join(home, "copy")
    tollgate.start_service("--no-journal", "--lease", "5s", "--ping-interval", "500ms")
    edge = tollgate.start_validator()
    _, good = tollgate.create("good")
    bad_id, bad = tollgate.create("revoked after the copy")
    assert tollgate.check(edge, good) == ADMIT and tollgate.check(edge, bad) == ADMIT
    assert tollgate.service.stop() == 0
    shutil.copytree(store, copy)  # revision N

    # It is written on: the validator sees all of it.
    tollgate.restart_service()
    writer = tollgate.client()
    writer.call("WorkspaceService/GetWorkspace", name="workspaces/acme")
    writer.method("TokenService/CreateToken")  # later there is nobody to describe it
    epoch = tollgate.service.ready["epoch"]
    until("the edge is back", lambda: tollgate.check(edge, good) == ADMIT)
    late = [tollgate.create(f"made after the copy {number}") for number in range(5)]
    # What has to be asked is answered once the stream is back: an answer of another term is not used.
    until("the stream is back", lambda: tollgate.check(edge, late[0][1]) == ADMIT)
    for _, secret in late:
        assert tollgate.check(edge, secret) == ADMIT
    for number in range(3 * MEANWHILE):
        writer.call("TokenService/CreateToken", parent="workspaces/acme", token={"label": f"further {number}"})
    seen = int(tollgate.cli("token", "revoke", bad_id, "--yes", "--wait")["revision"])
    assert tollgate.check(edge, bad) == REVOKED
    assert tollgate.service.stop() == 0
    put_back(copy, store)

    verdicts, stop = {}, threading.Event()
    client = tollgate.client(edge.socket)
    client.edge = edge.socket
    everyone = {"good": good, "bad": bad, **{f"late {number}": secret for number, (_, secret) in enumerate(late)}}

    def traffic():
        while not stop.is_set():
            for name, secret in everyone.items():
                verdicts.setdefault(name, set()).add(tollgate.check(edge, secret))

    written, refused = {}, []

    def write():
        """Whoever writes meanwhile is either told that it is done, and it is, or that it is not."""
        while len(written) < MEANWHILE and not stop.is_set():
            try:
                made = writer.call("TokenService/CreateToken", timeout=5, parent="workspaces/acme",
                                   token={"label": f"meanwhile {len(written)}"})
                written[made.token.token_id] = made.token_string
            except grpc.RpcError as error:
                refused.append(error)

    threads = [threading.Thread(target=traffic), threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    try:
        # The validator calls, and has seen more than there is: the service ends, with its reason.
        service = relaunch(tollgate.service)
        assert service.process.wait(timeout=30) == ROLLED_BACK, service.tail()
        told = [record for record in service.records() if record["level"] == "error" and "proof" in record]
        assert told and all("head" in record for record in told), service.tail()
        assert told[-1]["validator"] == "edge-1" and f"{seen}" in json.dumps(told[-1]["proof"]), told
        assert "tollgated new-epoch --store" in told[-1]["message"]
        # A supervisor's next starts do not serve it either, also with nobody calling: it is marked.
        assert os.path.exists(f"{store}.rolled-back")
        assert edge.process.poll() is None, edge.tail()
        for _ in range(2):
            tail_begins = os.path.getsize(service.log)
            service.launch()
            assert service.process.wait(timeout=30) == ROLLED_BACK, service.tail()
            with open(service.log, encoding="utf-8") as file:
                file.seek(tail_begins)
                assert "new-epoch" in file.read()
        # It granted no lease, so the validator's own runs out. It blames no token for it.
        until("the lease runs out", lambda: tollgate.check(edge, good)[0] == "UNAVAILABLE", patience=20)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for name in everyone:
        if name == "bad":
            assert verdicts[name] <= {REVOKED, ("UNAVAILABLE", "NO_LEASE")}, verdicts
        else:
            assert "DENY" not in {verdict for verdict, _ in verdicts[name]}, verdicts
    assert tollgate.check(edge, bad) == REVOKED, "what was final stays final"
    assert refused
    for error in refused:
        assert error.code() == grpc.StatusCode.UNAVAILABLE or error_info(error)[0] == "STORE_ROLLED_BACK", error

    # A new history begins. It has what was acknowledged, and knows no more of what went with the newer store.
    done = subprocess.run([os.path.join(BIN, "tollgated"), "new-epoch", "--store", store, "--without-journal"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    service.start()
    assert service.ready["epoch"] != epoch
    until("the edge follows the new history", lambda: tollgate.check(edge, good) == ADMIT, patience=20)
    for _, secret in late:
        assert tollgate.check(edge, secret) == ("DENY", "UNKNOWN"), "lost with the store, and now truly unknown"
    now = tollgate.client()
    for token, secret in written.items():
        assert now.call("TokenService/GetToken", name=f"workspaces/acme/tokens/{token}").token_id == token
        assert tollgate.check(edge, secret) == ADMIT


def test_nobody_stops_a_service_by_claiming_a_future_that_it_never_told(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    _, good = tollgate.create("good")
    epoch = tollgate.service.ready["epoch"]
    for claim, reason in [
            ({"epoch": epoch, "applied_revision": 1_000_000}, "REVISION_FROM_THE_FUTURE"),
            ({"epoch": "0" * 32, "applied_revision": 1}, "EPOCH_UNKNOWN")]:
        call = tollgate.client().stream("EdgeService/Follow", {"hello": {
            "validator_id": "claimer", "incarnation": "MDEyMzQ1Njc4OWFiY2RlZg==", **claim}})
        try:
            said = [message for message in call]
            raise AssertionError(f"the stream ended without an error, after {said}")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
            assert error_info(error)[0] == reason
    until("it is refused aloud", lambda: [
        record for record in tollgate.service.records()
        if record["level"] == "error" and record.get("validator") == "claimer"])
    assert tollgate.service.process.poll() is None, tollgate.service.tail()
    assert tollgate.check(edge, good) == ADMIT
    token, secret = tollgate.create("made after the claims")
    tollgate.cli("token", "revoke", token, "--yes", "--wait")
    assert tollgate.check(edge, secret) == REVOKED


@pytest.mark.parametrize("changes", [1, 2])
@pytest.mark.parametrize("validator", ["lives on", "is started again, with its state folder"])
def test_a_machine_that_was_put_back_by_little(tollgate, home, changes, validator):
    """Store, journal, mark and keys all go back together, by less than a start commits by itself."""
    state = os.path.join(home, "state")
    os.mkdir(state)
    tollgate.start_service("--lease", "5s", "--ping-interval", "500ms")
    edge = tollgate.start_validator("edge-1", "--state-dir", state)
    revoked = [tollgate.create(f"revoked after the copy {number}") for number in range(changes)]
    for _, secret in revoked:
        assert tollgate.check(edge, secret) == ADMIT
    copy = os.path.join(home, "copy")
    os.mkdir(copy)
    beside = [name for name in os.listdir(home) if name.startswith("store")]
    assert {"store", "store.keyring", "store.journal", "store.journal.mark", "store.seal"} <= set(beside)

    def carry(source, target):
        for name in beside:
            old, new = os.path.join(source, name), os.path.join(target, name)
            if os.path.isdir(old):
                shutil.rmtree(new, ignore_errors=True)
                shutil.copytree(old, new)
            else:
                shutil.copy2(old, new)

    carry(home, copy)  # while it runs, as a snapshot of the volume does
    for token, secret in revoked:
        assert tollgate.cli("token", "revoke", token, "--yes", "--wait")["receipt"]["state"] == "enforced"
        assert tollgate.check(edge, secret) == REVOKED
    tollgate.service.process.kill()
    tollgate.service.process.wait()
    carry(copy, home)
    if validator != "lives on":
        edge.process.kill()
        edge.process.wait()
        edge.launch()
        edge.wait_ready()
    service = relaunch(tollgate.service)

    def verdict(secret):
        try:
            return tollgate.check(edge, secret)[0]
        except grpc.RpcError:  # the connection to the process before
            return "UNAVAILABLE"

    while service.process.poll() is None:
        for _, secret in revoked:
            assert verdict(secret) != "ADMIT"
    assert service.process.returncode == ROLLED_BACK, service.tail()
    for _, secret in revoked:
        assert verdict(secret) != "ADMIT"
    # A supervisor's next start does not serve it either.
    assert service.launch().process.wait(timeout=30) == ROLLED_BACK, service.tail()


def test_validators_of_a_drill_are_taken_over_only_by_name(tollgate, home):
    """A validator that follows the history of a drill is refused by production, until that epoch is named."""
    store, drill = os.path.join(home, "store"), os.path.join(home, "drill")
    tollgate.start_service()
    _, secret = tollgate.create("good")
    port = tollgate.address.rsplit(":", 1)[1]
    assert tollgate.service.stop() == 0
    arguments = tollgate.service.arguments
    arguments[arguments.index("--listen") + 1] = f"127.0.0.1:{port}"

    def begin_new_epoch(of, *more):
        return subprocess.run([os.path.join(BIN, "tollgated"), "new-epoch", "--store", of, *more], check=True,
                              capture_output=True, text=True, timeout=60).stdout

    shutil.copytree(store, drill)
    shutil.copy2(f"{store}.keyring", f"{drill}.keyring")
    begin_new_epoch(drill, "--without-journal")
    arguments[arguments.index("--store") + 1] = drill
    epoch = tollgate.service.start().ready["epoch"]
    edge = tollgate.start_validator()
    assert tollgate.check(edge, secret) == ADMIT
    tollgate.service.kill()

    # Production comes up at the address of the drill.
    arguments[arguments.index("--store") + 1] = store
    tollgate.service.start()
    until("it is refused aloud", lambda: [record for record in edge.records()
                                          if "--accept-epoch" in json.dumps(record)], patience=150)
    assert metric(tollgate.metrics(edge), "tollgate_validator_following") == 0
    assert tollgate.service.stop() == 0
    begin_new_epoch(store, "--accept-epoch", epoch)
    tollgate.service.start()
    until("it is taken over", lambda: metric(tollgate.metrics(edge), "tollgate_validator_following") == 1, patience=150)
    until("it admits", lambda: tollgate.check(edge, secret) == ADMIT)
