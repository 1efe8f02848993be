"""The service as clients that are not ours see it: grpcurl, and grpcio by reflection."""
import json
import os
import subprocess

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status_details import error_info
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
                    "tollgate.v1.OperationsService", "tollgate.v1.AccessService", "grpc.health.v1.Health"):
        assert service in services
    made = json.loads(grpcurl(address, "-d", '{"parent":"workspaces/acme","token":{"label":"by grpcurl"}}', address,
                              "tollgate.v1.TokenService/CreateToken").stdout)
    assert made["token_string"].startswith("tgw_")
    refused = grpcurl(address, "-d", '{"parent":"workspaces/acme","token":{}}', address,
                      "tollgate.v1.TokenService/CreateToken", code=67)
    assert "InvalidArgument" in refused.stderr and "LABEL_REQUIRED" in refused.stderr
    assert "token.label" in refused.stderr


SERVICE_NAMES = ["", "liveness", "readiness", "tollgate.v1.TokenService", "tollgate.v1.WorkspaceService",
                 "tollgate.v1.OperationsService", "tollgate.v1.EdgeService", "tollgate.v1.AccessService"]
EDGE_NAMES = ["", "liveness", "readiness", "tollgate.v1.ValidationService", "tollgate.lease"]


def test_health_by_grpcurl(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    for words, address, names in ((["-plaintext"], tollgate.address, SERVICE_NAMES),
                                  (["-plaintext", "-unix"], edge.socket.removeprefix("unix:"), EDGE_NAMES)):
        def run(*arguments, code=0, words=words):
            done = subprocess.run([GRPCURL, *words, *arguments], capture_output=True, text=True, timeout=30,
                                  check=False)
            assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
            return done.stdout + done.stderr

        assert "grpc.health.v1.Health" in run(address, "list").split()
        assert run(address, "list", "grpc.health.v1.Health").split() == ["grpc.health.v1.Health.Check",
                                                                         "grpc.health.v1.Health.Watch"]
        assert "rpc Watch" in run(address, "describe", "grpc.health.v1.Health")
        check = "grpc.health.v1.Health/Check"
        for name in names:
            until(f"'{name}' serves", lambda: json.loads(run("-d", json.dumps({"service": name}), address, check)) ==
                  {"status": "SERVING"})
        assert json.loads(run(address, check)) == {"status": "SERVING"}
        unknown = run("-d", '{"service":"no.such.Service"}', address, check, code=69)
        assert "NotFound" in unknown and "HEALTH_NAME_UNKNOWN" in unknown, unknown


class HealthByReflection:
    """grpc.health.v1 as grpcio finds it described."""

    def __init__(self, target):
        self.channel = grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)])
        service = DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel)).FindServiceByName(
            "grpc.health.v1.Health")
        method = service.methods_by_name["Check"]
        self.request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        self.words = {value.number: value.name for value in response.DESCRIPTOR.fields_by_name["status"].enum_type.values}
        codecs = {"request_serializer": self.request.SerializeToString, "response_deserializer": response.FromString}
        self._check = self.channel.unary_unary("/grpc.health.v1.Health/Check", **codecs)
        self._watch = self.channel.unary_stream("/grpc.health.v1.Health/Watch", **codecs)

    def check(self, name):
        return self.words[self._check(self.request(service=name), timeout=10).status]

    def watch(self, name):
        """The call, and its states as words."""
        call = self._watch(self.request(service=name), timeout=60)
        return call, (self.words[answer.status] for answer in call)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()


def test_health_by_reflection(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    for target, names in ((tollgate.address, SERVICE_NAMES), (edge.socket, EDGE_NAMES)):
        with HealthByReflection(target) as health:
            for name in names:
                until(f"'{name}' serves", lambda: health.check(name) == "SERVING")
            with pytest.raises(grpc.RpcError) as caught:
                health.check("no.such.Service")
            assert caught.value.code() == grpc.StatusCode.NOT_FOUND
            assert error_info(caught.value)[0] == "HEALTH_NAME_UNKNOWN"
            call, states = health.watch("no.such.Service")
            assert next(states) == "SERVICE_UNKNOWN"
            call.cancel()


def test_health_is_watched_through_an_outage_and_a_drain(tollgate):
    service = tollgate.start_service("--lease", "2s", "--ping-interval", "300ms")
    edge = tollgate.start_validator()
    with HealthByReflection(edge.socket) as at_edge, HealthByReflection(tollgate.address) as at_service:
        for name in ("tollgate.lease", ""):
            until(f"'{name}' serves", lambda: at_edge.check(name) == "SERVING")
        _, leases = at_edge.watch("tollgate.lease")
        assert next(leases) == "SERVING"
        edge_call, edge_states = at_edge.watch("")
        assert next(edge_states) == "SERVING"
        calls = [at_service.watch(name) for name in ("", "liveness", "tollgate.v1.EdgeService")]
        for _, states in calls:
            assert next(states) == "SERVING"
        # The service drains: each watcher is told, and its stream ends.
        assert service.stop() == 0
        for call, states in calls:
            assert list_until_the_end(states) == ["NOT_SERVING"]
            assert call.code() == grpc.StatusCode.UNAVAILABLE and "DRAINING" in reason_of(call)
        # The validator's lease runs out; the validator itself is well.
        assert next(leases) == "NOT_SERVING"
        assert at_edge.check("") == "SERVING"
        tollgate.restart_service()
        assert next(leases) == "SERVING"
        assert edge.stop() == 0
        assert list_until_the_end(leases) == ["NOT_SERVING"]
        assert list_until_the_end(edge_states) == ["NOT_SERVING"]
        assert edge_call.code() == grpc.StatusCode.UNAVAILABLE


def list_until_the_end(states):
    seen = []
    try:
        seen.extend(states)
    except grpc.RpcError:
        pass
    return seen


def reason_of(call):
    for name, value in call.trailing_metadata():
        if name == "grpc-status-details-bin":
            return str(value)
    return ""


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


