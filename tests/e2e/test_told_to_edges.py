"""What a workspace's policy has edges told of its tokens, and report of those who try them, through the real programs."""

import grpc
import pytest

from grpc_status_details import error_info
from installation import ADMIT, until
from proxies import Connection, caddy, gateway, write_policy

POLICY = """\
version: 1
client_address: x-forwarded-for
upstream:
  identity: {workspace: x-workspace, annotation.plan: x-plan, annotation.cost/center: x-cost-center}
routes:
  - {prefix: /, needs: token}
"""


@pytest.fixture
def edge(tollgate):
    tollgate.start_service()
    program = tollgate.start_validator("edge-1", "--policy", write_policy(tollgate.home, POLICY),
                                       "--http-listen", f"unix:{tollgate.home}/http.sock")
    program.client = tollgate.client(program.socket)
    return program


def set_policy(tollgate, *flags):
    policy = tollgate.cli("workspace", "set-policy", "acme", *flags)["workspace"].get("policy", {})
    return {name: value for name, value in policy.items() if value}


def annotations(edge, secret):
    answer = edge.client.call("ValidationService/Validate", token_string=secret)
    assert answer.verdict == 1, answer
    return dict(answer.identity.annotations)


def addresses(tollgate, token, reason="REVOKED"):
    rows = tollgate.cli("token", "attempts", token).get("attempts", [])
    return {told["address"]: int(told["count"]) for row in rows for told in row.get("addresses", [])
            if row["reason"].upper().replace("-", "_") == reason}


def test_annotations_reach_services_and_proxies_and_follow_every_change(tollgate, edge):
    token, secret = tollgate.create("ci", "--annotation", "plan=gold, 2nd", "--annotation", "note=for people")
    other, _ = tollgate.create("another", "--annotation", "plan=free")
    assert annotations(edge, secret) == {}
    before = tollgate.cli("token", "get", other)["create_revision"]
    assert set_policy(tollgate, "--edge-annotation", "plan", "--edge-annotation", "cost/center") == {
        "edge_annotations": ["plan", "cost/center"]}
    until("the edge has asked anew", lambda: annotations(edge, secret) == {"plan": "gold, 2nd"})
    with Connection(edge.ready["http"][0]) as connection:
        spoofed = ("X-Plan: platinum", "X-Cost-Center: 7")
        good = connection.ask(gateway("GET", "/v1", *spoofed, token=secret))
        assert good.status == 200 and good.header("x-plan") == "gold%2C%202nd", good
        assert good.all("x-cost-center") == [""], "set all the same, over what the client sent"
    # A change of the token is told as any other; one that edges are not told of is not.
    events = tollgate.cli("events", "watch", "--after", before, "--count", "1", as_json=False).stdout
    assert events.strip().endswith("policy updated  workspaces/acme  by local"), events
    tollgate.cli("token", "update", token, "--annotation", "plan=silver", "--annotation", "cost/center=42")
    until("the edge tells the new ones", lambda: annotations(edge, secret) == {"plan": "silver", "cost/center": "42"})
    shown = tollgate.cli("workspace", "get", "acme", as_json=False).stdout
    assert "edges told of plan,cost/center" in shown, shown
    set_policy(tollgate, "--unset", "edge_annotations")
    until("the edge tells none", lambda: annotations(edge, secret) == {})
    tollgate.cli("workspace", "set-policy", "acme", "--edge-annotation", "no key", code=2)


def test_clients_addresses_are_kept_where_the_workspace_asks_and_only_there(tollgate, edge):
    token, secret = tollgate.create("forgotten copy")
    good, good_secret = tollgate.create("in use")
    assert tollgate.check(edge, secret) == ADMIT and tollgate.check(edge, good_secret) == ADMIT
    later, later_secret = tollgate.create("tried later")
    for name in (token, later):
        tollgate.cli("token", "revoke", name, "--yes", "--wait")

    def validate(address, which=secret):
        return edge.client.call("ValidationService/Validate", token_string=which, client_address=address)

    def told(name):
        return bool(tollgate.cli("token", "attempts", name).get("attempts"))

    validate("198.51.100.99")
    until("the attempt is told", lambda: told(token))
    assert addresses(tollgate, token) == {}, "nobody asked"
    assert set_policy(tollgate, "--report-attempt-addresses") == {"report_attempt_addresses": True}
    # Asked once after the change, the edge knows.
    until("the edge asks for addresses", lambda: validate("::ffff:192.0.2.7") and "192.0.2.7" in addresses(tollgate, token))
    validate("2001:DB8::1")
    validate("198.51.100.4", good_secret)  # admitted: nothing is kept
    with Connection(edge.ready["http"][0]) as connection:
        # The proxy's own word is what it appends; what the client claims stands before it, or under other names.
        spoofed = ("X-Forwarded-For: 203.0.113.5, 192.0.2.2", "X-Real-IP: 203.0.113.6", "Forwarded: for=203.0.113.7")
        assert connection.ask(gateway("GET", "/v1", *spoofed, token=secret)).status == 401
        assert connection.ask(caddy("GET", "/v1", token=secret)).status == 401  # 192.0.2.1
        assert connection.ask(gateway("GET", "/v1", "X-Forwarded-For: 203.0.113.5, unknown", token=secret)).status == 401
    want = {"192.0.2.7", "2001:db8::1", "192.0.2.2", "192.0.2.1"}
    until("all are told", lambda: set(addresses(tollgate, token)) == want)
    assert tollgate.cli("token", "attempts", good).get("attempts", []) == []
    shown = tollgate.cli("token", "attempts", token, as_json=False).stdout
    assert "\n  from 2001:db8::1 " in shown, shown

    with pytest.raises(grpc.RpcError) as refused:
        validate("client.example")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error_info(refused.value) == ("CLIENT_ADDRESS_MALFORMED", ["client_address"])

    # Off again: nothing is shown, and nothing more is kept.
    assert set_policy(tollgate, "--no-report-attempt-addresses") == {}
    assert addresses(tollgate, token) == {}
    validate("198.51.100.5", later_secret)
    until("the attempt is told", lambda: told(later))
    set_policy(tollgate, "--report-attempt-addresses")
    assert addresses(tollgate, later) == {}


def test_what_was_tried_lately(tollgate, edge):
    token, secret = tollgate.create("tried")
    tollgate.create("not tried")
    tollgate.cli("token", "revoke", token, "--yes", "--wait")
    tollgate.check(edge, secret)

    def listed(*flags):
        return [row["token_id"] for row in tollgate.cli("token", "list", *flags).get("tokens", [])]

    until("it is listed", lambda: listed("--still-tried", "--tried-within", "1h") == [token])
    assert listed("--tried-within", "1h") == [token]
    until("it was tried more than a second ago", lambda: listed("--tried-within", "1s") == [])
    assert listed("--still-tried") == [token]
    with pytest.raises(grpc.RpcError) as refused:
        tollgate.client().call("TokenService/ListTokens", parent="workspaces/acme", filter={"triedWithin": "60s"})
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error_info(refused.value) == ("TRIED_WITHIN_ALONE", ["filter.tried_within"])
    tollgate.cli("token", "list", "--tried-within", "0s", code=2)
