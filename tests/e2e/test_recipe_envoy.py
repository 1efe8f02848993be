"""examples/envoy, run: the real Envoy on the recipe's own file, in front of the recipe's own service."""
import json
import os
import signal
import threading
import time

import grpc
import pytest
import proxies
from installation import until
from real_envoy import RECIPE, Envoy, Service, recipe

RAW = "encode_raw_headers: true"
IDENTITY = ("x-tollgate-workspace", "x-tollgate-token", "x-tollgate-owner", "x-tollgate-scopes")


@pytest.fixture
def service():
    service = Service()
    yield service
    service.close()


class Door:
    """The whole recipe, and one client of it."""

    def __init__(self, tollgate, service, *changes, lease=(), validator=()):
        tollgate.start_service(*lease)
        self.tollgate = tollgate
        self.edge = tollgate.start_validator("edge-1", "--policy", os.path.join(RECIPE, "policy.yaml"), *validator)
        self.envoy = Envoy(tollgate.home, "envoy", recipe(self.edge.socket, service.port, *changes)).start()
        self.connection = self.envoy.connect()

    def ask(self, path="/v1/acme/items", token=None, method="GET", headers=(), connection=None):
        """(status, headers in lower case, what the answer says) of one request."""
        connection = connection or self.connection
        connection.putrequest(method, path, skip_accept_encoding=True)
        if token is not None:
            connection.putheader("authorization", f"Bearer {token}")
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        told = json.loads(body) if "json" in (answer.getheader("content-type") or "") else body
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, told

    def admitted(self, *arguments, **more):
        """What reached the service: (path, headers as a list of pairs)."""
        status, _, told = self.ask(*arguments, **more)
        assert status == 200, told
        return told["path"], [tuple(pair) for pair in told["headers"]]

    def close(self):
        self.connection.close()
        self.envoy.close()


@pytest.fixture
def opened(tollgate, service):
    doors = []

    def open_door(*changes, **more):
        doors.append(Door(tollgate, service, *changes, **more))
        return doors[-1]

    yield open_door
    for door in doors:
        door.close()


@pytest.fixture(params=["raw headers", "headers as a map"])
def door(request, opened):
    if request.param == "raw headers":
        return opened()
    return opened((RAW, "encode_raw_headers: false"))


def values(headers, name):
    return [value for key, value in headers if key == name]


def test_who_passes_and_as_whom(door):
    token_id, token = door.tollgate.create("ci", "--scope", "items:read", "--owner", "ci-team")
    path, headers = door.admitted("/v1/acme/items?page=2", token)
    assert path == "/v1/acme/items?page=2"
    assert values(headers, "x-tollgate-workspace") == ["acme"]
    assert values(headers, "x-tollgate-token") == [token_id]
    assert values(headers, "x-tollgate-owner") == ["ci-team"]
    assert values(headers, "x-tollgate-scopes") == ["items:read"]
    assert values(headers, "authorization") == []
    # The service's own word on caching is the client's.
    _, headers, _ = door.ask(token=token)
    assert headers["cache-control"] == "max-age=60" and headers["tollgate-decision"]
    # The access log knows the token by its id, and nothing holds the string.
    line = until("the access log tells", lambda: [a for a in door.envoy.accesses() if a["token_id"] == token_id])[0]
    assert line["workspace"] == "acme" and line["status"] == 200 and line["decision"]
    with open(door.envoy.access_log, encoding="utf-8") as file:
        assert token not in file.read()


def test_an_identity_that_a_client_brings_never_arrives(door):
    _, plain = door.tollgate.create("without an owner", "--scope", "items:read")
    spoofed = [(name, value) for name in (*IDENTITY, "X-Tollgate-Expires") for value in ("evil", "evil-too")]
    spoofed += [(name.upper(), "EVIL") for name in IDENTITY]
    for path, token in (("/v1/acme/items", plain), ("/healthz", None)):
        _, headers = door.admitted(path, token, headers=spoofed)
        assert not [pair for pair in headers if "evil" in pair[1].lower()], headers
        for name in IDENTITY:
            assert len(values(headers, name)) <= 1
    # Nor by a spelling that some services take for it.
    for name in ("x_tollgate_workspace", "X-Tollgate_Owner", "X_Tollgate-Scopes"):
        status, _, _ = door.ask("/healthz", headers=[(name, "evil")], connection=door.envoy.connect())
        assert status == 400


def test_the_proxy_is_told_of_annotations_and_tells_from_where_a_refused_token_came(opened):
    told = 'token_id: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:token_id)%"'
    plan = 'plan: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:annotations:plan)%"'
    door = opened((told, f"{told}\n                  {plan}"))
    door.tollgate.cli("workspace", "set-policy", "acme", "--edge-annotation", "plan", "--report-attempt-addresses")
    token_id, token = door.tollgate.create("ci", "--scope", "items:read", "--annotation", "plan=gold", "--annotation", "note=x")
    door.admitted("/v1/acme/items", token)
    line = until("the access log tells", lambda: [a for a in door.envoy.accesses() if a["token_id"] == token_id])[0]
    assert line["plan"] == "gold", line
    door.tollgate.cli("token", "revoke", token_id, "--yes", "--wait")
    spoofed = [(name, "203.0.113.5") for name in ("x-forwarded-for", "x-envoy-external-address", "x-real-ip")]
    assert door.ask(token=token, headers=spoofed)[0] == 401
    attempts = until("the attempt is told", lambda: door.tollgate.cli("token", "attempts", token_id).get("attempts"))
    assert [told["address"] for told in attempts[0]["addresses"]] == ["127.0.0.1"], attempts


def test_neither_another_path_nor_an_upgrade_goes_on(door):
    _, headers = door.admitted("/healthz", headers=[("X-Original-URL", "/evil"), ("X-Rewrite-URL", "/evil"),
                                                    ("HTTP2-Settings", "evil")])
    assert "evil" not in str(headers), headers
    _, plain = door.tollgate.create("ci", "--owner", "ci-team", "--scope", "items:read")
    status, _, told = door.ask("/v1/acme/items", plain, headers=[("Connection", "X-Tollgate-Workspace, X-Tollgate-Owner")],
                               connection=door.envoy.connect())
    if status == 200:
        assert values([tuple(pair) for pair in told["headers"]], "x-tollgate-owner") == ["ci-team"], told
    for upgrades in (["h2c"], ["websocket", "h2c"], ["h2c, websocket"], ["websocket"]):
        status, _, told = door.ask("/healthz", headers=[("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "evil"),
                                                        *(("Upgrade", name) for name in upgrades)],
                                   connection=door.envoy.connect())
        assert status != 101, told
        if status == 200:
            assert not {"upgrade", "http2-settings"} & {name for name, _ in told["headers"]}, told


def test_who_does_not_pass(door):
    _, reader = door.tollgate.create("reader", "--scope", "items:read")
    status, headers, told = door.ask()
    assert status == 401 and told["reason"] == "NO_TOKEN", told
    assert headers["www-authenticate"].startswith("Bearer realm=") and "error" not in headers["www-authenticate"]
    assert headers["content-type"] == "application/problem+json" and headers["cache-control"] == "no-store"
    status, headers, told = door.ask("/v1/acme/items", reader, "POST")
    assert status == 403 and told["reason"] == "INSUFFICIENT_SCOPE", told
    assert 'error="insufficient_scope"' in headers["www-authenticate"]
    status, headers, told = door.ask(token=reader[:-1] + ("0" if reader[-1] != "0" else "1"))
    assert status == 401 and 'error="invalid_token"' in headers["www-authenticate"], told
    # A route of the proxy names what it needs; an operator's token is none that an edge admits.
    status, _, told = door.ask("/admin/v1/acme/items", reader)
    assert status == 403, told
    # Not the workspace's token.
    status, _, told = door.ask("/v1/other/items", reader)
    assert status == 403, told
    # Two credentials, in each form that they can come in.
    for headers in ([("authorization", f"Bearer {reader}")], [("authorization", "Basic Og==")],
                    [("x-api-key", reader)]):
        status, _, told = door.ask(token=reader, headers=headers)
        assert status == 400, (headers, told)


def test_a_revoked_token_is_refused_on_the_next_request_of_the_same_connection(door):
    token_id, token = door.tollgate.create("ci", "--scope", "items:read")
    for _ in range(5):
        door.admitted(token=token)
    socket = door.connection.sock
    door.tollgate.cli("token", "revoke", token_id, "--yes", "--wait")
    status, headers, told = door.ask(token=token)
    assert (status, told["reason"]) == (401, "REVOKED")
    assert 'error="invalid_token"' in headers["www-authenticate"]
    assert door.connection.sock is socket, "the connection was not kept"


def test_not_one_of_a_hundred_clients_is_admitted_after_the_receipt(door):
    token_id, token = door.tollgate.create("ci", "--scope", "items:read")
    seen = [[] for _ in range(100)]  # (begun at, status) of each client
    enough = threading.Event()
    failures = []

    def client(mine):
        connection = door.envoy.connect()
        try:
            while not enough.is_set():
                begun = time.monotonic()
                status, _, _ = door.ask(token=token, connection=connection)
                mine.append((begun, status))
        except Exception as failure:  # pylint: disable=broad-except
            failures.append(failure)
        connection.close()

    threads = [threading.Thread(target=client, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    try:
        until("each client was admitted", lambda: failures or all(any(s == 200 for _, s in mine) for mine in seen))
        door.tollgate.cli("token", "revoke", token_id, "--yes", "--wait")
        receipt = time.monotonic()
        until("each client was refused", lambda: failures or all(
            any(begun > receipt and status == 401 for begun, status in mine) for mine in seen))
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    after = [status for mine in seen for begun, status in mine if begun > receipt]
    assert 200 not in after and set(after) <= {401, 503}, set(after)


def test_a_token_in_a_query_does_not_go_on(door):
    _, token = door.tollgate.create("ci", "--scope", "items:read")
    path, headers = door.admitted(f"/v1/acme/items?page=2&access_token={token}&x=%2f")
    assert path == "/v1/acme/items?page=2&x=%2f"
    assert values(headers, "x-tollgate-workspace") == ["acme"]
    assert token not in json.dumps(headers)


def test_without_the_validator_nothing_passes(door):
    _, token = door.tollgate.create("ci", "--scope", "items:read")
    door.admitted(token=token)
    door.edge.stop()
    for path in ("/v1/acme/items", "/healthz"):
        status, _, _ = door.ask(path, token)
        assert status == 503
    door.edge.start()
    door.tollgate.wait_in_sync(door.edge)
    until("it is back", lambda: door.ask(token=token)[0] == 200)


@pytest.mark.parametrize("over", ["a Unix socket", "TCP"])
def test_a_validator_that_is_stopped_in_order_says_nothing_wrong(tollgate, opened, over):
    """Envoy holds its HTTP/2 connections, and clients go on asking; when the validator is back, so are they."""
    port = proxies.free_port()
    tcp = (f"pipe: {{path: {tollgate.home}/edge-1.sock}}", f"socket_address: {{address: 127.0.0.1, port_value: {port}}}")
    door = opened(*[tcp] * (over == "TCP"), validator=("--listen", f"127.0.0.1:{port}", "--drain-pause", "1s"))
    _, good = tollgate.create("good", "--scope", "items:read")
    before_id, revoked_before = tollgate.create("revoked before", "--scope", "items:read")
    meanwhile_id, revoked_meanwhile = tollgate.create("revoked meanwhile", "--scope", "items:read")
    tollgate.cli("token", "revoke", before_id, "--yes", "--wait")
    crowds = {token: proxies.Crowd(5, f"127.0.0.1:{door.envoy.port}", proxies.request("GET /v1/acme/items", "api.example", token=token))
              for token in (good, revoked_before, revoked_meanwhile, None)}

    def all_are_told(statuses, since):
        """Whether each crowd has been told such a status when it asked after that time."""
        return all(any(begun > since and status in statuses for begun, status in list(crowd.answers)) for crowd in crowds.values())

    try:
        until("all have verdicts", lambda: all_are_told((200, 401), 0))
        door.edge.signal(signal.SIGTERM)
        until("it drains", lambda: [line for line in door.edge.records() if line["message"] == "draining"])
        draining = time.monotonic()
        tollgate.cli("token", "revoke", meanwhile_id, "--yes", "--wait")
        receipt = time.monotonic()
        assert door.edge.process.wait(timeout=30) == 0
        gone = time.monotonic()
        until("all are refused without it", lambda: all_are_told((503,), gone))
        door.edge.start()
        tollgate.wait_in_sync(door.edge)
        back = time.monotonic()
        until("all have verdicts again", lambda: all_are_told((200, 401), back))
    finally:
        answers = {token: crowd.end() for token, crowd in crowds.items()}
    told = {token: {status for _, status in of_one} for token, of_one in answers.items()}
    others = [other for crowd in crowds.values() for other in crowd.others if other.status != 503]
    assert told == {good: {200, 503}, revoked_before: {401, 503}, revoked_meanwhile: {200, 401, 503}, None: {401, 503}}, others[:3]
    assert not [status for begun, status in answers[revoked_meanwhile] if begun > receipt and status == 200]
    assert [status for begun, status in answers[good] if draining < begun < gone and status == 200], "it drains, and answers"


def stop(program):
    """Stops a process in its tracks, each thread of it."""
    program.signal(signal.SIGSTOP)
    tasks = f"/proc/{program.process.pid}/task"

    def stopped():
        for task in os.listdir(tasks):
            with open(os.path.join(tasks, task, "stat"), encoding="utf-8") as file:
                if file.read().rpartition(")")[2].split()[0] != "T":
                    return False
        return True

    until(f"{program.name} stands still", stopped)


ALLOWING = ("failure_mode_allow: false", "failure_mode_allow: true")


def test_what_is_not_known_is_denied_even_where_failures_are_allowed(opened):
    door = opened(ALLOWING, lease=("--lease", "2s", "--ping-interval", "300ms"))
    _, known = door.tollgate.create("known", "--scope", "items:read")
    _, fresh = door.tollgate.create("not asked about yet", "--scope", "items:read")
    door.admitted(token=known)
    # The service is silent: before the proxy's patience ends there is an answer, which denies.
    stop(door.tollgate.service)
    status, headers, told = door.ask(token=fresh)
    assert status == 503 and headers["tollgate-decision"], told
    # No lease.
    until("the lease has run out", lambda: door.ask(token=known)[0] != 200)
    for token in (known, fresh):
        status, headers, told = door.ask(token=token)
        assert (status, told["reason"]) == (503, "NO_LEASE")
        assert headers["tollgate-decision"] and int(headers["retry-after"]) >= 1
        assert headers["cache-control"] == "no-store" and "www-authenticate" not in headers
    door.tollgate.service.signal(signal.SIGCONT)
    until("the lease is back", lambda: door.ask(token=known)[0] == 200)
    # What is denied in so many words would pass as a failed call: the setting does what it says.
    door.edge.stop()
    assert door.ask(token=known)[0] == 200


def test_grpc_callers_get_their_codes(door):
    _, reader = door.tollgate.create("reader", "--scope", "items:read")
    channel = grpc.insecure_channel(f"127.0.0.1:{door.envoy.port}", options=[("grpc.enable_http_proxy", 0)])
    call = channel.unary_unary("/shop.v1.Items/Delete")

    def refused(*metadata):
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", metadata=metadata, timeout=30)
        return caught.value.code(), caught.value.details()

    assert refused() == (grpc.StatusCode.UNAUTHENTICATED, "NO_TOKEN")
    assert refused(("authorization", f"Bearer {reader}")) == (grpc.StatusCode.PERMISSION_DENIED, "INSUFFICIENT_SCOPE")
    assert refused(("authorization", f"Bearer {reader}"), ("x-api-key", reader)) == (
        grpc.StatusCode.INTERNAL, "SEVERAL_CREDENTIALS")
    door.edge.stop()
    assert refused(("authorization", f"Bearer {reader}"))[0] == grpc.StatusCode.UNAVAILABLE
    channel.close()
