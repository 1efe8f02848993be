"""What the tests of fronts for proxies share: raw HTTP, the conventions in which proxies ask, and a service behind them."""
import base64
import hashlib
import http.server
import os
import socket
import struct
import threading
import time

from installation import PATIENCE_SECONDS

POLICY = """\
version: 1
answers: {realm: example, tell_before_expiry: 1h}
requirements:
  deploy: {any: [deploy:write]}
routes:
  - {path: /healthz, methods: GET, needs: public}
  - {path: "/v1/{workspace}/items", needs: {any: [items:read], workspace: "{workspace}"}}
  - {prefix: /v1/deploys, methods: [POST, DELETE], needs: {any: [deploy:write, admin]}}
  - {prefix: /v1, needs: token}
"""


def address_of(text):
    """What socket.connect takes."""
    if text.startswith("unix:"):
        return text.removeprefix("unix:")
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def all(self, name):
        return [value for other, value in self.headers if other.lower() == name.lower()]

    def header(self, name):
        """The one header of that name; None where there is none."""
        values = self.all(name)
        assert len(values) <= 1, f"{name}: {values}"
        return values[0] if values else None

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body!r}"


class Connection:
    """Raw bytes to an HTTP server, and its answers."""

    def __init__(self, to):
        to = address_of(to) if isinstance(to, str) else to
        self.socket = socket.socket(socket.AF_UNIX if isinstance(to, str) else socket.AF_INET)
        # Waits where many connect at once: with a time-out of Python's a full backlog of a Unix socket is an error.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", PATIENCE_SECONDS, 0))
        self.socket.connect(to)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.read = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self.read += data
        return bool(data)

    def answer(self):
        """The next one; None where the server has closed instead."""
        while b"\r\n\r\n" not in self.read:
            if not self.more():
                return None
        head, _, self.read = self.read.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        answer = Answer(int(lines[0].split(" ")[1]), headers, b"")
        if answer.header("Transfer-Encoding") == "chunked":
            while True:
                size = int(self.line(), 16)
                answer.body += self.exactly(size)
                self.line()
                if size == 0:
                    return answer
        answer.body = self.exactly(int(answer.header("Content-Length") or 0))
        return answer

    def line(self):
        while b"\r\n" not in self.read:
            assert self.more()
        line, _, self.read = self.read.partition(b"\r\n")
        return line

    def exactly(self, size):
        while len(self.read) < size:
            assert self.more()
        data, self.read = self.read[:size], self.read[size:]
        return data

    def ask(self, data):
        self.send(data)
        return self.answer()


def request(line, host, *headers, token=None):
    """The bytes of a request without a body."""
    lines = [f"{line} HTTP/1.1", f"Host: {host}", *headers]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join(lines) + "\r\n\r\n"


# How a proxy asks whether METHOD TARGET of HOST may pass, which a client sent with these headers. Each
# passes on all of them, and sets its own over what the client sent.
def nginx(method, target, *headers, host="api.example", token=None):
    return request("GET /auth/nginx", "tollgate", f"X-Original-Method: {method}", f"X-Original-URI: {target}",
                   f"X-Original-Host: {host}", *headers, token=token)


def caddy(method, target, *headers, host="api.example", token=None):
    return request("GET /auth/forwarded", host, f"X-Forwarded-Method: {method}", f"X-Forwarded-Uri: {target}",
                   f"X-Forwarded-Host: {host}", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https",
                   "Accept-Encoding: gzip", *headers, token=token)


def traefik(method, target, *headers, host="api.example", token=None):
    return request("GET /auth/forwarded", "tollgate.internal", "User-Agent: Go-http-client/1.1",
                   "X-Forwarded-For: 192.0.2.1", f"X-Forwarded-Host: {host}", f"X-Forwarded-Method: {method}",
                   "X-Forwarded-Port: 443", "X-Forwarded-Proto: https", "X-Forwarded-Server: edge",
                   f"X-Forwarded-Uri: {target}", *headers, token=token)


def gateway(method, target, *headers, host="api.example", token=None):
    return request(f"{method} /auth/request{target}", host, "Content-Length: 0", *headers, token=token)


CONVENTIONS = {"nginx": nginx, "caddy": caddy, "traefik": traefik, "gateway": gateway}


def status_of(convention, answer):
    """What the policy and the edge said, whatever the proxy is told."""
    if convention is nginx and answer.status != 200:
        assert answer.status in (401, 403, 500, 503)
        return int(answer.header("Tollgate-Status"))
    return answer.status


# What the service changes to where a client asks for it.
UPGRADED = ("websocket", "h2c")


class Upstream:
    """The service behind a proxy: it answers with what it was sent."""

    def __init__(self, address=("127.0.0.1", 0)):
        upstream = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                upstream.requests.append((self.command, self.path, [(k.lower(), v) for k, v in self.headers.items()]))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if (self.headers.get("Upgrade") or "").lower() in UPGRADED:
                    self.send_response(101)
                    self.send_header("Connection", "Upgrade")
                    self.send_header("Upgrade", self.headers["Upgrade"])
                    key = self.headers.get("Sec-WebSocket-Key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
                    self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
                    self.end_headers()
                    self.close_connection = True
                    return
                body = b"behind the door\n"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = do_OPTIONS = do

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a proxy that closes a connection

        self.server = Server(address, Handler)
        self.address = "%s:%d" % self.server.server_address
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def last(self):
        """(method, path, headers) of the last request; a header's values by its name in lower case."""
        method, path, headers = self.requests[-1]
        values = {}
        for name, value in headers:
            values.setdefault(name, []).append(value)
        return method, path, values

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Crowd:
    """Clients that ask again and again, each on a connection of its own that it keeps."""

    def __init__(self, count, address, data):
        self.answers = []  # (when it was asked, status)
        self.others = []  # those that neither admit nor refuse, whole
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(address, data), daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, address, data):
        connection = None
        while not self.stop.is_set():
            if connection is None:
                connection = Connection(address)
            begun = time.monotonic()
            answer = connection.ask(data)
            if answer is None:
                connection = None
                continue
            self.answers.append((begun, answer.status))
            if answer.status not in (200, 401):
                self.others.append(answer)
            if (answer.header("Connection") or "").lower() == "close":
                connection.close()
                connection = None

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(timeout=PATIENCE_SECONDS)
            assert not thread.is_alive()
        return self.answers


def write_policy(home, text=POLICY):
    path = os.path.join(home, "policy.yaml")
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(path + ".new", path)
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
