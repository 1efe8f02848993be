"""A disk, or a file, that takes no more: the process ends in order (R7), and loses nothing it has acknowledged."""
import os
import resource

import grpc
from installation import ADMIT, REVOKED, until

WRITE_FAILED = 70


def largest(folder, suffix):
    return max(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(suffix))


def limit_files(program, size):
    """From here on no file of this process can grow above `size` bytes: EFBIG, where a full disk says ENOSPC."""
    resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (size, size))


def ended_because_of_the_disk(service):
    assert service.process.wait(timeout=30) == WRITE_FAILED, service.tail()
    errors = [record for record in service.records() if record["level"] == "error"]
    assert len(errors) == 1, errors
    assert errors[0]["message"] == "a store write failed: the process ends (R7)"
    assert "File too large" in errors[0]["status"], errors
    return errors[0]["status"]


def test_the_store_takes_no_more(tollgate, home):
    service = tollgate.start_service("--lease", "3s", "--ping-interval", "500ms")
    edge = tollgate.start_validator()
    token, secret = tollgate.create("before")
    bad, bad_secret = tollgate.create("revoked before")
    tollgate.cli("token", "revoke", bad, "--yes", "--wait")
    assert tollgate.check(edge, secret) == ADMIT and tollgate.check(edge, bad_secret) == REVOKED

    limit_files(service, largest(os.path.join(home, "store"), ".log") + (64 << 10))
    client = tollgate.client()
    acknowledged, error = {}, None
    for number in range(20_000):
        try:
            made = client.call("TokenService/CreateToken", parent="workspaces/acme",
                               token={"label": f"{number}: " + "x" * 150})
        except grpc.RpcError as caught:
            error = caught
            break
        acknowledged[made.token.token_id] = made.token_string
    assert error is not None and error.code() == grpc.StatusCode.UNAVAILABLE, error
    assert acknowledged, "the limit left no room for a single write"
    ended_because_of_the_disk(service)
    # The edge goes on inside its lease, and then blames nobody.
    assert tollgate.check(edge, bad_secret) == REVOKED
    until("the lease runs out", lambda: tollgate.check(edge, secret)[0] == "UNAVAILABLE", patience=20)

    tollgate.restart_service()  # the new process has no limit
    tokens = {}
    page = ""
    client = tollgate.client()
    while True:
        answer = client.call("TokenService/ListTokens", parent="workspaces/acme", page_size=500, page_token=page)
        tokens.update({listed.token_id: listed for listed in answer.tokens})
        page = answer.next_page_token
        if not page:
            break
    lost = set(acknowledged) - set(tokens)
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged tokens are gone"
    # The one whose answer never came may be there or not; nothing else may.
    assert len(set(tokens) - set(acknowledged) - {token, bad}) <= 1
    until("the edge is back", lambda: tollgate.check(edge, secret) == ADMIT, patience=20)
    assert tollgate.check(edge, bad_secret) == REVOKED
    for made in list(acknowledged)[-3:]:
        assert tollgate.check(edge, acknowledged[made]) == ADMIT
    tollgate.cli("audit", "verify", as_json=False)
    # Writing goes on.
    tollgate.cli("token", "revoke", token, "--yes", "--wait")
    assert tollgate.check(edge, secret) == REVOKED


def test_the_journal_takes_no_more(tollgate, home):
    tollgate.start_service()
    edge = tollgate.start_validator()
    journal = os.path.join(home, "store.journal")
    tokens = [tollgate.create(f"token {number}") for number in range(4)]
    for token, secret in tokens[:2]:
        assert tollgate.check(edge, secret) == ADMIT
        tollgate.cli("token", "revoke", token, "--yes", "--wait")
    client = tollgate.client()
    while os.path.getsize(journal) < 32 << 10:  # above what the log will have: it is a file, too
        made = client.call("TokenService/CreateToken", parent="workspaces/acme", token={"label": "short-lived"})
        client.call("TokenService/RevokeToken", name=made.token.name, reason="r" * 500)
    assert tollgate.service.stop() == 0
    service = tollgate.restart_service()
    # The store begins its own log anew at a start, so the journal is what meets the limit.
    in_between = tollgate.create("made under the limit")
    limit_files(service, os.path.getsize(journal) + 1)
    client = tollgate.client()
    try:
        client.call("TokenService/RevokeToken", name=f"workspaces/acme/tokens/{tokens[2][0]}")
        raise AssertionError("a revocation was acknowledged that the journal does not have")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    ended_because_of_the_disk(service)

    tollgate.restart_service()
    until("the edge is back", lambda: tollgate.check(edge, tokens[3][1]) == ADMIT, patience=20)
    for _, secret in tokens[:2]:
        assert tollgate.check(edge, secret) == REVOKED
    assert tollgate.check(edge, in_between[1]) == ADMIT
    # It was never acknowledged, so either is right; once it is, it is off.
    tollgate.cli("token", "revoke", tokens[2][0], "--yes", "--wait")
    assert tollgate.check(edge, tokens[2][1]) == REVOKED
    tollgate.cli("audit", "verify", as_json=False)
