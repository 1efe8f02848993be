"""A cohort of 100,000 tokens: one commit, one event, every one refused."""
import collections

from installation import metric, verdict

COUNT = 100_000
WINDOW = 400


def test_a_cohort_of_a_hundred_thousand(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    client = tollgate.client()
    waiting, secrets = collections.deque(), []
    for number in range(COUNT):
        waiting.append(client.future("TokenService/CreateToken", parent="workspaces/acme",
                                     token={"label": f"token {number}", "owner": "team-a"}))
        if len(waiting) >= WINDOW:
            secrets.append(waiting.popleft().result().token_string)
    secrets += [future.result().token_string for future in waiting]
    assert len(set(secrets)) == COUNT

    at_edge = tollgate.client(edge.socket)

    def verdicts():
        counts = collections.Counter()
        for begin in range(0, COUNT, 256):
            answer = at_edge.call("ValidationService/BatchValidate", timeout=60, requests=[
                {"token_string": secret} for secret in secrets[begin:begin + 256]])
            counts.update(verdict(response) for response in answer.responses)
        return counts

    assert verdicts() == {("ADMIT", "UNSPECIFIED"): COUNT}
    would = client.call("TokenService/RevokeTokens", parent="workspaces/acme", validate_only=True)
    assert would.token_count == COUNT and would.revision == 0
    head = int(metric(tollgate.metrics(tollgate.service), "tollgate_head_revision"))
    refused = None
    try:
        client.call("TokenService/RevokeTokens", parent="workspaces/acme", expected_count=str(COUNT - 1))
    except Exception as error:  # grpc.RpcError
        refused = error
    assert refused is not None and refused.code().name == "FAILED_PRECONDITION", refused
    done = client.call("TokenService/RevokeTokens", parent="workspaces/acme", expected_count=str(COUNT),
                       reason="a laptop was stolen", wait_enforced="60s")
    assert done.token_count == COUNT
    assert done.receipt.acknowledged == 1
    # One commit (a keep-alive of the store may lie between), and one event.
    assert head < done.revision <= head + 2
    events = tollgate.cli("events", "watch", "--after", str(done.revision - 1), "--count", "1")
    assert len(events["events"]) == 1 and "cohort_revoked" in events["events"][0]
    assert verdicts() == {("DENY", "REVOKED"): COUNT}
    # A token made afterwards is none of them.
    _, fresh = tollgate.create("made afterwards")
    assert tollgate.check(edge, fresh) == ("ADMIT", "UNSPECIFIED")
    # What a revocation says that it ended is counted with every commit; here all of them are read.
    sound = tollgate.cli("doctor", "store")
    assert (int(sound["tokens"]), int(sound["live_tokens"])) == (COUNT + 1, 1) and sound["faults"] == [], sound
