"""The service as clients that are not ours see it: grpcurl, and grpcio by reflection."""
import json
import os
import subprocess

import grpc
import pytest
from grpc_status_details import error_info

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
    health = json.loads(grpcurl(address, "-d", '{"service":"tollgate.v1.TokenService"}', address,
                                "grpc.health.v1.Health/Check").stdout)
    assert health["status"] == "SERVING"
    refused = grpcurl(address, "-d", '{"parent":"workspaces/acme","token":{}}', address,
                      "tollgate.v1.TokenService/CreateToken", code=67)
    assert "InvalidArgument" in refused.stderr and "LABEL_REQUIRED" in refused.stderr
    assert "token.label" in refused.stderr


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
        client.call("TokenService/CreateToken", parent="workspaces/acme", token={"label": "x" * (2 << 20)})
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    client.call("TokenService/CreateToken", parent="workspaces/acme", token={"label": "small"})


