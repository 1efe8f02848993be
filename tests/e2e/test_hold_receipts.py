"""A receipt tells what became of what tokens held open: how many have closed, and who has not answered."""
from installation import metric, until
from test_holds import holder  # noqa: F401 (a fixture)

EDGE = "payments/edge-3"


def numbers(receipt):
    """Of holds: open, closed, silent."""
    return tuple(int(receipt.get(f"holds_{kind}", 0)) for kind in ("open", "closed", "silent"))


def row(receipt):
    """The numbers of the only edge: in doubt, told, closed, silent."""
    rows = receipt.get("edge_holds", [])
    assert [each["edge"] for each in rows] in ([], [EDGE])
    return tuple(int(rows[0].get(kind, 0)) for kind in ("in_doubt", "told", "closed", "silent")) if rows else None


def milliseconds(receipt):
    return round(float(receipt["elapsed"].rstrip("s")) * 1000)


def test_ten_thousand_holds_end_and_who_does_not_answer_is_named(tollgate, holder):  # noqa: F811
    tollgate.start_service("--lease", "15s", "--ping-interval", "1s")
    edge = tollgate.start_validator(EDGE, "--max-holds", "30000")
    tokens = [tollgate.create(f"socket {i}") for i in range(5)]
    answering = [holder(edge, name=f"chat/web-{i}") for i in range(4)]
    silent = holder(edge, answers=False, name="chat/web-7")
    for client in answering:
        for (_, secret), count in zip(tokens, (500, 500, 500, 500, 490)):
            for _ in range(count):
                client.hold(secret)
    for _ in range(40):
        silent.hold(tokens[4][1])
    everybody = [*answering, silent]
    until("all are open", lambda: sum(len(client.open) for client in everybody) == 10_000)
    until("the service has heard of them", lambda: metric(
        tollgate.metrics(tollgate.service), "tollgate_holds_open") == 10_000)
    assert int(tollgate.cli("validators", "list")["validators"][0]["open_holds"]) == 10_000

    for client in answering:
        client.renew()
    answer = tollgate.cli("token", "revoke", tokens[0][0], "--yes", "--wait-holds")
    one = answer["receipt"]
    assert one["state"] == "enforced"
    assert numbers(one) == (0, 2_000, 0) and row(one) == (0, 0, 2_000, 0)
    until("their holders were told", lambda: all(len(client.ended) == 500 for client in answering))
    print(f"2,000 holds of one token: all closed {milliseconds(one)} ms after the commit")

    for client in everybody:
        client.renew()
    cohort = tollgate.cli("token", "revoke", "--all", "--yes", "--wait")
    revision = cohort["revision"]
    assert cohort["receipt"]["state"] == "enforced"
    receipt = until("all but one holder have answered", lambda: next(
        (r for r in [tollgate.cli("events", "wait", revision)] if row(r) == (0, 40, 7_960, 0)), None))
    assert numbers(receipt) == (40, 7_960, 0)
    assert receipt["edge_holds"][0]["unanswered"] == ["chat/web-7"]
    print(f"8,000 holds of a cohort: 7,960 seen closed {milliseconds(receipt)} ms after the commit")
    late = tollgate.cli("events", "wait", "--holds", revision, "--timeout", "100ms", as_json=False, code=6)
    assert "holds        7960 closed, 40 told and not answered (chat/web-7 at payments/edge-3)   " in late.stdout

    # Its word runs out with the lease at the latest, and until then somebody waits.
    receipt = tollgate.cli("events", "wait", "--holds", revision)
    assert numbers(receipt) == (0, 7_960, 40) and row(receipt) == (0, 0, 7_960, 40)
    assert receipt["edge_holds"][0]["unanswered"] == ["chat/web-7"]
    assert not receipt["edge_holds"][0].get("gone")
    assert sum(numbers(one)) + sum(numbers(receipt)) == 10_000
    assert not any(client.open for client in everybody)
    assert {reason for client in everybody for reason in client.ended.values()} == {"REVOKED"}
    assert sum(len(client.ended) for client in everybody) == 10_000
    told = tollgate.cli("events", "wait", revision, as_json=False).stdout
    assert "holds        7960 closed, 40 silent, their word has run out (chat/web-7 at payments/edge-3)\n" in told


def test_an_edge_that_dies_leaves_what_it_had_not_said_silent(tollgate, holder):  # noqa: F811
    tollgate.start_service("--lease", "4s", "--ping-interval", "300ms")
    edge = tollgate.start_validator(EDGE, "--max-holds", "1000")
    token, secret = tollgate.create("socket")
    client = holder(edge, answers=False, name="chat/web-7")
    for _ in range(3):
        client.hold(secret)
    until("they are open", lambda: len(client.open) == 3)
    client.renew()
    revision = tollgate.cli("token", "revoke", token, "--yes", "--wait")["revision"]
    until("they were told", lambda: row(tollgate.cli("events", "wait", revision)) == (0, 3, 0, 0))
    edge.kill()
    # As long as a holder may have a word of its that is good, they are open.
    assert numbers(tollgate.cli("events", "wait", revision)) == (3, 0, 0)
    receipt = tollgate.cli("events", "wait", "--holds", revision)
    assert numbers(receipt) == (0, 0, 3)
    assert receipt["edge_holds"][0]["gone"] and row(receipt) == (0, 3, 0, 0)
    assert receipt["edge_holds"][0]["unanswered"] == ["chat/web-7"]


def test_after_a_restart_of_the_service_edges_tell_of_their_holds_anew(tollgate, holder):  # noqa: F811
    tollgate.start_service("--lease", "10s", "--ping-interval", "300ms")
    edge = tollgate.start_validator(EDGE, "--max-holds", "1000")
    token, secret = tollgate.create("socket")
    client, silent = holder(edge), holder(edge, answers=False)
    client.hold(secret)
    silent.hold(secret)
    until("they are open", lambda: len(client.open) == 1 and len(silent.open) == 1)
    revision = tollgate.cli("token", "revoke", token, "--yes", "--wait")["revision"]
    until("one was closed", lambda: row(tollgate.cli("events", "wait", revision)) == (0, 1, 1, 0))
    tollgate.service.kill()
    tollgate.restart_service()
    receipt = tollgate.cli("events", "wait", "--holds", revision)
    assert receipt["state"] == "enforced"
    assert numbers(receipt) == (0, 1, 1)
    assert receipt["edge_holds"][0]["unanswered"] == ["unnamed"]
