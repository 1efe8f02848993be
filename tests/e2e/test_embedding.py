"""The embeddings of examples/, built against an installed tree that was moved, and run against a real service."""
import base64
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys

import grpc
import pytest

from installation import until

BUILD = os.path.dirname(os.environ["TOLLGATE_BIN"])
EXAMPLES = os.path.join(os.environ["TOLLGATE_SOURCE"], "examples")


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **more)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An installed tree, and not where it was installed to: it can be moved."""
    first = tmp_path_factory.mktemp("first") / "prefix"
    for component in ("edge", "programs"):
        run("cmake", "--install", BUILD, "--component", component, "--prefix", str(first))
    path = tmp_path_factory.mktemp("moved") / "prefix"
    shutil.move(str(first), str(path))
    return str(path)


@pytest.fixture(scope="module")
def environment(prefix):
    return {**os.environ, "LD_LIBRARY_PATH": f"{prefix}/lib", "PKG_CONFIG_PATH": f"{prefix}/lib/pkgconfig"}


def build_with_cmake(name, prefix, folder):
    run("cmake", "-G", "Ninja", "-S", os.path.join(EXAMPLES, name), "-B", str(folder),
        f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Debug",
        *(["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []))
    run("cmake", "--build", str(folder))
    return [str(folder / name)]


@pytest.fixture(scope="module")
def embed_cpp(prefix, tmp_path_factory):
    return build_with_cmake("embed-cpp", prefix, tmp_path_factory.mktemp("cpp"))


@pytest.fixture(scope="module")
def embed_c(environment, tmp_path_factory):
    # The header is C11, to the letter.
    flags = run("pkg-config", "--cflags", "--libs", "tollgate-edge", env=environment).split()
    program = str(tmp_path_factory.mktemp("c") / "embed-c")
    run("cc", "-std=c11", "-pedantic-errors", "-Wall", "-Wextra", "-Werror",
        os.path.join(EXAMPLES, "embed-c", "main.c"), *flags, "-o", program)
    return [program]


@pytest.fixture(scope="module")
def embed_python():
    return [sys.executable, os.path.join(EXAMPLES, "embed-python", "embed.py")]


class Host:
    """A program with an edge inside; it reads lines, and answers each with one."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=environment)

    def hear(self):
        line = self.process.stdout.readline()
        assert line, f"it ended: {self.process.stderr.read()}"
        return line.rstrip("\n")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.hear()

    def end(self):
        """(exit code, stderr)"""
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture
def start(environment):
    hosts = []

    def started(command):
        hosts.append(Host(command, environment))
        return hosts[-1]

    yield started
    for host in hosts:
        if host.process.poll() is None:
            host.process.kill()
            host.process.wait()


def revoke(tollgate, token):
    revoked = tollgate.cli("token", "revoke", token, "--yes", "--wait")
    assert revoked["receipt"]["state"] == "enforced"
    assert revoked["receipt"]["acknowledged"] == 1, "the embedded edge is one that receipts count"


def wait_followed(tollgate):
    """Its stream is open: admitting again may have needed no more than a question to the service."""
    until("the edge follows the service", lambda: tollgate.cli("validators", "list", "--problems", as_json=False).stdout
          == "No problems: 1 validator in sync.\n")


def lapses(tollgate):
    """Whether a receipt has nobody to wait for: the goodbye was heard."""
    token, _ = tollgate.create("nobody's")
    receipt = tollgate.cli("token", "revoke", token, "--yes", "--wait")["receipt"]
    return receipt.get("acknowledged", 0) == 0 and not receipt.get("lapsed") and not receipt.get("pending")


@pytest.mark.parametrize("language", ["cpp", "c", "python"])
def test_a_host_admits_until_it_is_revoked(tollgate, start, language, request):
    command = request.getfixturevalue(f"embed_{language}")
    tollgate.start_service()
    host = start([*command, tollgate.address, "deploy:write"])
    assert host.hear() == "live"

    token, secret = tollgate.create("good", "--scope", "deploy:write")
    narrow, narrow_secret = tollgate.create("narrow", "--scope", "deploy:read")
    assert host.ask(secret) == f"admit acme {token}"
    assert host.ask(secret) == f"admit acme {token}"
    assert host.ask(narrow_secret) == "deny a needed scope is missing"
    assert host.ask("") == "deny no token was presented"
    assert host.ask("tgw_" + "A" * 65) == "deny malformed"

    revoke(tollgate, token)
    assert host.ask(secret) == "deny revoked"

    host.process.stdin.close()
    host.process.stdin = None
    code, errors = host.end()
    assert code == 0, "the service has heard the goodbye"
    assert secret not in errors and narrow_secret not in errors
    assert lapses(tollgate)


def test_a_host_accuses_nobody_without_the_service(tollgate, start, embed_c):
    tollgate.start_service()
    host = start([*embed_c, tollgate.address])
    assert host.hear() == "live"
    _, secret = tollgate.create("good")
    tollgate.service.kill()
    answer = host.ask(secret)
    assert answer == "unavailable temporarily unavailable"
    tollgate.restart_service()
    until("it is admitted", lambda: host.ask(secret).startswith("admit "))
    wait_followed(tollgate)


def test_a_host_is_told_when_what_it_holds_ends(tollgate, start, embed_python):
    tollgate.start_service()
    host = start([*embed_python, tollgate.address, "deploy:write"])
    assert host.hear() == "live"
    token, secret = tollgate.create("held", "--scope", "deploy:write")
    _, kept_secret = tollgate.create("kept", "--scope", "deploy:write")
    _, narrow_secret = tollgate.create("narrow", "--scope", "deploy:read")
    assert host.ask(f"hold {narrow_secret}") == "deny a needed scope is missing"
    assert host.ask(f"hold {secret}") == f"admit acme {token}"
    assert host.ask(f"hold {kept_secret}").startswith("admit acme ")
    revoke(tollgate, token)
    assert host.hear() == "ended revoked"

    host.process.stdin.close()
    host.process.stdin = None
    assert host.hear() == "ended the edge has been stopped"
    code, _ = host.end()
    assert code == 0, "the goodbye was heard, although holds were open"
    assert lapses(tollgate)


@pytest.fixture(scope="module")
def grpc_service(prefix, tmp_path_factory):
    return build_with_cmake("grpc-service", prefix, tmp_path_factory.mktemp("grpc"))


def test_a_guarded_grpc_service(tollgate, start, grpc_service):
    tollgate.start_service()
    host = start([*grpc_service, tollgate.address, "127.0.0.1:0"])
    assert host.hear() == "live"
    channel = grpc.secure_channel(f"127.0.0.1:{host.hear()}", grpc.local_channel_credentials())

    def call(method, *metadata, request=b""):
        stub = channel.unary_unary(f"/notes.v1.Notes/{method}", request_serializer=None, response_deserializer=None)
        try:
            return stub(request, timeout=30, metadata=metadata)
        except grpc.RpcError as error:
            return error.code(), error.details()

    def bearing(secret):
        return ("authorization", f"Bearer {secret}")

    token, secret = tollgate.create("good", "--scope", "notes:read", "--scope", "notes:write")
    _, narrow_secret = tollgate.create("narrow", "--scope", "notes:read")
    assert call("Write", bearing(secret), request=b"\x0a\x02hi") == b""
    assert call("Read", bearing(narrow_secret)) == b"\x0a\x02hi"
    assert call("Write", bearing(narrow_secret)) == (
        grpc.StatusCode.PERMISSION_DENIED, "a needed scope is missing")
    assert call("Read") == (grpc.StatusCode.UNAUTHENTICATED, "no token was presented")
    assert call("Read", ("authorization", "Basic eHg6eHg=")) == (
        grpc.StatusCode.UNAUTHENTICATED, "no token was presented")
    assert call("Read", bearing(secret), bearing(narrow_secret))[0] == grpc.StatusCode.UNAUTHENTICATED
    assert call("Read", bearing("tgw_" + "A" * 65)) == (grpc.StatusCode.UNAUTHENTICATED, "malformed")

    # What is open ends with its token, and is told why.
    def watch(secret):
        stub = channel.unary_stream("/notes.v1.Notes/Watch", request_serializer=None, response_deserializer=None)
        return stub(b"", metadata=(bearing(secret),), timeout=60)

    def ended(stream):
        with pytest.raises(grpc.RpcError) as error:
            list(stream)
        return error.value.code(), error.value.details()

    stream, narrow_stream = watch(secret), watch(narrow_secret)
    assert next(stream) == next(narrow_stream) == b"\x0a\x02hi"
    assert ended(watch("tgw_" + "A" * 65)) == (grpc.StatusCode.UNAUTHENTICATED, "malformed")

    revoke(tollgate, token)
    assert ended(stream) == (grpc.StatusCode.UNAUTHENTICATED, "revoked")
    assert call("Read", bearing(secret)) == (grpc.StatusCode.UNAUTHENTICATED, "revoked")
    _, writer_secret = tollgate.create("writer", "--scope", "notes:write")
    assert call("Write", bearing(writer_secret), request=b"\x0a\x02ho") == b""
    assert next(narrow_stream) == b"\x0a\x02ho", "another token's stream goes on"

    _, fresh_secret = tollgate.create("fresh", "--scope", "notes:read")
    tollgate.service.kill()
    assert call("Read", bearing(fresh_secret)) == (grpc.StatusCode.UNAVAILABLE, "temporarily unavailable")
    tollgate.restart_service()
    until("it is admitted", lambda: call("Read", bearing(fresh_secret)) == b"\x0a\x02ho")
    wait_followed(tollgate)
    narrow_stream.cancel()
    channel.close()
    host.process.stdin.close()
    host.process.stdin = None
    code, errors = host.end()
    assert code == 0, errors
    assert lapses(tollgate)


@pytest.fixture(scope="module")
def websocket(prefix, tmp_path_factory):
    return build_with_cmake("websocket", prefix, tmp_path_factory.mktemp("websocket"))


class WebSocket:
    """A client, as RFC 6455 has it; texts of at most 125 bytes."""

    def __init__(self, port, secret=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET / HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
                 *([f"Authorization: Bearer {secret}"] if secret is not None else []), "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.status = int(self.file.readline().split()[1])
        headers = dict(line.decode().strip().split(": ", 1) for line in iter(self.file.readline, b"\r\n"))
        if self.status == 101:
            proof = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            assert headers["Sec-WebSocket-Accept"] == base64.b64encode(proof).decode()
        else:
            self.why = self.file.read(int(headers["Content-Length"])).decode().strip()

    def frame(self, opcode, payload):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    def hear(self):
        """(opcode, payload)"""
        head = self.file.read(2)
        return head[0] & 0x0f, self.file.read(head[1] & 0x7f)

    def say(self, text):
        self.frame(1, text.encode())
        opcode, payload = self.hear()
        assert opcode == 1
        return payload.decode()

    def closed(self):
        """(close code, why), of a server that closes."""
        opcode, payload = self.hear()
        assert opcode == 8
        self.frame(8, payload[:2])
        assert self.file.read() == b"", "then the connection"
        return struct.unpack("!H", payload[:2])[0], payload[2:].decode()

    def close(self):
        self.file.close()
        self.socket.close()


def test_a_websocket_ends_with_its_token(tollgate, start, websocket):
    tollgate.start_service()
    host = start([*websocket, tollgate.address, "0", "chat:use"])
    assert host.hear() == "live"
    port = int(host.hear())
    token, secret = tollgate.create("chat", "--scope", "chat:use")
    _, kept_secret = tollgate.create("kept", "--scope", "chat:use")
    _, narrow_secret = tollgate.create("narrow", "--scope", "chat:read")
    for presented, status, why in [(None, 401, "no token was presented"), ("tgw_" + "A" * 65, 401, "malformed"),
                                   (narrow_secret, 403, "a needed scope is missing")]:
        refused = WebSocket(port, presented)
        assert (refused.status, refused.why) == (status, why)
        refused.close()

    first, second, kept = WebSocket(port, secret), WebSocket(port, secret), WebSocket(port, kept_secret)
    assert first.status == second.status == kept.status == 101
    assert first.say("hi") == "hi"
    assert kept.say("ho") == "ho"
    second.close()  # by itself
    revoke(tollgate, token)
    assert first.closed() == (1008, "revoked")
    refused = WebSocket(port, secret)
    assert (refused.status, refused.why) == (401, "revoked")
    refused.close()
    assert kept.say("still here") == "still here"

    host.process.stdin.close()
    host.process.stdin = None
    assert kept.closed() == (1013, "the edge has been stopped"), "the token is as good as before"
    code, errors = host.end()
    assert code == 0, errors
    assert secret not in errors and kept_secret not in errors
    first.close()
    kept.close()
    assert lapses(tollgate)


def test_installed_programs_run_where_they_were_moved_to(prefix):
    for program in ("tollgated", "tollgate-validator", "tollgate"):
        environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
        assert run(f"{prefix}/bin/{program}", "--version", env=environment).strip()
