"""The table of known bypasses (tests/unit/policy/bypasses.json), through the real proxies on the recipes' own files.

Bytes are sent, which no library has put in order. Whatever reaches the service, the policy admits as the service got it,
for the token that was sent; and nothing that a service may read in it, however it reads, is what is closed."""
import collections
import functools
import json
import os
import re
import unicodedata
import urllib.parse

import pytest

import proxies
import recipe
from recipe import SOURCE

with open(os.path.join(SOURCE, "tests", "unit", "policy", "bypasses.json"), encoding="utf-8") as file:
    TABLE = json.load(file)
CASES = TABLE["cases"]
# Envoy's recipe names a requirement of the policy for one of its routes.
POLICY = "\n".join([*TABLE["policy"], "requirements: {admin: {any: admin}}", ""])

# What each page tells to add for a policy that takes tokens from `x-api-key`, too.
ANOTHER_PLACE = {
    "nginx": {'proxy_set_header Authorization "";': 'proxy_set_header Authorization "";\n            proxy_set_header X-Api-Key "";'},
    "caddy": {"request_header -Authorization": "request_header -Authorization\n\t\trequest_header -X-Api-Key"},
    "haproxy": {},
    "envoy": {},
}

OPEN_HOST, CLOSED_HOST = "api.example", "admin.example"


# ---- How a request is written.

def written(method, target, host, headers, version="HTTP/1.1"):
    return [f"{method} {target} {version}", f"Host: {host}", *headers]


def other(host):
    """One of another rule."""
    return OPEN_HOST if host.startswith(CLOSED_HOST) else CLOSED_HOST


def absolute(method, target, host, headers, named=None):
    """The URL's host, and what the Host header names."""
    if not target.startswith("/") or not host:
        return None
    return written(method, f"http://{host}{target}", named or host, headers)


# What a client might say to the door in a proxy's way, and some services listen to.
WORDS = ["X-Original-Method: GET", "X-Original-URI: /healthz", "X-Original-Host: api.example", "X-Forwarded-Method: GET",
         "X-Forwarded-Uri: /healthz", "X-Forwarded-Path: /healthz", "X-Envoy-Original-Path: /healthz"]
STRUCK_OUT = "Connection: close, Host, X-Original-Method, X-Original-URI, X-Original-Host, X-Forwarded-Method, X-Forwarded-Uri, " \
             "X-Forwarded-Host"
HIDDEN = "GET /admin HTTP/1.1\r\nHost: admin.example\r\n\r\n"

WAYS = {
    "as it stands": written,
    "in HTTP/1.0": lambda *question: written(*question, version="HTTP/1.0"),
    "in HTTP/1.0, without a host": lambda m, t, h, headers: [f"{m} {t} HTTP/1.0", *headers],
    "as a URL": absolute,
    "as a URL of another host": lambda m, t, h, headers: absolute(m, t, other(h), headers, named=h),
    "as a URL, and another Host": lambda m, t, h, headers: absolute(m, t, h, headers, named=other(h)),
    "as a URL with a user": lambda m, t, h, headers: absolute(m, t, f"{other(h)}@{h}", headers, named=h),
    "as a URL with a port": lambda m, t, h, headers: absolute(m, t, f"{h}:80", headers, named=h),
    "with another Host behind": lambda m, t, h, headers: written(m, t, h, [f"Host: {other(h)}", *headers]),
    "with another Host before": lambda m, t, h, headers: written(m, t, other(h), [f"host: {h}", *headers]),
    "with a Host that has a space": lambda m, t, h, headers: written(m, t, h, [f"Host : {other(h)}", *headers]),
    "with a Host that is folded": lambda m, t, h, headers: written(m, t, f"{h}\r\n\t{other(h)}", headers),
    "with a Host behind a folded line": lambda m, t, h, headers: written(m, t, h, ["X-A: b", f" Host: {other(h)}", *headers]),
    "with a port": lambda m, t, h, headers: written(m, t, f"{h}:8443", headers),
    "with a dot at the host's end": lambda m, t, h, headers: written(m, t, f"{h}.", headers),
    "in other letters": lambda m, t, h, headers: written(m, t, h.upper(), [
        line.partition(":")[0].swapcase() + ":" + line.partition(":")[2] for line in headers]),
    "with words to the door": lambda m, t, h, headers: written(m, t, h, [*WORDS, *headers]),
    "with words to the door that are struck out": lambda m, t, h, headers: written(m, t, h, [*WORDS, *headers, STRUCK_OUT]),
    "with words on the host": lambda m, t, h, headers: written(
        m, t, h, [f"X-Forwarded-Host: {other(h)}", f"Forwarded: for=192.0.2.1;host={other(h)}", *headers]),
    "with words on the host, spelt otherwise": lambda m, t, h, headers: written(m, t, h, [f"X_Forwarded_Host: {other(h)}", *headers]),
    "with a body that reads as a request": lambda m, t, h, headers: [
        *written(m, t, h, headers), f"Content-Length: {len(HIDDEN)}", "Connection: close", "\r\n" + HIDDEN[:-4]],
    "with two lengths of a body": lambda m, t, h, headers: [
        *written(m, t, h, headers), "Content-Length: 5", "Transfer-Encoding: chunked", "\r\n0\r\n\r\n" + HIDDEN[:-4]],
    "as a tunnel": lambda m, t, h, headers: written("CONNECT", f"http://{h}:80{t}", f"{h}:80", headers),
}


def in_bytes(lines):
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# ---- The same in HTTP/2: fields as a list of pairs.

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS = 1, 4


def fields(method, target, host, headers, scheme="http"):
    lines = [line.partition(":")[::2] for line in headers]
    named = [(":authority", host)] if host is not None else []
    return [(":method", method), (":scheme", scheme), (":path", target), *named,
            *((name.lower(), value.strip()) for name, value in lines)]


WAYS_OF_HTTP2 = {
    "as it stands": fields,
    "with another host": lambda m, t, h, headers: fields(m, t, h, [f"host: {other(h)}", *headers]),
    "with another authority": lambda m, t, h, headers: fields(m, t, other(h), [f"host: {h}", *headers]),
    "without an authority": lambda m, t, h, headers: fields(m, t, None, [f"host: {h}", *headers]),
    "with two hosts": lambda m, t, h, headers: fields(m, t, None, [f"host: {h}", f"host: {other(h)}", *headers]),
    "with a user": lambda m, t, h, headers: fields(m, t, f"{other(h)}@{h}", headers),
    "with a path in the host": lambda m, t, h, headers: fields(m, "/public/x", f"{h}{t}", headers),
    "with a query in the host": lambda m, t, h, headers: fields(m, t, f"{h}?", headers),
    "with a URL in the scheme": lambda m, t, h, headers: fields(m, "/public/x", h, headers, scheme=f"http://{h}{t}?"),
    "in another scheme": lambda m, t, h, headers: fields(m, t, h, headers, scheme="ftp"),
    "as a URL": lambda m, t, h, headers: fields(m, f"http://{h}{t}", h, headers),
    "with two paths": lambda m, t, h, headers: [*fields(m, "/public/x", h, headers), (":path", t)],
    "with words to the door": lambda m, t, h, headers: fields(m, t, h, [*WORDS, *headers]),
    "with words on the host": lambda m, t, h, headers: fields(
        m, t, h, [f"X-Forwarded-Host: {other(h)}", f"Forwarded: for=192.0.2.1;host={other(h)}", *headers]),
    "with a line within a line": lambda m, t, h, headers: [*fields(m, t, h, headers), ("x-a", f"b\r\nHost: {other(h)}")],
    "as a tunnel": lambda m, t, h, headers: fields("CONNECT", t, f"{h}:80", headers),
    "as a WebSocket": lambda m, t, h, headers: [*fields("CONNECT", t, h, headers), (":protocol", "websocket")],
}


def in_frames(pairs):
    def frame(kind, flags, stream, payload):
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    def text(value):
        """Literally, as RFC 7541 has it (5.2)."""
        value = value.encode()
        if len(value) < 127:
            return bytes([len(value)]) + value
        rest, size = len(value) - 127, bytearray([127])
        while rest >= 128:
            size.append(rest % 128 + 128)
            rest //= 128
        return bytes(size) + bytes([rest]) + value

    block = b"".join(b"\x00" + text(name) + text(value) for name, value in pairs)
    tunnel = ("CONNECT" in dict(pairs).values()) * frame(DATA, END_STREAM, 1, HIDDEN.encode())
    return (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"")
            + frame(HEADERS, END_HEADERS | (0 if tunnel else END_STREAM), 1, block) + tunnel)


def next_frame(connection):
    """(kind, flags); None where the server has closed instead."""
    while len(connection.read) < 9 or len(connection.read) < 9 + int.from_bytes(connection.read[:3], "big"):
        if not connection.more():
            return None
    head = connection.exactly(9)
    connection.exactly(int.from_bytes(head[:3], "big"))
    return head[3], head[4]


# ---- What a service may read.

def without_dots(path):
    kept = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)


def folded(path):
    """As UTF-8, with look-alikes for what they look like."""
    return unicodedata.normalize("NFKC", path.encode("latin-1", "ignore").decode("utf-8", "ignore"))


# Each reads a path once more in one program's way.
STEPS = (
    lambda path: urllib.parse.unquote(path, "latin-1"),
    lambda path: re.sub("%u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), path),
    lambda path: path.replace("\xc0\xaf", "/").replace("\xc0\xae", "."),
    folded,
    lambda path: re.split(r"[?#\x00-\x1f\x7f]", path)[0],
    lambda path: re.sub(r"[\x00-\x1f\x7f]", "", path),
    lambda path: re.sub(r";[^/]*", "", path),
    lambda path: path.replace("\\", "/"),
    lambda path: re.sub("/+", "/", path),
    without_dots,
    lambda path: re.sub(r"[. ]+(?=/|$)", "", path),
    lambda path: re.sub(r"^/+[^/]*", "", path) if path.startswith("//") else path,
    str.lower,
)


@functools.lru_cache(None)
def readings(target):
    """Every path that some order of these steps makes of a request's target."""
    path = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*:/*[^/?#]*", "", target).split("?")[0]
    found, fresh = set(), {"/" + path.removeprefix("/")}
    while fresh:
        found |= fresh
        fresh = {"/" + step(path).removeprefix("/") for path in fresh for step in STEPS} - found
    return frozenset(found)


def is_closed(method, path):
    """Closed to whoever has no more than the table's token."""
    path = path.rstrip("/")
    return (re.match(r"/(admin|acme\.admin)(/|$)", path, re.I) is not None
            or re.fullmatch("/v1/globex/items/[^/]+", path, re.I) is not None
            or (method.upper() == "POST" and path == "/v1/deploys"))


def is_open(path):
    return path == "/healthz" or re.match("/public(/|$)", path) is not None


def as_cgi_reads(name):
    return name.lower().replace("_", "-")


def hosts(target, headers):
    """Every host that a service may take a request for."""
    named = [value for name, value in headers if as_cgi_reads(name) in ("host", "x-forwarded-host")]
    named += [found for name, value in headers if name == "forwarded" for found in re.findall('host="?([^";,]*)', value, re.I)]
    named += re.findall("^[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)", target)
    return {re.sub(r":\d*$", "", part.strip()).rstrip(".").lower() for name in named for part in re.split("[,@]", name)}


# ---- The door.

class Door:
    def __init__(self, tollgate, proxy):
        self.proxy = proxy
        self.recipe = getattr(recipe, proxy)(tollgate, POLICY, **ANOTHER_PLACE[proxy])
        self.secrets = {}
        for name in ("{token}", "{other}"):
            _, self.secrets[name] = tollgate.create(f"of an attacker, {name}", "--scope", "items:read")
        self.connection = None
        self.counts = collections.Counter()

    def close(self):
        self.let_go()
        self.recipe.close()

    def let_go(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def filled(self, text):
        for name, secret in self.secrets.items():
            text = text.replace(name, secret)
        return text

    def question(self, case):
        """(method, target, host, lines of headers) of one case."""
        lines = ["Authorization: Bearer {token}"] if case.get("token", True) else []
        lines += [f"{name}: {value}" for name, value in case.get("headers", [])]
        return case.get("method", "GET"), self.filled(case["target"]), case.get("host", OPEN_HOST), [self.filled(line) for line in lines]

    def arrived(self, data):
        """Sends one request, and returns whatever it became at the service; the connection is kept as long as it can be."""
        before = len(self.recipe.upstream.arrived)
        method = data.partition(b" ")[0].decode()
        if self.connection is None:
            self.connection = proxies.Connection(self.recipe.address)
        self.connection.send(data)
        answer = self.connection.answer(to=method)
        if answer is not None and method == "CONNECT" and answer.status == 200:
            self.connection.send(HIDDEN)  # to whoever is at the other end
            self.connection.answer()
        if answer is None or (answer.header("Connection") or "").lower() == "close" or re.search(
                rb"^CONNECT| HTTP/1\.0\r|\r\nContent-Length", data):
            self.let_go()
        arrived = self.recipe.upstream.arrived[before:]
        by_policy = answer is not None and answer.header("Tollgate-Decision")
        refused = "refused by the policy" if by_policy else "refused by the proxy itself"
        self.counts.update(["sent", "reached the service" if arrived else refused])
        return arrived

    def judge(self, arrived, data, case, told):
        """Whether what reached the service is what the policy admits, and no reading of it is closed."""
        line, headers = arrived
        told = f"{told}\n  sent    {data!r}\n  arrived {line!r} {headers}"
        assert re.fullmatch(rb"[^ ]+ [^ ]+ HTTP/1\.[01]", line), told
        method, target, _ = line.decode("latin-1").split(" ")
        assert not any(secret in target + str(headers) for secret in self.secrets.values()), f"a token went on: {told}"
        closed = [path for path in readings(target) if is_closed(method, path)]
        assert not closed, f"may be read as {closed}: {told}"
        with_token = any(secret.encode() in data for secret in self.secrets.values())
        if not any(is_open(path) for path in readings(target)):
            assert with_token, f"without a token: {told}"
            assert CLOSED_HOST not in hosts(target, headers), f"another host: {told}"
        dropped = {as_cgi_reads(name) for name in case.get("drop", [])}
        for name, value in case.get("headers", []):
            if as_cgi_reads(name) in dropped:
                went = [other for read, other in headers if as_cgi_reads(read) == as_cgi_reads(name)]
                assert value not in went, f"{name} went on: {told}"
        named = [value for name, value in headers if name == "host"]
        assert len(named) == 1, told
        # The policy's own word on what the service got.
        kept = [f"{name}: {value}" for name, value in headers if re.match("x-http|x-method|x_", name)]
        with proxies.Connection(self.recipe.tcp) as validator:
            answer = validator.ask(proxies.nginx(method, target, *kept, host=named[0],
                                                 token=self.secrets["{token}"] if with_token else None))
        assert answer.status == 200, f"the policy says {answer.body}: {told}"


@pytest.fixture(params=ANOTHER_PLACE)
def door(request, tollgate):
    made = Door(tollgate, request.param)
    yield made
    made.close()


def faults(door, arrived, data, case, way):
    """What is wrong with what reached the service; empty: nothing."""
    try:
        door.judge(arrived, data, case, f"{case['name']}, {way}")
    except AssertionError as failure:
        return [str(failure).partition("\nassert")[0]]
    return []


def none_got_through(door, capsys, protocol, got_through):
    with capsys.disabled():
        print(f"\n{door.proxy}, {protocol}: " + ", ".join(f"{count} {name}" for name, count in sorted(door.counts.items())))
    assert not got_through, f"{len(got_through)} got through:\n" + "\n".join(got_through)
    assert door.counts["sent"] > 10 * len(CASES) and door.counts["reached the service"] > 100, "a door that admits nobody proves nothing"


def test_none_gets_through(door, capsys):
    got_through = []
    for way, write in WAYS.items():
        for case in CASES:
            if "after" in case:
                assert door.arrived(in_bytes(written(*door.question(case["after"])))), f"{case['name']}: it is admitted before"
            lines = write(*door.question(case))
            if lines is None:
                continue
            data = in_bytes(lines)
            for arrived in door.arrived(data):
                got_through += faults(door, arrived, data, case, way)
    none_got_through(door, capsys, "HTTP/1", got_through)


@pytest.mark.parametrize("door", ["haproxy", "envoy"], indirect=True)
def test_none_gets_through_in_http2(door, capsys):
    """Those whose recipes take it, asked or not. Many at once, because Envoy takes a second to close a connection."""
    before = len(door.recipe.upstream.arrived)
    sent = []
    for way, write in WAYS_OF_HTTP2.items():
        for case in CASES:
            pairs = [*write(*door.question(case)), ("x-number", str(len(sent)))]
            sent.append((way, case, in_frames(pairs)))
    for begin in range(0, len(sent), 300):
        connections = []
        for _, _, data in sent[begin:begin + 300]:
            connections.append(proxies.Connection(door.recipe.address))
            connections[-1].send(data)
        for connection in connections:
            with connection:
                ended = False
                while not ended and (frame := next_frame(connection)) is not None:
                    kind, flags = frame
                    ended = kind in (RST_STREAM, GOAWAY) or (kind in (DATA, HEADERS) and flags & END_STREAM)
    got_through = []
    through_a_tunnel = ("through a tunnel", {"name": "what nobody asked about"}, b"")
    served = door.recipe.upstream.arrived[before:]
    for line, headers in served:
        number = dict(headers).get("x-number")
        way, case, data = through_a_tunnel if number is None else sent[int(number)]
        got_through += faults(door, (line, headers), data, case, way)
    door.counts.update({"sent": len(sent), "reached the service": len(served), "refused": len(sent) - len(served)})
    none_got_through(door, capsys, "HTTP/2", got_through)
