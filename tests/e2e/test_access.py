"""Who may do what, at the real programs: roles are given, judged, and taken away with a receipt."""
import json
import threading
import time

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from installation import ADMIT, until, verdict


@pytest.fixture
def bound(tollgate, home):
    """A service whose loopback is no admin; `bound.admin` is, by its user, over a Unix socket."""
    socket = f"unix:{home}/admin.sock"
    tollgate.start_service("--listen", socket, "--lease", "3s", "--ping-interval", "500ms",
                           admin="spiffe://corp.example/nobody")
    tollgate.admin = lambda *arguments, **how: tollgate.cli(*arguments, "--service", socket, **how)
    return tollgate


def test_a_role_lets_in_where_it_holds_and_no_longer_than_it_does(bound):
    said = bound.cli("token", "create", "--label", "x", code=4, as_json=False).stderr
    assert "local may not tokens.create in workspaces/acme" in said and "tollgate access grant" in said, said
    assert "(reason PERMISSION_DENIED)" in said

    done = bound.admin("access", "grant", "issuer", "local", "-w", "acme", "--reason", "ticket 7", as_json=False)
    assert done.stdout.startswith("granted      issuer to local   in: acme   revision "), done.stdout
    bound.admin("workspace", "create", "acme")
    bound.admin("workspace", "create", "globex")
    made = bound.cli("token", "create", "--label", "x")
    assert made["token"]["creator"] == "local"
    bound.cli("token", "list")
    # What is not his is not there: neither in a list, nor by what is said of it.
    assert [one["name"] for one in bound.cli("workspace", "list")["workspaces"]] == ["workspaces/acme"]
    there = bound.cli("workspace", "get", "globex", code=4, as_json=False).stderr
    nowhere = bound.cli("workspace", "get", "nowhere", code=4, as_json=False).stderr
    assert there.replace("globex", "W") == nowhere.replace("nowhere", "W")
    # Of the service itself he has nothing.
    for words in (["backup", "create"], ["validators", "list"], ["audit", "list"], ["access", "list"]):
        assert "PERMISSION_DENIED" in bound.cli(*words, code=4, as_json=False).stderr, words

    mine = bound.cli("access", "explain", "-w", "acme", as_json=False).stdout
    assert mine.startswith("local, in workspaces/acme:\n") and "issuer of local, acme" in mine, mine
    bound.cli("access", "explain", "--permission", "tokens.create", "-w", "globex", code=10)
    of_another = bound.admin("access", "explain", "--as", "local", "--permission", "tokens.create", "-w", "acme")
    assert of_another["permissions"][0]["by"]["role"] == "issuer"
    assert "PERMISSION_DENIED" in bound.cli("access", "explain", "--as", "unix:root", code=4, as_json=False).stderr

    listed = bound.admin("access", "list", as_json=False).stdout
    assert "issuer" in listed and "at the start" in listed, listed
    entry = bound.admin("audit", "list", "--action", "access.*")
    assert (entry["resource"], entry["reason"]) == ("bindings/issuer/local", "ticket 7"), entry

    assert bound.service.stop() == 0
    bound.restart_service()
    bound.cli("token", "list")
    done = bound.admin("access", "withdraw", "issuer", "local", "--wait", as_json=False)
    assert "withdrawn    issuer from local   revision " in done.stdout, done.stdout
    assert "PERMISSION_DENIED" in bound.cli("token", "list", code=4, as_json=False).stderr


def test_where_a_role_holds_is_said_aloud(bound):
    said = bound.admin("access", "grant", "reader", "unix:ada", code=2, as_json=False).stderr
    assert "-w WORKSPACE" in said and "--everywhere" in said, said
    bound.admin("access", "grant", "validator", "spiffe://corp.example/edge/*")
    bound.admin("access", "grant", "reader", "unix:ada", "--everywhere")
    said = bound.admin("access", "grant", "rader", "unix:ada", code=2, as_json=False).stderr
    assert "reader" in said and "(reason UNKNOWN_ROLE)" in said, said
    roles = bound.admin("access", "roles")["roles"]
    assert [one["role"] for one in roles][0] == "admin" and len(roles) == 7


def test_after_the_receipt_no_edge_of_a_withdrawn_role_admits(bound):
    bound.admin("workspace", "create", "acme")
    bound.admin("access", "grant", "validator", "local")
    edge = bound.start_validator()
    made = bound.admin("token", "create", "--label", "x")
    secret = made["token_string"]
    assert bound.check(edge, secret) == ADMIT

    ended = threading.Event()
    admitted = []

    def traffic():
        client = bound.client(edge.socket)
        while not ended.is_set():
            begun = time.monotonic()
            if verdict(client.call("ValidationService/Validate", token_string=secret)) == ADMIT:
                admitted.append(begun)

    threads = [threading.Thread(target=traffic) for _ in range(2)]
    for thread in threads:
        thread.start()
    until("there is traffic", lambda: len(admitted) > 100)
    answer = bound.admin("access", "withdraw", "validator", "local", "--wait")
    told = time.monotonic()
    ended_at = len(admitted)
    until("the edge says that it cannot know", lambda: bound.check(edge, secret)[0] == "UNAVAILABLE")
    ended.set()
    for thread in threads:
        thread.join()
    assert answer["receipt"]["state"] == "enforced", answer
    assert ended_at > 100 and max(admitted) < told, "admitted by a check that began after the receipt"
    reasons = [record.get("reason") for record in edge.records()]
    assert "PERMISSION_DENIED" in reasons, edge.tail()
    # Given back, it goes on by itself.
    bound.admin("access", "grant", "validator", "local")
    until("it is back", lambda: bound.check(edge, secret) == ADMIT, patience=30)


def test_whoever_watches_is_judged_again(bound):
    bound.admin("workspace", "create", "acme")
    bound.admin("access", "grant", "reader", "local", "-w", "acme")
    client = bound.client()
    client.method("OperationsService/GetStatus")  # the service's descriptors
    method = client.pool.FindServiceByName("tollgate.v1.OperationsService").methods_by_name["WatchEvents"]
    request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    watch = client.channel.unary_stream(
        "/tollgate.v1.OperationsService/WatchEvents", request_serializer=request.SerializeToString,
        response_deserializer=response.FromString)(request(parent="workspaces/acme"), timeout=60)
    watch.initial_metadata()
    bound.admin("access", "withdraw", "reader", "local")  # and nothing happens in acme
    with pytest.raises(grpc.RpcError) as caught:
        for event in watch:
            raise AssertionError(f"told after the withdrawal: {event}")
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED, caught.value


def test_a_name_used_again_tells_nothing_of_the_former_workspace(bound):
    bound.admin("workspace", "create", "acme")
    bound.admin("access", "grant", "auditor", "local", "-w", "acme")
    bound.admin("workspace", "set-policy", "acme", "--max-lifetime", "1d")
    bound.admin("workspace", "delete", "acme", "--yes")
    assert "PERMISSION_DENIED" in bound.cli("audit", "list", "-w", "acme", code=4, as_json=False).stderr, "it went too"
    bound.admin("access", "grant", "auditor", "local", "-w", "acme")

    def told(ask):
        listed = ask("-o", "json", "audit", "list", "-w", "acme", "--oldest-first", as_json=False).stdout
        return [json.loads(line)["action"] for line in listed.splitlines()]

    assert told(bound.cli) == [], "it is not there"
    bound.admin("workspace", "create", "acme")
    assert told(bound.cli) == ["workspace.create"]
    assert told(bound.admin) == ["workspace.create", "policy.update", "workspace.delete", "workspace.create"]


def test_who_has_the_role_by_another_binding_is_told_of(bound):
    bound.admin("access", "grant", "validator", "spiffe://corp.example/edge/*")
    bound.admin("access", "grant", "validator", "spiffe://corp.example/edge/7")
    done = bound.admin("access", "withdraw", "validator", "spiffe://corp.example/edge/7", code=10, as_json=False)
    assert "Still validator by another binding: spiffe://corp.example/edge/*, everywhere" in done.stderr, done
    bound.admin("access", "withdraw", "validator", "spiffe://corp.example/edge/*")


def test_dev_open_says_what_it_does(tollgate):
    service = tollgate.start_service("--dev-open", admin=None)
    tollgate.create("x")
    assert [record for record in service.records() if "whoever reaches this service may do everything" in
            record["message"] and record["level"] == "warning"]
