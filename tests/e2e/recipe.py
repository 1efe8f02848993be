"""What every recipe of examples/ shows, through the real proxy on the recipe's own files."""
import collections
import json
import os
import re
import shutil
import subprocess
import time

import proxies
import real_envoy
from installation import until

SOURCE = os.environ.get("TOLLGATE_SOURCE") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))


class Recipe:
    """One in a folder of its own, with the addresses that are free here; the service behind it; and its validator.
    A policy, if one is given, stands in place of the recipe's."""

    def __init__(self, tollgate, name, *validator, policy=None):
        self.tollgate = tollgate
        self.folder = os.path.join(tollgate.home, name)
        shutil.copytree(os.path.join(SOURCE, "examples", name), self.folder)
        if policy is not None:
            proxies.write_policy(self.folder, policy)
        self.upstream = proxies.Upstream()
        self.address = f"127.0.0.1:{proxies.free_port()}"
        tollgate.start_service()
        self.edge = tollgate.start_validator(
            "edge-1", "--policy", os.path.join(self.folder, "policy.yaml"),
            "--http-listen", f"unix:{tollgate.home}/http.sock", "--http-listen", f"127.0.0.1:{proxies.free_port()}", *validator)
        self.socket, self.tcp = self.edge.ready["http"]
        self.process = None
        self.envoy = None  # the proxy, where Envoy plays its part (derived_envoy.py)
        self.log = os.path.join(self.folder, "log")

    def put(self, file, **more):
        """Puts this place's addresses into one of the recipe's files, where each stands at least once."""
        path = os.path.join(self.folder, file)
        with open(path, encoding="utf-8") as read:
            text = read.read()
        for old, new in more.items():
            assert old in text, f"{file} has no {old}"
            text = text.replace(old, new)
        with open(path, "w", encoding="utf-8") as written:
            written.write(text)

    def start(self, command):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, "HOME": self.folder, "XDG_CONFIG_HOME": self.folder,
                                                 "XDG_DATA_HOME": self.folder})

        def serves():
            assert self.process.poll() is None, open(self.log, encoding="utf-8", errors="replace").read()
            try:
                with proxies.Connection(self.address) as connection:
                    return connection.ask(proxies.request("GET /healthz", "api.example")).status == 200
            except OSError:
                return False

        until("the proxy serves", serves)

    def close(self):
        if self.envoy is not None:
            self.envoy.close()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.upstream.close()

    def ask(self, line, *headers, token=None, connection=None, host="api.example"):
        data = proxies.request(line, host, *headers, token=token)
        if connection is not None:
            return connection.ask(data)
        with proxies.Connection(self.address) as once:
            return once.ask(data)

    def refused(self, status, *question, reason=None, **more):
        """Asks, and finds itself refused with nothing sent on."""
        before = len(self.upstream.requests)
        answer = self.ask(*question, **more)
        assert answer.status == status, answer
        assert len(self.upstream.requests) == before, "a refused request went on"
        if reason is not None:
            assert json.loads(answer.body)["reason"] == reason, answer
        return answer

    def identity(self):
        """What the service was told of who speaks, without what is empty."""
        _, _, headers = self.upstream.last()
        told = {}
        for name, values in headers.items():
            if name.startswith("x-tollgate-") and values != [""]:
                assert len(values) == 1, f"{name}: {values}"
                told[name.removeprefix("x-tollgate-")] = values[0]
        return told

    # ---- What each shows.

    def shows_who_passes(self, tells_the_caller=True):
        token_id, secret = self.tollgate.create("CI", "--scope", "deploy:write", "--owner", "team-a", "--expires-in", "1d")
        answer = self.ask("POST /v1/deploys?x=1", "Content-Length: 0", token=secret)
        assert answer.status == 200 and answer.body == b"behind the door\n", answer
        if tells_the_caller:
            assert answer.header("Tollgate-Decision") and answer.header("Tollgate-Token-Expires"), answer
        method, path, headers = self.upstream.last()
        assert (method, path) == ("POST", "/v1/deploys?x=1")
        told = self.identity()
        assert told.pop("expires").endswith("Z")
        assert told == {"workspace": "acme", "token": token_id, "owner": "team-a", "scopes": "deploy:write"}
        assert headers.get("authorization", [""]) == [""], "the token ends at the door"
        # Names that the client brings are dropped, where a token was needed and where none was.
        spoofed = ["X-Tollgate-Owner: root", "X-Tollgate-Scopes: admin", "x-tollgate-workspace: other"]
        assert self.ask("GET /v1/x", *spoofed, token=secret).status == 200
        assert self.identity()["owner"] == "team-a" and self.identity()["workspace"] == "acme"
        assert self.ask("GET /healthz", *spoofed).status == 200
        assert self.identity() == {}
        with proxies.Connection(self.address) as connection:  # a body goes on, and the connection stays
            for _ in range(3):
                connection.send(proxies.request("POST /v1/deploys", "api.example", "Content-Length: 5", token=secret) + "hello")
                assert connection.answer().status == 200

    def shows_that_no_spelling_of_an_identity_passes(self, statuses=(200,), settings="HTTP2-Settings: evil"):
        """Services with CGI's variables read `_` as `-`, and `Connection` strikes headers out."""
        token_id, secret = self.tollgate.create("CI", "--owner", "team-a", "--scope", "items:read")
        spelt = ["X_Tollgate_Workspace: evil", "X-Tollgate_Owner: evil", "x_tollgate-scopes: evil", "X_TOLLGATE_TOKEN: evil",
                 "X-Original-URL: /evil", "X-Rewrite-URL: /evil", settings]
        for line, token in (("GET /healthz", None), ("GET /healthz", secret), ("GET /v1/x", secret)):
            for headers in (spelt, *([header] for header in spelt)):
                before = len(self.upstream.requests)
                answer = self.ask(line, *headers, token=token)
                assert answer.status in statuses, answer
                assert (answer.status == 200) == (len(self.upstream.requests) == before + 1), answer
                if answer.status == 200:
                    _, _, went = self.upstream.last()
                    assert "evil" not in str(went), (line, headers, went)
                    assert went.get("authorization", [""]) == [""], "the token ends at the door"
        names = "X-Tollgate-Workspace, X-Tollgate-Owner, X-Tollgate-Token, X-Tollgate-Scopes, Authorization"
        for lines in ([f"Connection: {names}"], [f"Connection: keep-alive, {names}"],
                      ["Connection: keep-alive", f"Connection: {names}"]):
            answer = self.ask("GET /v1/x", *lines, token=secret)
            if answer.status == 401:  # it struck the token out before the check
                continue
            assert answer.status == 200, answer
            assert self.identity() == {"workspace": "acme", "token": token_id, "owner": "team-a", "scopes": "items:read"}
            assert "tollgate" not in str(self.upstream.last()[2].get("connection")).lower()

    def shows_that_only_websockets_are_upgraded(self, websocket=True, connection="upgrade"):
        """Behind an upgrade to HTTP/2 would come requests that nobody judges. `connection`: what goes on with one."""
        for lines in (["Upgrade: h2c"], ["Upgrade: h2c, websocket"], ["Upgrade: websocket, h2c"],
                      ["Upgrade: h2c", "Upgrade: websocket"], ["Upgrade: websocket", "Upgrade: h2c"], ["upgrade: H2C"]):
            before = len(self.upstream.requests)
            self.ask("GET /healthz", "Connection: Upgrade, HTTP2-Settings", *lines, "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
            for _, _, headers in self.upstream.requests[before:]:
                went = {name.lower(): value.lower() for name, value in headers}
                assert went.get("upgrade", "websocket") == "websocket", (lines, headers)
                assert [name for name, _ in headers].count("upgrade") <= 1, (lines, headers)
                assert "http2-settings" not in str(headers), (lines, headers)
        for spelt in ("websocket", "WebSocket"):
            if websocket:
                answer = self.ask("GET /healthz", "Connection: keep-alive, Upgrade", f"Upgrade: {spelt}",
                                  "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
                assert answer.status == 101, answer
                _, _, headers = self.upstream.last()
                assert [value.lower() for value in headers["upgrade"]] == ["websocket"], headers
                assert headers["connection"][0].lower() == connection, headers

    def shows_what_the_caller_is_told(self):
        """Exactly what the validator says, and nothing where it says nothing."""
        _, far = self.tollgate.create("far", "--expires-in", "300d")
        _, near = self.tollgate.create("near", "--expires-in", "1d")
        decision = re.compile(r"[A-Za-z0-9_.-]+")
        for line, token, status in (("GET /v1/x", far, 200), ("GET /v1/x", near, 200), ("GET /healthz", None, 200),
                                    ("GET /v1/x", None, 401), ("GET /elsewhere", far, 403)):
            answer = self.ask(line, token=token)
            assert answer.status == status, answer
            assert decision.fullmatch(answer.header("Tollgate-Decision")), answer
            expires = answer.header("Tollgate-Token-Expires") or ""
            if token == near:
                assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", expires), answer
            else:
                assert expires == "", answer
            assert answer.header("Sunset") in (None, "") or token == near, answer
            assert "{http" not in str(answer.headers), answer
            assert "{http" not in str(self.upstream.requests[-1:]), self.upstream.requests[-1]

    def shows_who_does_not(self, normalizes=False):
        """`normalizes`: the proxy resolves `..` before it asks, and sends on what it asked for."""
        _, reader = self.tollgate.create("reader", "--scope", "items:read")
        none = self.refused(401, "POST /v1/deploys", "Content-Length: 0", reason="NO_TOKEN")
        assert none.header("WWW-Authenticate") == 'Bearer realm="example"', none
        assert none.header("Cache-Control") == "no-store", none
        self.refused(401, "GET /v1/x", token="tgw_nonsense", reason="MALFORMED")
        narrow = self.refused(403, "DELETE /v1/deploys/7", token=reader, reason="INSUFFICIENT_SCOPE")
        assert 'error="insufficient_scope"' in narrow.header("WWW-Authenticate"), narrow
        self.refused(403, "GET /elsewhere", token=reader, reason="NO_ROUTE")
        if normalizes:
            self.refused(403, "DELETE /healthz/%2e%2e/v1/deploys", token=reader, reason="INSUFFICIENT_SCOPE")
        else:
            self.refused(400, "GET /healthz/%2e%2e/v1/deploys", token=reader, reason="PATH_AMBIGUOUS")
        # A client's words to the door, in every proxy's way, are not heard.
        forged = [f"X-{kind}-{what}" for kind in ("Original", "Forwarded")
                  for what in ("Method: GET", "URI: /healthz", "Uri: /healthz", "Host: other.example")]
        self.refused(401, "POST /v1/deploys", *forged, "Content-Length: 0", reason="NO_TOKEN")

    def shows_that_revoked_is_refused_on_the_next_request(self):
        token_id, secret = self.tollgate.create("CI")
        with proxies.Connection(self.address) as kept:
            assert self.ask("GET /v1/x", token=secret, connection=kept).status == 200
            self.tollgate.cli("token", "revoke", token_id, "--yes", "--wait")
            self.refused(401, "GET /v1/x", token=secret, connection=kept, reason="REVOKED")

    def shows_that_nobody_passes_after_the_receipt(self):
        token_id, secret = self.tollgate.create("CI")
        crowd = proxies.Crowd(100, self.address, proxies.request("GET /v1/x", "api.example", token=secret))
        until("all of them pass", lambda: len(crowd.answers) > 500)
        self.tollgate.cli("token", "revoke", token_id, "--yes", "--wait")
        receipt = time.monotonic()
        many = len(crowd.answers)
        until("they go on asking", lambda: len(crowd.answers) > many + 500)
        answers = crowd.end()
        late = collections.Counter(status for begun, status in answers if begun > receipt)
        # A proxy on a machine that is too busy may give up on the check, and says so; it passes nobody by that.
        assert late[401] > 0 and late[200] == 0, (late, crowd.others[:3])
        assert {status for _, status in answers} - {502, 503, 504} == {200, 401}, crowd.others[:3]

    def shows_that_no_answer_is_replayed(self):
        _, secret = self.tollgate.create("CI")
        ids = [self.ask("GET /v1/x", token=secret).header("Tollgate-Decision") for _ in range(20)]
        assert len(set(ids)) == 20 and None not in ids
        seen = self.tollgate.cli("doctor", "edge", "--token", f"http://{self.address}/v1/x", secret=secret)
        assert seen == {"asked": 8, "statuses": {"200": 8}, "ids": 8, "without_id": 0, "replayed": 0}

    def shows_that_without_a_validator_nobody_passes(self, *statuses):
        _, secret = self.tollgate.create("CI")
        assert self.ask("GET /v1/x", token=secret).status == 200
        assert self.edge.stop() == 0
        before = len(self.upstream.requests)
        for line in ("GET /v1/x", "GET /healthz"):
            answer = self.ask(line, token=secret)
            assert answer.status in statuses, answer
        assert len(self.upstream.requests) == before
        self.edge.start()
        self.tollgate.wait_in_sync(self.edge)
        until("it passes again", lambda: self.ask("GET /v1/x", token=secret).status == 200)


# ---- Each with its proxy, started. The changes are made to the recipe's own file before.


def nginx(tollgate, policy=None, validator=(), tls=None, **changes):
    """`tls`: what nginx is to say of TLS towards the validator, which it then asks over TCP."""
    made = Recipe(tollgate, "nginx", *validator, policy=policy)
    if tls is not None:
        made.put("nginx.conf", **{"server unix:/run/tollgate/http.sock;": f"server {made.tcp};",
                                  "proxy_pass http://tollgate/auth/nginx;": f"proxy_pass https://tollgate/auth/nginx; {tls}"})
    temporary = " ".join(f"{kind}_temp_path {made.folder}/{kind};" for kind in
                         ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    made.put("nginx.conf", **changes)
    made.put("nginx.conf", **{"unix:/run/tollgate/http.sock": made.socket, "127.0.0.1:9000": made.upstream.address,
                              "127.0.0.1:8080": made.address, "http {": f"http {{\n{temporary} access_log off;"})
    user = "user root;" if os.geteuid() == 0 else ""  # so that its workers may use the socket
    made.start(["nginx", "-p", made.folder, "-e", "stderr", "-c", "nginx.conf",
                "-g", f"daemon off; pid {made.folder}/pid; {user}"])
    return made


def caddy(tollgate, policy=None, **changes):
    made = Recipe(tollgate, "caddy", policy=policy)
    made.put("Caddyfile", **changes)
    made.put("Caddyfile", **{"unix//run/tollgate/http.sock": "unix/" + made.socket.removeprefix("unix:"),
                             "127.0.0.1:9000": made.upstream.address, ":8080 {": f":{made.address.rsplit(':', 1)[1]} {{"})
    made.start(["caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"])
    return made


def haproxy(tollgate, policy=None, **changes):
    made = Recipe(tollgate, "haproxy", policy=policy)
    made.put("haproxy.cfg", **changes)
    made.put("haproxy.cfg", **{"127.0.0.1:9000": made.upstream.address, "127.0.0.1:8080": made.address})
    made.put("tollgate.lua", **{"127.0.0.1:7415": made.tcp})
    made.start(["haproxy", "-db", "-f", "haproxy.cfg"])
    return made


def envoy(tollgate, policy=None, **changes):
    """As real_envoy.Envoy, in front of the service that the other proxies have."""
    made = Recipe(tollgate, "envoy", policy=policy)
    made.put("envoy.yaml", **changes)
    made.put("envoy.yaml", **{"port_value: 10000": f"port_value: {made.address.rsplit(':', 1)[1]}",
                              "port_value: 10001": f"port_value: {made.upstream.address.rsplit(':', 1)[1]}",
                              "/run/tollgate/edge.sock": made.edge.socket.removeprefix("unix:")})
    made.start([real_envoy.BINARY, "-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"])
    return made
