"""Rotation that is safe: the shape of a real outage, replayed."""
import json

from installation import ADMIT, REVOKED, until


def last_edges(tollgate, token):
    return {use["edge"] for use in tollgate.cli("token", "get", token).get("edge_uses", [])}


def test_the_replacement_reached_the_development_worker_only(tollgate):
    tollgate.start_service()
    dev = tollgate.start_validator("dev/worker-1")
    prod = tollgate.start_validator("production/worker-7")
    old, old_secret = tollgate.create("payments")
    assert tollgate.check(dev, old_secret) == ADMIT and tollgate.check(prod, old_secret) == ADMIT

    rotated = tollgate.cli("token", "rotate", old, "--retire-when-silent", "2s")
    new, new_secret = rotated["token"]["token_id"], rotated["token_string"]
    # The development worker switches; production is forgotten, and goes on with the old one.
    assert tollgate.check(dev, new_secret) == ADMIT
    until("the replacement is seen in use", lambda: last_edges(tollgate, new) == {"dev/worker-1"})

    def production_works():
        assert tollgate.check(prod, old_secret) == ADMIT, "production was broken by the rotation"
        return False

    # For three quiet periods production keeps using it: it must not retire by itself.
    for _ in range(3):
        try:
            until("never", production_works, patience=2)
        except AssertionError as end:
            assert "never" in str(end), end
    assert tollgate.cli("token", "get", old)["state"] == "retiring"

    refused = tollgate.cli("token", "retire", old, as_json=False, code=4)
    assert "production/worker-7" in refused.stderr, refused.stderr
    assert "--force" in refused.stderr
    assert tollgate.check(prod, old_secret) == ADMIT

    # Production is moved over: now, and only now, the old one retires by itself.
    assert tollgate.check(prod, new_secret) == ADMIT
    until("the old token retires by itself",
          lambda: tollgate.cli("token", "get", old)["state"] == "revoked")
    until("the edges know", lambda: tollgate.check(prod, old_secret) == REVOKED, patience=5)
    assert tollgate.check(prod, new_secret) == ADMIT


def test_a_replacement_never_seen_keeps_the_old_one(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    old, old_secret = tollgate.create("forgotten rotation")
    tollgate.cli("token", "rotate", old, "--retire-when-silent", "1s")
    refused = tollgate.cli("token", "retire", old, as_json=False, code=4)
    assert "never" in refused.stderr
    assert tollgate.check(edge, old_secret) == ADMIT
    tollgate.cli("token", "retire", old, "--force", "--wait")
    assert tollgate.check(edge, old_secret) == REVOKED


def test_a_lost_answer_is_no_dead_end(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    old, old_secret = tollgate.create("payments")
    assert tollgate.check(edge, old_secret) == ADMIT
    # The answer is lost, and its retry cannot show the value again: it says what can be done.
    lost = tollgate.cli("token", "rotate", old, "--retire-in", "1h", "--request-id", "r-1")["token"]["token_id"]
    retried = tollgate.cli("token", "rotate", old, "--retire-in", "1h", "--request-id", "r-1", code=4, as_json=False)
    assert f"token rotate workspaces/acme/tokens/{old} --again" in retried.stderr, retried.stderr
    refused = tollgate.cli("token", "rotate", old, code=4, as_json=False)
    assert "--again" in refused.stderr, refused.stderr
    again = tollgate.cli("token", "rotate", old, "--again")
    new, new_secret = again["token"]["token_id"], again["token_string"]
    assert again["given_up"]["token_id"] == lost and again["replaced"]["replaced_by"].endswith(new)
    assert again["replaced"]["retire_plan"].get("at_time"), "the plan stays"
    until("the one that nobody used goes", lambda: tollgate.cli("token", "get", lost)["state"] == "revoked")

    told = tollgate.cli("token", "rotate", old, "--replan", "--retire-when-silent", "1s", as_json=False).stdout
    assert "retires when silent for 1 s" in told, told
    assert tollgate.check(edge, old_secret) == ADMIT and tollgate.check(edge, new_secret) == ADMIT
    until("the old one retires by itself",
          lambda: tollgate.cli("token", "get", old)["state"] == "revoked")
    assert tollgate.check(edge, new_secret) == ADMIT

    # Taken back, while nobody uses the replacement; not after that.
    mistaken = tollgate.cli("token", "rotate", new, "--retire-in", "1h")["token"]["token_id"]
    told = tollgate.cli("token", "rotate", new, "--cancel", as_json=False).stdout
    assert new in told and "it is active" in told and mistaken in told, told
    until("the mistaken one goes",
          lambda: tollgate.cli("token", "get", mistaken)["state"] == "revoked")
    used = tollgate.cli("token", "rotate", new)
    assert tollgate.check(edge, used["token_string"]) == ADMIT
    until("its use is known", lambda: last_edges(tollgate, used["token"]["token_id"]))
    for how in ("--cancel", "--again"):
        refused = tollgate.cli("token", "rotate", new, how, code=4)
        assert json.loads(refused.stderr)["error"]["reason"] == "REPLACEMENT_IN_USE"
    tollgate.cli("token", "rotate", new, "--cancel", "--again", code=2)


def test_retire_at_a_time(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    old, old_secret = tollgate.create("overlap")
    tollgate.cli("token", "rotate", old, "--retire-in", "2s")
    assert tollgate.check(edge, old_secret) == ADMIT
    until("the overlap ends", lambda: tollgate.check(edge, old_secret) == REVOKED, patience=10)
    until("the sweep has committed it",
          lambda: tollgate.cli("token", "get", old)["state"] == "revoked")


def test_unused_since_finds_the_forgotten_ones_and_says_which_edge(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator("payments/edge-3")
    used, used_secret = tollgate.create("in daily use")
    forgotten, _ = tollgate.create("laptop of the intern")
    until("both are a second old", lambda: (tollgate.check(edge, used_secret) == ADMIT) and {
        token["token_id"] for token in tollgate.cli("token", "list", "--unused-for", "1s").get("tokens", [])
    } == {forgotten})
    shown = tollgate.cli("token", "list", "--edges", as_json=False).stdout
    assert "payments/edge-3" in shown
    assert last_edges(tollgate, used) == {"payments/edge-3"}
    assert last_edges(tollgate, forgotten) == set()
