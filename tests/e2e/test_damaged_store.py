"""A table of the store is damaged under a running service: it is told once, readiness follows, and nobody floods anything."""
import glob
import os
import threading

import grpc
import pytest
from installation import metric, until

TELLS = "the store is damaged"
PER_REQUEST = "a read of the store failed"


def damage(home):
    """Overwrites the beginning of every table, where its first block lies."""
    tables = glob.glob(os.path.join(home, "store", "*.sst"))
    assert tables
    for table in tables:
        with open(table, "r+b") as file:
            file.write(b"\xa5" * 48)


def test_a_table_that_is_damaged_while_it_serves(tollgate, home):
    service = tollgate.start_service("--drain-pause", "0s")
    token, secret = tollgate.create("one")
    assert service.stop() == 0
    service = tollgate.restart_service()  # what was in the log lies in tables now
    edge = tollgate.start_validator()
    client = tollgate.client()
    assert client.serving("readiness") and client.serving("")
    assert metric(tollgate.metrics(service), "tollgate_store_healthy") == 1
    damage(home)

    with pytest.raises(grpc.RpcError) as revoked:
        client.call("TokenService/RevokeToken", name=f"workspaces/acme/tokens/{token}")
    assert revoked.value.code() == grpc.StatusCode.DATA_LOSS, revoked.value
    until("readiness follows", lambda: not client.serving("readiness") and not client.serving(""))
    assert client.serving("liveness"), "a restart would help nobody"
    assert metric(tollgate.metrics(service), "tollgate_store_healthy") == 0
    told = until("it is told", lambda: [line for line in service.records() if line["message"].startswith(TELLS)])
    assert told[0]["level"] == "error" and ".sst" in told[0]["status"], told
    assert "restore a backup" in told[0]["advice"], told

    # Ten clients in a loop, at an edge that cannot know the token.
    checks = []

    def in_a_loop():
        for _ in range(100):
            checks.append(tollgate.check(edge, secret)[0])

    tollgate.check(edge, secret)  # its client is made once
    clients = [threading.Thread(target=in_a_loop) for _ in range(10)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    assert set(checks) == {"UNAVAILABLE"}, "nobody is accused of the service's damage (I7)"
    asked = metric(tollgate.metrics(service), "tollgate_rpcs_total", method="Resolve", code="DATA_LOSS")
    assert 1 <= asked <= 20, f"{len(checks)} checks made {asked} questions"
    for _ in range(200):  # somebody who does not pause
        with pytest.raises(grpc.RpcError):
            client.call("TokenService/GetToken", name=f"workspaces/acme/tokens/{token}")
    lines = [line["message"] for line in service.records() if line["level"] in ("warning", "error")]
    assert lines.count(PER_REQUEST) <= 5, lines
    assert len(lines) <= 20, lines

    assert service.stop() == 0
    sums = [line for line in service.records() if line["message"] == PER_REQUEST and "more_times" in line]
    assert sum(line["more_times"] for line in sums) >= 200, "what was left out is counted"
