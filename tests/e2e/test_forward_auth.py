"""HTTP forward-auth: the real validator, asked as nginx, Caddy, Traefik and Gateway API's ExternalAuth ask."""
import json
import os
import signal
import subprocess
import time

import pytest

from installation import BIN, metric, until
from proxies import (CONVENTIONS, POLICY, Connection, Crowd, caddy, gateway, nginx, request, status_of, write_policy)


@pytest.fixture
def edge(tollgate):
    tollgate.start_service()
    policy = write_policy(tollgate.home)
    program = tollgate.start_validator("edge-1", "--policy", policy, "--http-listen", f"unix:{tollgate.home}/http.sock",
                                       "--http-listen", "127.0.0.1:0")
    assert len(program.ready["http"]) == 2
    program.http = program.ready["http"][0]
    return program


def ask(edge, data):
    with Connection(edge.http) as connection:
        return connection.ask(data)


def admitted(tollgate, edge):
    return metric(tollgate.metrics(edge), "tollgate_validator_front_answers_total", front="forward_auth",
                  verdict="admit")


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_a_request_passes_on_what_the_policy_says(tollgate, edge, convention):
    token_id, secret = tollgate.create("CI", "--scope", "deploy:write", "--owner", "team-a", "--expires-in", "30m")
    for address in edge.ready["http"]:
        with Connection(address) as connection:  # kept alive for all of it
            good = connection.ask(convention("POST", "/v1/deploys/7?x=1", token=secret))
            assert good.status == 200, good
            assert good.header("x-tollgate-workspace") == "acme"
            assert good.header("x-tollgate-token") == token_id
            assert good.header("x-tollgate-owner") == "team-a"
            assert good.header("x-tollgate-scopes") == "deploy:write"
            assert good.header("x-tollgate-expires").endswith("Z")
            assert good.header("authorization") == "", "taken away"
            assert good.header("Cache-Control") == "no-store"
            assert good.header("Tollgate-Token-Expires").endswith("Z") and good.header("Sunset").endswith(" GMT")
            assert good.body == b"" and secret not in repr(good)

            def refused(status, reason, *question, **more):
                answer = connection.ask(convention(*question, **more))
                assert status_of(convention, answer) == status, answer
                assert json.loads(answer.body)["reason"] == reason and len(answer.body) < 1024
                assert answer.header("Content-Type") == "application/problem+json"
                assert answer.header("Cache-Control") == "no-store"
                assert not answer.all("x-tollgate-owner")
                return answer

            none = refused(401, "NO_TOKEN", "POST", "/v1/deploys")
            assert none.header("WWW-Authenticate") == 'Bearer realm="example"'
            refused(401, "MALFORMED", "POST", "/v1/deploys", token="tgw_x")
            narrow = refused(403, "INSUFFICIENT_SCOPE", "GET", "/v1/acme/items", token=secret)
            assert 'scope="items:read"' in narrow.header("WWW-Authenticate")
            refused(403, "NO_ROUTE", "GET", "/elsewhere", token=secret)
            refused(400, "SEVERAL_CREDENTIALS", "POST", "/v1/deploys", f"Authorization: Bearer {secret}", token=secret)
            public = connection.ask(convention("GET", "/healthz"))
            assert public.status == 200 and public.header("x-tollgate-owner") == ""


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_nobody_brings_a_name_of_their_own(tollgate, edge, convention):
    _, secret = tollgate.create("CI")
    spoofed = ["X-Tollgate-Owner: root", "X-Tollgate-Workspace: other", "x-tollgate-scopes: admin"]
    answer = ask(edge, convention("GET", "/v1/x", *spoofed, token=secret))
    assert answer.status == 200
    assert answer.header("x-tollgate-owner") != "root" and answer.header("x-tollgate-workspace") == "acme"
    answer = ask(edge, convention("GET", "/healthz", *spoofed))
    assert answer.status == 200, answer
    for name in ("owner", "workspace", "scopes", "token", "expires"):
        assert answer.header(f"x-tollgate-{name}") == "", name


def test_only_the_chosen_convention_is_heard(tollgate, edge):
    _, secret = tollgate.create("CI")
    forged = {nginx: ["X-Forwarded-Method: GET", "X-Forwarded-Uri: /healthz", "X-Forwarded-Host: api.example"],
              caddy: ["X-Original-Method: GET", "X-Original-URI: /healthz", "X-Original-Host: api.example"],
              gateway: ["X-Original-Method: GET", "X-Original-URI: /healthz", "X-Original-Host: api.example",
                        "X-Forwarded-Method: GET", "X-Forwarded-Uri: /healthz", "X-Original-Url: /healthz"]}
    for convention, headers in forged.items():
        assert ask(edge, convention("POST", "/v1/deploys", *headers)).status == 401
        assert ask(edge, convention("POST", "/v1/deploys", *headers, token=secret)).status == 403
        override = ask(edge, convention("POST", "/v1/deploys", "X-HTTP-Method-Override: GET", token=secret))
        assert status_of(convention, override) == 400, override
    # The client's query, which Caddy puts behind the path of its question, chooses nothing.
    line = caddy("POST", "/v1/deploys").replace("/auth/forwarded", "/auth/forwarded?requirement=deploy")
    assert ask(edge, line).status == 401


def test_a_proxy_that_is_set_up_wrongly_admits_nothing_and_is_told_so(tollgate, edge):
    _, secret = tollgate.create("CI", "--scope", "deploy:write")
    before = admitted(tollgate, edge)
    wrong = [
        request("GET /auth/nginx", "t", "X-Original-URI: /healthz", "X-Original-Host: a", token=secret),
        request("GET /auth/nginx", "t", "X-Original-Method: GET", "X-Original-Host: a", token=secret),
        request("GET /auth/nginx", "t", "X-Original-Method: GET", "X-Original-URI: /healthz", token=secret),
        nginx("GET", "/healthz", "X-Original-URI: /healthz", token=secret),
        nginx("GET", "/healthz", "x-original-method: GET", token=secret),
        caddy("GET", "/healthz", "X-Forwarded-Uri: /healthz", token=secret),
        caddy("GET", "/healthz", "X-Forwarded-Host: b", token=secret),
        nginx("GET", "", token=secret),
        request("GET /auth", "t", token=secret),
        request("GET /auth/", "t", token=secret),
        request("GET /auth/traefik", "t", token=secret),
        request("GET /healthz", "t", token=secret),
    ]
    for data in wrong:
        answer = ask(edge, data)
        assert answer.status in (404, 500), answer
        if answer.status == 500:
            assert json.loads(answer.body)["reason"] == "PROXY_MISCONFIGURED"
    assert admitted(tollgate, edge) == before
    told = [r["what"] for r in edge.records() if "a proxy is set up wrongly" in r["message"] and "what" in r]
    assert any("has no X-Original-Method" in what for what in told), told
    assert any("has more than one X-Forwarded-Uri" in what for what in told), told
    assert not any(secret in line for line in open(edge.log, encoding="utf-8"))


def test_a_requirement_by_name_stands_in_place_of_the_routes(tollgate, edge):
    _, good = tollgate.create("CI", "--scope", "deploy:write")
    _, other = tollgate.create("reader", "--scope", "items:read")
    for convention in (nginx, caddy, gateway):
        def by_name(name, token, convention=convention):
            data = convention("GET", "/elsewhere", token=token).replace("/auth/", f"/auth/require/{name}/", 1)
            return ask(edge, data).status

        assert by_name("deploy", good) == 200
        assert by_name("deploy", other) == 403
        assert by_name("deploy", None) == 401
        assert by_name("nothing", good) in (400, 403, 404, 500)


SMUGGLED = {
    "two lengths": "GET /auth/nginx HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nContent-Length: 0\r\n{q}\r\n",
    "length and chunks": "POST /auth/nginx HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n{q}\r\n0\r\n\r\n",
    "chunks": "POST /auth/nginx HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n{q}\r\n0\r\n\r\n",
    "chunks, hidden": "POST /auth/nginx HTTP/1.1\r\nHost: t\r\nTransfer-Encoding : chunked\r\n{q}\r\n0\r\n\r\n",
    "two hosts": "GET /auth/nginx HTTP/1.1\r\nHost: t\r\nHost: u\r\n{q}\r\n",
    "no host": "GET /auth/nginx HTTP/1.1\r\n{q}\r\n",
    "bare LF": "GET /auth/nginx HTTP/1.1\nHost: t\n{q}\n",
    "bare CR": "GET /auth/nginx HTTP/1.1\r\nHost: t\rX: y\r\n{q}\r\n",
    "a folded header": "GET /auth/nginx HTTP/1.1\r\nHost: t\r\nX: y\r\n z\r\n{q}\r\n",
    "NUL": "GET /auth/nginx HTTP/1.1\r\nHost: t\r\nX: a\x00b\r\n{q}\r\n",
    "a space in a name": "GET /auth/nginx HTTP/1.1\r\nHost: t\r\nX y: z\r\n{q}\r\n",
    "no version": "GET /auth/nginx\r\n\r\n",
    "another version": "GET /auth/nginx HTTP/2.0\r\nHost: t\r\n{q}\r\n",
    "a body": "POST /auth/nginx HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n{q}\r\nabcd",
    "many headers": "GET /auth/nginx HTTP/1.1\r\nHost: t\r\n" + "A: b\r\n" * 300 + "{q}\r\n",
    "a huge header": "GET /auth/nginx HTTP/1.1\r\nHost: t\r\nA: " + "b" * 70000 + "\r\n{q}\r\n",
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_could_be_read_in_two_ways_is_not_read(tollgate, edge, name):
    _, secret = tollgate.create("CI")
    question = (f"X-Original-Method: GET\r\nX-Original-URI: /v1/x\r\nX-Original-Host: a\r\n"
                f"Authorization: Bearer {secret}\r\n")
    before = admitted(tollgate, edge)
    with Connection(edge.http) as connection:
        answer = connection.ask(SMUGGLED[name].replace("{q}", question))
        assert answer is not None and answer.status in (400, 411, 413, 431, 505), answer
        assert connection.answer() is None, "nothing of it is taken for another request"
    assert admitted(tollgate, edge) == before


@pytest.mark.parametrize("target", [
    "/v1/deploys/../x", "/v1/%2e%2e/healthz", "//healthz", "/healthz/..;/v1", "/v1/x%2fdeploys", "/v1/x%5cdeploys",
    "/v1\\deploys", "/healthz;x=1/v1", "/v1/%00", "/v1/%252e%252e/x", "/healthz%3f/v1", "/./healthz", "/v1/x%",
    "http://other.example/healthz/../v1", "*", "healthz"])
def test_a_path_that_two_programs_read_differently_is_refused(tollgate, edge, target):
    _, secret = tollgate.create("CI", "--scope", "admin")
    for convention in (nginx, caddy):
        for token in (None, secret):
            assert status_of(convention, ask(edge, convention("GET", target, token=token))) in (400, 401, 403, 404)


def test_a_revoked_token_is_refused_on_the_next_request(tollgate, edge):
    for convention in CONVENTIONS.values():
        token_id, secret = tollgate.create(f"CI {convention.__name__}")
        with Connection(edge.http) as kept:
            assert kept.ask(convention("GET", "/v1/x", token=secret)).status == 200
            tollgate.cli("token", "revoke", token_id, "--yes", "--wait")
            answer = kept.ask(convention("GET", "/v1/x", token=secret))
            assert answer.status == 401 and json.loads(answer.body)["reason"] == "REVOKED"
        assert ask(edge, convention("GET", "/v1/x", token=secret)).status == 401


def test_of_a_hundred_clients_none_passes_after_the_receipt(tollgate, edge):
    token_id, secret = tollgate.create("CI")
    crowd = Crowd(100, edge.http, nginx("GET", "/v1/x", token=secret))
    until("all of them pass", lambda: len(crowd.answers) > 1000)
    tollgate.cli("token", "revoke", token_id, "--yes", "--wait")
    receipt = time.monotonic()
    many = len(crowd.answers)
    until("they go on asking", lambda: len(crowd.answers) > many + 1000)
    answers = crowd.end()
    assert {status for _, status in answers} == {200, 401}
    assert {status for begun, status in answers if begun > receipt} == {401}


def test_without_a_lease_nobody_passes_and_nobody_is_accused(tollgate):
    tollgate.start_service()
    _, secret = tollgate.create("CI")
    tollgate.service.stop()
    edge = tollgate.prepare_validator("edge-1", "--policy", write_policy(tollgate.home), "--http-listen", "127.0.0.1:0")
    edge.start()
    edge.http = edge.ready["http"][0]
    for convention in CONVENTIONS.values():
        answer = ask(edge, convention("GET", "/v1/x", token=secret))
        assert answer.status == 503 and int(answer.header("Retry-After")) >= 1
        assert json.loads(answer.body)["reason"] == "NO_LEASE" and not answer.all("WWW-Authenticate")
        assert ask(edge, convention("GET", "/healthz")).status == 200, "what needs no token needs no lease"
        assert ask(edge, convention("GET", "/v1/x")).status == 401


def test_a_validator_that_drains_admits_nothing_and_then_nobody_answers(tollgate, edge):
    _, secret = tollgate.create("CI")
    data = nginx("GET", "/v1/x", token=secret)
    crowd = Crowd(4, edge.http, data)
    until("they pass", lambda: len(crowd.answers) > 20)
    crowd.stop.set()
    assert edge.stop() == 0
    with pytest.raises(OSError):
        Connection(edge.http)
    assert not os.path.exists(edge.http.removeprefix("unix:"))


def test_no_answer_is_given_twice(tollgate, edge):
    _, secret = tollgate.create("CI")
    ids = set()
    with Connection(edge.http) as connection:
        for _ in range(50):
            for data in (nginx("GET", "/v1/x", token=secret), nginx("GET", "/v1/x"), nginx("GET", "/healthz")):
                ids.add(connection.ask(data).header("Tollgate-Decision"))
    assert len(ids) == 150


def test_what_it_did_is_measured(tollgate, edge):
    _, secret = tollgate.create("CI")
    with Connection(edge.http) as connection:
        for token in (secret, None):
            connection.ask(nginx("GET", "/v1/x", token=secret if token else None))
        connection.ask(nginx("GET", "/v1/../x", token=secret))
        text = tollgate.metrics(edge)
        for verdict in ("admit", "deny", "refused"):
            assert metric(text, "tollgate_validator_front_answers_total", front="forward_auth", verdict=verdict) == 1
        for address in edge.ready["http"]:
            assert metric(text, "tollgate_http_connections_accepted_total", address=address) is not None
    assert metric(text, "tollgate_http_answers_total", address=edge.http, code="401") == 1
    types = [line for line in text.splitlines() if line.startswith("# TYPE ")]
    assert len(types) == len(set(types)), "each family once, whatever the number of addresses"


def test_who_is_slow_or_only_holds_connections_keeps_nobody_from_asking(tollgate, edge):
    _, secret = tollgate.create("CI")
    data = nginx("GET", "/v1/x", token=secret)
    slow = Connection(edge.http)
    slow.send(data[:20])
    idle = [Connection(edge.http) for _ in range(600)]  # more than there may be
    for _ in range(20):
        assert ask(edge, data).status == 200
    text = tollgate.metrics(edge)
    assert metric(text, "tollgate_http_connections_cut_total", address=edge.http, reason="displaced") > 0
    assert metric(text, "tollgate_http_connections", address=edge.http) <= 1200
    for connection in idle:
        connection.close()
    half = Connection(edge.http)  # a request that never comes to its end
    half.send(data[:-2])
    answer = half.answer()
    assert answer.status == 408 and half.answer() is None
    assert metric(tollgate.metrics(edge), "tollgate_http_connections_cut_total", address=edge.http,
                  reason="slow_request") > 0
    slow.close()
    half.close()


# ---- The policy file.


def policy_state(tollgate, edge):
    text = tollgate.metrics(edge)
    return (metric(text, "tollgate_validator_policy_ok"),
            metric(text, "tollgate_validator_policy_loads_total", result="in_force"),
            metric(text, "tollgate_validator_policy_loads_total", result="refused"))


def test_a_policy_is_read_again_when_it_changes_all_or_nothing(tollgate, edge):
    _, secret = tollgate.create("CI")
    health = tollgate.client(edge.socket)

    def status(target):
        return ask(edge, caddy("GET", target, token=secret)).status

    assert status("/new") == 403 and policy_state(tollgate, edge) == (1, 1, 0)
    assert health.serving("tollgate.policy")
    write_policy(tollgate.home, POLICY + "  - {path: /new, needs: token}\n")
    until("the new route is there", lambda: status("/new") == 200)
    assert policy_state(tollgate, edge) == (1, 2, 0)

    write_policy(tollgate.home, POLICY + "  - {path: /new, neds: token}\n")
    until("the bad file is refused", lambda: policy_state(tollgate, edge) == (0, 2, 1))
    assert not health.serving("tollgate.policy") and health.serving("readiness")
    assert status("/new") == 200, "what was in force stays in force"
    line = POLICY.count("\n") + 1
    told = until("it is told", lambda: [
        r for r in edge.records() if r["message"].startswith("the policy file is refused")])
    assert len(told) == 1 and f"policy.yaml:{line}: " in told[0]["error"] and "needs" in told[0]["error"], told

    edge.signal(signal.SIGHUP)
    until("it is read because somebody asks", lambda: policy_state(tollgate, edge) == (0, 2, 2))
    os.unlink(os.path.join(tollgate.home, "policy.yaml"))
    until("a file that is gone is told of", lambda: policy_state(tollgate, edge) == (0, 2, 3))
    assert status("/new") == 200
    write_policy(tollgate.home)
    until("it is good again", lambda: status("/new") == 403)
    assert health.serving("tollgate.policy")
    edge.signal(signal.SIGHUP)
    until("SIGHUP reads it", lambda: policy_state(tollgate, edge) == (1, 4, 3))
    assert edge.process.poll() is None


def test_a_config_map_that_is_swapped_is_a_change(tollgate):
    tollgate.start_service()
    _, secret = tollgate.create("CI")
    mount = os.path.join(tollgate.home, "mount")
    for version, more in (("..1", ""), ("..2", "  - {path: /new, needs: token}\n")):
        os.makedirs(os.path.join(mount, version))
        with open(os.path.join(mount, version, "policy.yaml"), "w", encoding="utf-8") as file:
            file.write(POLICY + more)
    os.symlink("..1", os.path.join(mount, "..data"))
    os.symlink("..data/policy.yaml", os.path.join(mount, "policy.yaml"))
    edge = tollgate.start_validator("edge-1", "--policy", os.path.join(mount, "policy.yaml"), "--http-listen",
                                    f"unix:{tollgate.home}/http.sock")
    edge.http = edge.ready["http"][0]
    assert ask(edge, caddy("GET", "/new", token=secret)).status == 403
    os.symlink("..2", os.path.join(mount, "..data_tmp"))
    os.rename(os.path.join(mount, "..data_tmp"), os.path.join(mount, "..data"))
    until("the new route is there", lambda: ask(edge, caddy("GET", "/new", token=secret)).status == 200)


def refused_start(*arguments):
    done = subprocess.run(
        [os.path.join(BIN, "tollgate-validator"), "--service", "127.0.0.1:1", "--id", "edge-1", "--listen",
         "127.0.0.1:0", "--metrics-listen", "", *arguments], capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stderr


def test_a_start_that_would_serve_nobody_well_is_refused(home):
    code, words = refused_start("--http-listen", "127.0.0.1:0")
    assert code == 2 and "--http-listen" in words and "--policy FILE" in words, words
    code, words = refused_start("--policy", f"{home}/none.yaml")
    assert code == 2 and f"{home}/none.yaml" in words and "No such file" in words, words
    policy = write_policy(home, POLICY.replace("version: 1", "version: 7"))
    code, words = refused_start("--policy", policy)
    assert code == 2 and f"{policy}:1: " in words, words
    policy = write_policy(home)
    code, words = refused_start("--policy", policy, "--http-listen", "0.0.0.0:0")
    assert code == 4 and "other hosts can reach" in words and "--allow-plaintext" in words, words
    code, words = refused_start("--policy", policy, "--http-listen", "nowhere")
    assert code == 2, words
