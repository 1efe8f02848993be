"""The service as clients that are not ours see it: grpcurl, and grpcio by reflection."""
import json
import os
import subprocess

import grpc
import pytest
from grpc_status_details import error_info, fields_of
from installation import until

GRPCURL = os.path.join(os.environ["TOLLGATE_SOURCE"], ".cache", "bin", "grpcurl")


def grpcurl(address, *arguments, code=0):
    done = subprocess.run([GRPCURL, "-plaintext", *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_grpcurl_lists_and_calls(tollgate):
    tollgate.start_service()
    address = tollgate.address
    services = grpcurl(address, address, "list").stdout.split()
    for service in ("tollgate.v1.TokenService", "tollgate.v1.WorkspaceService", "tollgate.v1.EdgeService",
                    "tollgate.v1.OperationsService", "grpc.health.v1.Health"):
        assert service in services
    made = json.loads(grpcurl(address, "-d", '{"parent":"workspaces/acme","token":{"label":"by grpcurl"}}', address,
                              "tollgate.v1.TokenService/CreateToken").stdout)
    assert made["token_string"].startswith("tgw_")
    refused = grpcurl(address, "-d", '{"parent":"workspaces/acme","token":{}}', address,
                      "tollgate.v1.TokenService/CreateToken", code=67)
    assert "InvalidArgument" in refused.stderr and "LABEL_REQUIRED" in refused.stderr
    assert "token.label" in refused.stderr


def test_health_names(tollgate):
    """grpc.health.v1 by its wire format alone: gRPC's own health service cannot be described by reflection."""
    tollgate.start_service()
    edge = tollgate.start_validator()

    def health(target, name):
        request = bytes([0x0A, len(name)]) + name.encode() if name else b""
        with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
            answer = channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=10)
        return dict(fields_of(answer)).get(1, 0)

    serving = 1
    for name in ("", "liveness", "readiness", "tollgate.v1.TokenService", "tollgate.v1.EdgeService"):
        assert health(tollgate.address, name) == serving, name
    for name in ("", "liveness", "readiness", "tollgate.v1.ValidationService", "tollgate.lease"):
        until(f"health of '{name}'", lambda: health(edge.socket, name) == serving)
    with pytest.raises(grpc.RpcError) as caught:
        health(tollgate.address, "no.such.Service")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_the_validator_too(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    _, secret = tollgate.create("by reflection")
    path = edge.socket.removeprefix("unix:")
    answer = json.loads(grpcurl(None, "-unix", "-d", json.dumps({"token_string": secret}), path,
                                "tollgate.v1.ValidationService/Validate").stdout)
    assert answer["verdict"] == "VERDICT_ADMIT"


BAD = [
    # request of CreateToken, reason, field
    ({"parent": "workspaces/acme", "token": {"label": ""}}, "LABEL_REQUIRED", "token.label"),
    ({"parent": "workspaces/acme", "token": {"label": "a\tb"}}, "LABEL_CONTROL_CHARACTER", "token.label"),
    ({"parent": "workspaces/acme", "token": {"label": "a\u2003b"}}, "LABEL_WHITESPACE", "token.label"),
    ({"parent": "workspaces/acme", "token": {"label": "x" * 201}}, "LABEL_TOO_LONG", "token.label"),
    ({"parent": "workspaces/Not OK", "token": {"label": "x"}}, "BAD_RESOURCE_NAME", "parent"),
    ({"parent": "workspaces/acme", "token": {"label": "x", "scopes": ["a b"]}}, "SCOPE_MALFORMED", "token.scopes[0]"),
    ({"parent": "workspaces/acme", "token": {"label": "x"}, "lifetime": "-5s"}, None, "lifetime"),
]


@pytest.mark.parametrize("request_, reason, field", BAD)
def test_bad_input_names_the_field(tollgate, request_, reason, field):
    tollgate.start_service()
    client = tollgate.client()
    with pytest.raises(grpc.RpcError) as caught:
        client.call("TokenService/CreateToken", **request_)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    found, fields = error_info(caught.value)
    assert reason is None or found == reason
    assert field in fields
    with pytest.raises(grpc.RpcError) as gone:
        client.call("WorkspaceService/GetWorkspace", name="workspaces/acme")
    assert gone.value.code() == grpc.StatusCode.NOT_FOUND, "something was written"


def test_an_oversize_message_is_refused_and_the_service_lives_on(tollgate):
    tollgate.start_service()
    client = tollgate.client()
    with pytest.raises(grpc.RpcError) as caught:
        client.call("TokenService/CreateToken", parent="workspaces/acme", token={"label": "x" * (5 << 20)})
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    client.call("TokenService/CreateToken", parent="workspaces/acme", token={"label": "small"})


