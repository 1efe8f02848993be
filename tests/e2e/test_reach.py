"""Whatever keeps a validator or an operator from the service has words of its own, in both programs."""
import concurrent.futures
import http.server
import os
import socket
import ssl
import subprocess
import threading

import grpc
import pytest
from authority import Authority
from installation import ADMIT, BIN, until

LOOPBACK = "IP:127.0.0.1"


class Addresses:
    """Addresses at which something is wrong, held for as long as this object lives."""

    def __init__(self, home):
        self.home = home
        self.sockets = []
        self.servers = []

    def close(self):
        for server in self.servers:
            server()
        for one in self.sockets:
            one.close()

    def _bound(self):
        one = socket.socket()
        self.sockets.append(one)
        one.bind(("127.0.0.1", 0))
        return one, f"127.0.0.1:{one.getsockname()[1]}"

    def refused(self):
        return self._bound()[1]

    def silent(self):
        listener, address = self._bound()
        listener.listen(64)
        return address

    def full(self):
        """A listener that never accepts, and whose backlog is full: to whoever comes the kernel says nothing."""
        listener, address = self._bound()
        listener.listen(0)
        while True:
            one = socket.socket()
            self.sockets.append(one)
            one.settimeout(0.5)
            try:
                one.connect(listener.getsockname())
            except socket.timeout:
                return address

    def hanging_up(self):
        listener, address = self._bound()
        listener.listen(64)

        def serve():
            while True:
                try:
                    listener.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        self.servers.append(lambda: listener.shutdown(socket.SHUT_RDWR))
        return address

    def http(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        server.RequestHandlerClass.log_message = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(lambda: (server.shutdown(), server.server_close()))
        return f"127.0.0.1:{server.server_port}"

    def tls(self, certificate, key):
        """Shakes hands, and no more."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols(["h2"])
        listener, address = self._bound()
        listener.listen(64)

        def serve():
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                try:
                    connection.settimeout(5)
                    with context.wrap_socket(connection, server_side=True) as secured:
                        secured.recv(100)
                except OSError:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        self.servers.append(lambda: listener.shutdown(socket.SHUT_RDWR))
        return address

    def grpc(self):
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=2))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.servers.append(lambda: server.stop(None).wait())
        return f"127.0.0.1:{port}"

    def forbidden(self):
        path = os.path.join(self.home, "forbidden.sock")
        one = socket.socket(socket.AF_UNIX)
        self.sockets.append(one)
        one.bind(path)
        one.listen(1)
        os.chmod(path, 0)
        return f"unix:{path}"

    def deserted(self):
        path = os.path.join(self.home, "deserted.sock")
        one = socket.socket(socket.AF_UNIX)
        one.bind(path)
        one.close()
        return f"unix:{path}"


@pytest.fixture
def addresses(home):
    made = Addresses(home)
    yield made
    made.close()


# Runs a program for which modes hold, though root starts it.
UNPRIVILEGED = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def cases(tollgate, addresses, home):
    """(name, address, TLS files (ca, certificate), what both say: reason, words, exit code)"""
    authority, other = Authority(home), Authority(home, "other-ca")
    service = authority.issue("tollgated", "URI:spiffe://tollgate.test/tollgated", LOOPBACK)
    secured = tollgate.prepare_service("--tls-cert", service[0], "--tls-key", service[1], "--client-ca", authority.ca)
    secured.arguments[secured.arguments.index("--store") + 1] = os.path.join(home, "secured")
    secured.name, secured.ready_file = "secured", os.path.join(home, "secured.ready")
    secured.log = os.path.join(home, "secured.log")
    secured.start()
    tls_port = secured.ready["listen"][0]
    tollgate.start_service()
    edge = tollgate.start_validator("another")
    expired = authority.issue_expired("expired", LOOPBACK)
    elsewhere = authority.issue("elsewhere", "DNS:elsewhere.example")
    stranger = other.issue("stranger", "URI:spiffe://tollgate.test/stranger")
    ours = (authority.ca, None)
    return [
        ("refused", addresses.refused(), None, "CONNECTION_REFUSED", "connection refused", 5),
        ("full", addresses.full(), None, "CONNECT_TIMED_OUT", "no answer to connecting", 5),
        ("silent", addresses.silent(), None, "PEER_SILENT", "says nothing", 5),
        ("hanging-up", addresses.hanging_up(), None, "CONNECTION_CLOSED", "without a word", 5),
        ("unknown-name", "nosuch.invalid:7411", None, "NAME_NOT_FOUND", "nosuch.invalid is not found", 5),
        ("missing", f"unix:{home}/none.sock", None, "SOCKET_MISSING", "no such socket", 5),
        ("deserted", addresses.deserted(), None, "CONNECTION_REFUSED", "nobody listens on the socket", 5),
        ("forbidden", addresses.forbidden(), None, "CONNECT_DENIED", "permission denied on the socket", 4),
        ("http", addresses.http(), None, "NOT_GRPC", "an HTTP/1 server", 1),
        ("grpc", addresses.grpc(), None, "NOT_TOLLGATE", "a gRPC server that is not Tollgate's", 1),
        ("validator", edge.socket, None, "IS_A_VALIDATOR", "is a validator", 1),
        ("wants-tls", tls_port, None, "TLS_WANTED", "it speaks TLS there", 4),
        ("wants-no-tls", tollgate.address, ours, "TLS_NOT_SPOKEN", "it speaks plaintext there", 4),
        ("untrusted", tls_port, (other.ca, None), "PEER_NOT_TRUSTED", "not signed by the authority given", 4),
        ("other-name", addresses.tls(*elsewhere), ours, "PEER_NAME_DIFFERS",
         "its certificate bears another name: elsewhere.example", 4),
        ("expired", addresses.tls(*expired), ours, "PEER_NOT_VALID_NOW", "certificate has expired", 4),
        ("no-certificate", tls_port, ours, "CERTIFICATE_WANTED", "it wants a client certificate", 4),
        ("wrong-certificate", tls_port, (authority.ca, stranger), "CERTIFICATE_REFUSED",
         "does not take this side's certificate", 4),
    ]


def told(program):
    return [line for line in program.records() if line["message"].startswith("cannot reach the service")]


def test_each_obstacle_has_its_own_words(tollgate, addresses, home):
    every = cases(tollgate, addresses, home)
    validators = []
    for name, address, tls, reason, words, _ in every:
        program = tollgate.prepare_validator(f"at-{name}")
        program.arguments[program.arguments.index("--service") + 1] = address
        program.arguments.append("--allow-plaintext")
        if tls is not None:
            program.arguments += ["--service-ca", tls[0]]
            if tls[1] is not None:
                program.arguments += ["--service-cert", tls[1][0], "--service-key", tls[1][1]]
        program.prefix = UNPRIVILEGED
        program.launch()
        validators.append((program, address, reason, words))

    def command(case):
        _, address, tls, *_ = case
        flags = ["--service", address, "--timeout", "2s", "--allow-plaintext"]
        if tls is not None:
            flags += ["--tls-ca", tls[0]]
            if tls[1] is not None:
                flags += ["--tls-cert", tls[1][0], "--tls-key", tls[1][1]]
        return subprocess.run(
            [*UNPRIVILEGED, os.path.join(BIN, "tollgate"), *flags, "token", "create", "-w", "acme", "--label", "x"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "TOLLGATE_CONFIG": ""})

    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        for case, done in zip(every, pool.map(command, every)):
            name, _, _, reason, words, code = case
            if "(reason PEER_SILENT)" in done.stderr or "(reason NO_ANSWER_IN_TIME)" in done.stderr:
                done = command(case)  # a loaded machine: now there is less
            assert done.returncode == code, f"{name}: {done.returncode} {done.stderr}"
            assert f"(reason {reason})" in done.stderr and words in done.stderr, f"{name}: {done.stderr}"
            # What waiting does not mend was never asked of anybody: nothing can have been made.
            if code != 5:
                assert "may have been made" not in done.stderr, f"{name}: {done.stderr}"
    for program, address, reason, words in validators:
        # A look on a loaded machine may be too short, and the next one is told anew.
        until(f"{program.name} says {reason}", lambda program=program, reason=reason: any(
            line["reason"] == reason for line in told(program)))
        first = next(line for line in told(program) if line["reason"] == reason)
        assert first["message"].startswith(f"cannot reach the service at {address}: "), first
        assert words in first["message"] and "; admitting nothing until it answers" in first["message"], first
        assert first["service"] == address and first["tries"] >= 1 and first["seconds"] >= 1, first
    # It is told again when a minute has passed, not with each try.
    for program, _, reason, _ in validators:
        assert [line["reason"] for line in told(program)].count(reason) == 1, program.tail()
        assert not any("CANCELLED" in record["message"] for record in program.records()), program.tail()


def test_who_asks_the_wrong_one_of_ours_is_told_so(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    at_edge = tollgate.cli("token", "list", "--service", edge.socket, as_json=False, code=1)
    assert at_edge.stderr.startswith(
        f"failed: {edge.socket} is a validator. This command asks the service: usually localhost:7411 or "
        "unix:/run/tollgate/service.sock"), at_edge.stderr
    watching = tollgate.cli("events", "watch", "--service", edge.socket, as_json=False, code=1)
    assert "(reason IS_A_VALIDATOR)" in watching.stderr
    at_service = tollgate.cli("token", "check", "--edge", tollgate.address, secret="tgw_x\n", as_json=False, code=1)
    assert at_service.stderr.startswith(
        f"failed: {tollgate.address} is the service. This command asks a validator: usually localhost:7413"
    ), at_service.stderr
    assert "(reason IS_THE_SERVICE)" in at_service.stderr


def test_a_service_of_another_brand_is_told_by_its_reason(tollgate):
    tollgate.start_service("--brand", "other")
    edge = tollgate.prepare_validator().start()
    until("it says why", lambda: told(edge))
    line = told(edge)[0]
    assert line["reason"] == "BRAND_DIFFERS" and line["level"] == "error", line
    assert "--brand other" in line["message"], line


def test_an_outage_is_told_once_and_so_is_its_end(tollgate):
    tollgate.start_service("--lease", "60s", "--ping-interval", "500ms")
    edge = tollgate.start_validator()
    _, secret = tollgate.create("outlives an outage")
    assert tollgate.check(edge, secret) == ADMIT
    tollgate.service.kill()
    until("it says why", lambda: any(line["reason"] == "CONNECTION_REFUSED" for line in told(edge)))
    line = next(line for line in told(edge) if line["reason"] == "CONNECTION_REFUSED")
    # Its lease lives: it says for how long it goes on.
    assert "; admitting from memory for " in line["message"], line
    assert tollgate.check(edge, secret) == ADMIT
    tollgate.restart_service()

    def again():
        return [line for line in edge.records() if line["message"].startswith("following the service again, after")]

    until("it says that it is back", again)
    assert again()[0]["seconds"] >= line["seconds"], again()
    assert [line["reason"] for line in told(edge)].count("CONNECTION_REFUSED") == 1
