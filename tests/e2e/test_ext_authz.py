"""ext_authz asked by a client made from Envoy's own published protos (PyPI's envoy-data-plane), which reads every field."""
import datetime
import os
import warnings

import grpc
import pytest
from installation import metric, until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what made it is not up to date with what it uses
    import betterproto2
    from envoy_data_plane.envoy.config.core.v3 import (
        Address, HeaderMap, HeaderValue, HeaderValueOptionHeaderAppendAction, Metadata, SocketAddress)
    from envoy_data_plane.envoy.service.auth.v3 import (
        AttributeContext, AttributeContextHttpRequest, AttributeContextPeer, AttributeContextRequest,
        AttributeContextTlsSession, CheckRequest, CheckResponse)

# Envoy reads it where it has no `append_action`.
pytestmark = pytest.mark.filterwarnings("ignore:HeaderValueOption.append is deprecated")

POLICY = """\
version: 1
credentials: [bearer, {header: x-api-key}, {query: access_token}]
answers: {realm: example, tell_before_expiry: 30d}
requirements:
  admin: {all: [items:admin]}
routes:
  - {path: /healthz, methods: GET, needs: public}
  - {path: "/v1/{workspace}/items", methods: GET, needs: {any: [items:read], workspace: "{workspace}"}}
  - {prefix: /v1, needs: {all: [items:write]}}
"""
OVERWRITE = HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD


class Envoy:
    """Asks as Envoy does."""

    def __init__(self, target):
        self.channel = grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)])
        self.check = self.channel.unary_unary("/envoy.service.auth.v3.Authorization/Check")

    def ask_bytes(self, request, timeout=30, **more):
        wire = self.check(request, timeout=timeout, **more)
        answer = CheckResponse.parse(wire)
        assert_all_known(answer)
        # One of the two, and never the third, which obeys failure_mode_allow.
        assert (answer.denied_response is None) != (answer.ok_response is None)
        assert answer.error_response is None
        assert (answer.status is None or answer.status.code == 0) == (answer.ok_response is not None)
        return answer

    def ask(self, path="/v1/acme/items", method="GET", headers=(), raw=False, extensions=None, more=None, **call):
        http = AttributeContextHttpRequest(method=method, path=path, host="api.example")
        pairs = [(":path", path), (":method", method), (":authority", "api.example"), *headers]
        if raw:
            http.header_map = HeaderMap(headers=[HeaderValue(key=k, raw_value=v.encode()) for k, v in pairs])
        else:
            for key, value in pairs:
                http.headers[key] = f"{http.headers[key]},{value}" if key in http.headers else value
        context = AttributeContext(request=AttributeContextRequest(http=http), context_extensions=extensions or {})
        if more is not None:
            more(context)
        return self.ask_bytes(bytes(CheckRequest(attributes=context)), **call)


def assert_all_known(message):
    """Envoy's own protos know each field that came."""
    assert not message._unknown_fields, message  # pylint: disable=protected-access
    for field in message.__dataclass_fields__:
        value = getattr(message, field)
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for part in parts:
            if isinstance(part, betterproto2.Message):
                assert_all_known(part)


def options(headers):
    """Name to value; each is set over what was there, in both of Envoy's ways to say so."""
    found = {}
    for option in headers:
        assert option.append is False or option.append == 0, option
        assert option.append_action == OVERWRITE
        assert option.header.key not in found and not option.header.raw_value
        found[option.header.key] = option.header.value
    return found


def text(struct):
    """A Struct as plain values."""
    def plain(value):
        if value.list_value is not None:
            return [plain(one) for one in value.list_value.values]
        return value.string_value
    return {key: plain(value) for key, value in struct.fields.items()} if struct else {}


@pytest.fixture
def edge(tollgate):
    policy = os.path.join(tollgate.home, "policy.yaml")
    with open(policy, "w", encoding="utf-8") as file:
        file.write(POLICY)
    tollgate.start_service()
    return tollgate.start_validator("edge-1", "--policy", policy, "--listen", "127.0.0.1:0")


@pytest.fixture(params=["unix", "tcp"])
def envoy(edge, request):
    asking = Envoy(next(address for address in edge.ready["listen"] if address.startswith("unix:") == (request.param == "unix")))
    yield asking
    asking.channel.close()


def everything(context):
    """What Envoy tells beside what is judged."""
    context.source = AttributeContextPeer(
        address=Address(socket_address=SocketAddress(address="192.0.2.1", port_value=4711)), service="client",
        labels={"app": "web"}, principal="spiffe://example/web", certificate="-----BEGIN CERTIFICATE-----")
    context.destination = AttributeContextPeer(principal="spiffe://example/api")
    context.request.time = datetime.datetime.now(datetime.timezone.utc)
    http = context.request.http
    http.id, http.scheme, http.protocol, http.fragment = "7", "https", "HTTP/2", "top"
    http.size, http.body, http.raw_body = -1, "a body", b"\0\xff"
    context.metadata_context = Metadata()
    context.route_metadata_context = Metadata()
    context.tls_session = AttributeContextTlsSession(sni="api.example")


@pytest.mark.parametrize("raw", [False, True])
def test_an_admission_is_read_in_full(tollgate, envoy, raw):
    token_id, token = tollgate.create("ci", "--scope", "items:read", "--scope", "other", "--owner", "ci-team",
                                      "--expires-in", "7d")
    answer = envoy.ask(headers=[("authorization", f"Bearer {token}"), ("x-tollgate-owner", "evil")], raw=raw,
                       more=everything)
    ok = answer.ok_response
    identity = options(ok.headers)
    assert identity.pop("x-tollgate-expires").endswith("Z")
    assert identity == {"x-tollgate-workspace": "acme", "x-tollgate-token": token_id, "x-tollgate-owner": "ci-team",
                        "x-tollgate-scopes": "items:read other"}
    assert ok.headers_to_remove == ["authorization"]
    assert not ok.query_parameters_to_set and not ok.query_parameters_to_remove
    assert set(options(ok.response_headers_to_add)) == {"tollgate-decision", "tollgate-token-expires", "sunset"}
    assert text(answer.dynamic_metadata) == {"workspace": "acme", "token_id": token_id, "owner": "ci-team",
                                             "scopes": ["items:read", "other"]}


def test_what_has_nothing_to_say_is_removed(tollgate, envoy):
    _, token = tollgate.create("without an owner", "--scope", "items:read")
    answer = envoy.ask(f"/v1/acme/items?access_token={token}&page=2")
    assert answer.ok_response.query_parameters_to_remove == ["access_token"]
    assert set(answer.ok_response.headers_to_remove) == {"x-tollgate-owner", "x-tollgate-expires"}
    answer = envoy.ask("/healthz")
    assert not answer.ok_response.headers
    assert set(answer.ok_response.headers_to_remove) == {
        f"x-tollgate-{name}" for name in ("workspace", "token", "owner", "scopes", "expires")}
    assert text(answer.dynamic_metadata) == {}


def denied(answer):
    """(HTTP status, gRPC's code, reason, headers)"""
    refusal = answer.denied_response
    headers = options(refusal.headers)
    assert headers.pop("content-type") == "application/problem+json" and headers.pop("cache-control") == "no-store"
    assert len(headers.pop("tollgate-decision")) == 32
    reason = answer.status.message
    assert f'"reason":"{reason}"' in refusal.body and len(refusal.body) < 1024
    assert text(answer.dynamic_metadata)["reason"] == reason
    return int(refusal.status.code), answer.status.code, reason, headers


@pytest.mark.parametrize("raw", [False, True])
def test_refusals_are_read_in_full(tollgate, envoy, raw):
    token_id, reader = tollgate.create("reader", "--scope", "items:read")
    bearer = ("authorization", f"Bearer {reader}")
    assert denied(envoy.ask(raw=raw)) == (401, 16, "NO_TOKEN", {"www-authenticate": 'Bearer realm="example"'})
    answer = envoy.ask(method="POST", headers=[bearer], raw=raw)
    status, code, reason, headers = denied(answer)
    assert (status, code, reason) == (403, 7, "INSUFFICIENT_SCOPE") and 'scope="items:write"' in headers["www-authenticate"]
    assert text(answer.dynamic_metadata)["token_id"] == token_id
    assert denied(envoy.ask(headers=[bearer, bearer], raw=raw))[:3] == (400, 3, "SEVERAL_CREDENTIALS")
    assert denied(envoy.ask(headers=[bearer, ("x-api-key", reader)], raw=raw))[:3] == (400, 3, "SEVERAL_CREDENTIALS")
    assert denied(envoy.ask("/v1/acme/%2e%2e/items", headers=[bearer], raw=raw))[0] == 400
    assert denied(envoy.ask(headers=[bearer], extensions={"tollgate_requirement": "admin"}, raw=raw))[0] == 403
    tollgate.cli("token", "revoke", token_id, "--yes", "--wait")
    status, code, reason, headers = denied(envoy.ask(headers=[bearer], raw=raw))
    assert (status, code, reason) == (401, 16, "REVOKED") and 'error="invalid_token"' in headers["www-authenticate"]


def test_grpc_callers_are_told_without_a_type(envoy):
    refusal = envoy.ask(method="POST", headers=[("content-type", "application/grpc+proto")]).denied_response
    assert refusal.body == "NO_TOKEN" and "content-type" not in options(refusal.headers)


def test_what_cannot_be_read_is_denied_and_no_call_fails(tollgate, edge, envoy):
    _, token = tollgate.create("ci", "--scope", "items:read")
    bearer = ("authorization", f"Bearer {token}")

    def both(context):
        context.request.http.header_map = HeaderMap(headers=[HeaderValue(key="a", value="b")])

    def query(context):
        context.request.http.query = "page=2"

    for answer in (envoy.ask(headers=[bearer], more=both), envoy.ask(headers=[bearer], more=query),
                   envoy.ask(headers=[bearer], extensions={"tollgate_requirment": "admin"}),
                   envoy.ask_bytes(b""), envoy.ask_bytes(b"\x0a\x7f\x12"), envoy.ask_bytes(b"\xff" * 100)):
        assert denied(answer)[:3] == (503, 14, "MALFORMED_REQUEST")
    # Too much: a client can send much through its proxy.
    big = [bearer, ("x-filler", "x" * (2 << 20))]
    assert denied(envoy.ask(headers=big))[:3] == (503, 14, "REQUEST_TOO_LARGE")
    answer = envoy.ask(headers=[bearer], metadata=[("x-filler", "x" * (32 << 10))])
    assert denied(answer)[:3] == (503, 14, "METADATA_TOO_LARGE")
    # Each was counted.
    name = "tollgate_validator_front_answers_total"
    until("they are counted", lambda: metric(tollgate.metrics(edge), name, front="ext_authz", verdict="refused") == 8)
    assert envoy.ask(headers=[bearer]).ok_response is not None


def test_it_is_there_only_with_a_policy(tollgate, edge):
    client = tollgate.client(edge.socket)
    until("it serves", lambda: client.serving("envoy.service.auth.v3.Authorization"))
    assert client.pool.FindServiceByName("envoy.service.auth.v3.Authorization").methods_by_name["Check"]
    bare = tollgate.start_validator("edge-2")
    with pytest.raises(grpc.RpcError) as caught:
        Envoy(bare.socket).ask()
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
