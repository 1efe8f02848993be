"""What a star in a scope means, from both ends: who grants it, and who asks for it; through the real programs."""
import grpc
import pytest

from grpc_status_details import error_info
from installation import ADMIT
from proxies import write_policy

LACKS = ("DENY", "INSUFFICIENT_SCOPE")


def refused(tollgate, *arguments):
    done = tollgate.cli(*arguments, code=2, as_json=False)
    assert "SCOPE_STAR_MISPLACED" in done.stderr and "repo:*" in done.stderr, done.stderr


def test_a_star_stays_within_its_name_whoever_grants_it_and_whoever_asks(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    token, secret = tollgate.create("CI", "--scope", "repo:*")
    for scope, answer in {"repo:read": ADMIT, "repo:read:all": ADMIT, "repo:*": ADMIT,
                          "repo": LACKS, "report:all": LACKS, "*": LACKS}.items():
        assert tollgate.check(edge, secret, any_scopes=[scope]) == answer, scope
        assert tollgate.check(edge, secret, scope_expression=f"none OR {scope}") == answer, scope
    check = ("token", "check", "--edge", edge.socket)
    tollgate.cli(*check, "--scope", "repo:read", secret=secret, as_json=False)
    tollgate.cli(*check, "--scope", "report:all", secret=secret, code=10, as_json=False)

    # No new one reaches into other names: in a token, in a change of one, in a policy.
    refused(tollgate, "token", "create", "--label", "x", "--scope", "repo*")
    refused(tollgate, "token", "update", token, "--add-scope", "repo*")
    refused(tollgate, "workspace", "set-policy", "acme", "--grantable-scope", "repo*")
    # A policy's star is read the same way.
    tollgate.cli("workspace", "set-policy", "acme", "--grantable-scope", "items:*")
    tollgate.create("reader", "--scope", "items:read", "--scope", "items:*")
    refusal = tollgate.cli("token", "create", "--label", "y", "--scope", "itemsale:read", code=4, as_json=False)
    assert "SCOPE_NOT_GRANTABLE" in refusal.stderr, refusal.stderr

    # Whoever asks for such a one is told, not refused his clients.
    with pytest.raises(grpc.RpcError) as error:
        tollgate.check(edge, secret, all_scopes=["repo:read", "repo*"])
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error_info(error.value) == ("SCOPE_STAR_MISPLACED", ["requirement.all_scopes[1]"])
    policy = write_policy(tollgate.home, """\
version: 1
routes:
  - {path: /repo, needs: {any: ["repo:read", "repo*"]}}
""")
    done = tollgate.cli("policy", "test", policy, "--path", "/repo", code=2, as_json=False)
    assert "`repo*`: a * stands alone, or last and behind one of" in done.stderr, done.stderr
