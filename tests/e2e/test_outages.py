"""What holds when processes die, hang and come back."""
import os
import resource
import signal
import socket
import threading

from installation import ADMIT, REVOKED, metric, until

UNAVAILABLE = "UNAVAILABLE"


def test_a_service_that_is_away_and_comes_back(tollgate):
    tollgate.start_service("--lease", "3s", "--ping-interval", "500ms")
    edge = tollgate.start_validator()
    token, secret = tollgate.create("outlives a crash")
    other, other_secret = tollgate.create("revoked meanwhile")
    assert tollgate.check(edge, secret) == ADMIT and tollgate.check(edge, other_secret) == ADMIT
    tollgate.cli("token", "revoke", other, "--yes", "--wait")
    assert tollgate.check(edge, other_secret) == REVOKED
    tollgate.service.kill()
    # Inside the lease it goes on; what it knows to be final stays final.
    assert tollgate.check(edge, secret) == ADMIT
    assert tollgate.check(edge, other_secret) == REVOKED
    # After it, it blames nobody.
    until("the lease runs out", lambda: tollgate.check(edge, secret)[0] == UNAVAILABLE, patience=10)
    tollgate.restart_service()
    until("the validator recovers by itself", lambda: tollgate.check(edge, secret) == ADMIT, patience=20)
    assert tollgate.check(edge, other_secret) == REVOKED
    # What was acknowledged is durable.
    assert tollgate.cli("token", "get", other)["state"] == "revoked"
    revoked = tollgate.cli("token", "revoke", token, "--yes", "--wait")
    assert revoked["receipt"]["state"] == "enforced"
    assert tollgate.check(edge, secret) == REVOKED


def test_a_restarted_service_answers_an_edges_first_question(tollgate):
    """Whatever the edge's pauses between its tries have grown to: the first answer ends them."""
    tollgate.start_service("--lease", "60s")
    edge = tollgate.start_validator("edge-1", "--resolve-timeout", "20s")
    tollgate.service.kill()
    until("the pauses have grown",
          lambda: metric(tollgate.metrics(edge), "tollgate_validator_reconnects_total") >= 6)
    tollgate.restart_service()
    _, secret = tollgate.create("made while the edge was away")
    assert tollgate.check(edge, secret) == ADMIT


def test_a_stopped_validator_is_waited_for_and_admits_nothing_when_it_wakes(tollgate):
    tollgate.start_service("--lease", "3s", "--ping-interval", "500ms", "--ack-limit", "1s")
    awake = tollgate.start_validator("awake")
    asleep = tollgate.start_validator("asleep")
    token, secret = tollgate.create("revoked while one sleeps")
    assert tollgate.check(awake, secret) == ADMIT and tollgate.check(asleep, secret) == ADMIT
    asleep.signal(signal.SIGSTOP)
    # Not in time: the receipt says who is pending; the revocation stays done.
    early = tollgate.cli("token", "revoke", token, "--yes", "--wait", "--wait-timeout", "200ms", code=6)
    assert early["receipt"]["state"] == "pending"
    assert [pending["validator"] for pending in early["receipt"]["pending"]] == ["asleep"]
    assert tollgate.check(awake, secret) == REVOKED
    receipt = tollgate.cli("events", "wait", str(early["revision"]), "--timeout", "15s")
    assert receipt["state"] == "enforced" and receipt["lapsed"] == 1
    # It wakes after the receipt, with the token still in its memory: no admit, whatever it believes.
    results = []
    threads = [threading.Thread(target=lambda: results.append(tollgate.check(asleep, secret)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    asleep.signal(signal.SIGCONT)
    for thread in threads:
        thread.join()
    assert "ADMIT" not in results, results
    until("it is back", lambda: tollgate.check(asleep, secret) == REVOKED, patience=20)


def test_a_validator_that_says_goodbye_costs_no_lease(tollgate):
    tollgate.start_service()
    stays = tollgate.start_validator("stays")
    goes = tollgate.start_validator("goes")
    token, secret = tollgate.create("after a rollout")
    assert tollgate.check(stays, secret) == ADMIT and tollgate.check(goes, secret) == ADMIT
    assert goes.stop() == 0
    revoked = tollgate.cli("token", "revoke", token, "--yes", "--wait", "--wait-timeout", "5s")
    assert revoked["receipt"]["state"] == "enforced"


def test_out_of_descriptors_and_back(tollgate):
    service = tollgate.start_service()
    client = tollgate.client()
    client.call("TokenService/CreateToken", parent="workspaces/acme", token={"label": "before"})
    in_use = len(os.listdir(f"/proc/{service.process.pid}/fd"))
    limit = in_use + 40
    resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    host, port = tollgate.address.rsplit(":", 1)
    idle = []
    try:
        for _ in range(200):
            idle.append(socket.create_connection((host, int(port)), timeout=5))
        until("every descriptor is taken", lambda: len(os.listdir(f"/proc/{service.process.pid}/fd")) >= limit - 1)
        # Who was there before is served on.
        client.call("TokenService/CreateToken", parent="workspaces/acme", token={"label": "meanwhile"})
    finally:
        for connection in idle:
            connection.close()
    # Somebody new is served again, by itself; the first may still be turned away.
    def served():
        try:
            return tollgate.cli("token", "list", "--timeout", "2s").get("tokens")
        except AssertionError as turned_away:
            assert '"NOT_REACHED"' in str(turned_away) or '"CONNECTION_CLOSED"' in str(turned_away), turned_away
            return False

    until("a new connection is served", served, patience=20)


def test_both_drain_on_sigterm(tollgate):
    service = tollgate.start_service()
    edge = tollgate.start_validator()
    assert edge.stop() == 0
    assert service.stop() == 0
