"""What both programs serve over HTTP: metrics and probes, as operators, kubelets and scrapers ask for them.

Run as a program, with --on-ipv6-only HOME, it starts both with their default addresses on a host without IPv4.
"""
import ctypes
import fcntl
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys

import pytest

from installation import BIN, Program, until


class OverUnix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def connection(address):
    if address.startswith("unix:"):
        return OverUnix(address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=30)


def ask(program, path, method="GET"):
    """(status, text)"""
    to = connection(program.ready["metrics"])
    to.request(method, path)
    answer = to.getresponse()
    text = answer.read().decode()
    to.close()
    return answer.status, text


def statuses(program):
    return ask(program, "/livez")[0], ask(program, "/readyz")[0]


def test_both_say_what_they_serve(tollgate):
    service = tollgate.start_service()
    edge = tollgate.start_validator()
    for program in (service, edge):
        until("it is ready", lambda program=program: statuses(program) == (200, 200))
        status, text = ask(program, "/metrics")
        assert status == 200 and "tollgate_log_lines_dropped_total 0" in text
        status, text = ask(program, "/healthz")
        assert status == 404 and "/livez, /metrics, /readyz" in text
        assert ask(program, "/metrics", "POST")[0] == 405
        assert ask(program, "/metrics", "HEAD") == (200, "")
    # What is no HTTP is told so, and keeps nobody from asking.
    host, port = service.ready["metrics"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as tls:
        tls.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert tls.recv(4096).startswith(b"HTTP/1.1 400 Bad Request")
    assert statuses(service) == (200, 200)


def test_the_probes_say_what_health_says(tollgate):
    service = tollgate.start_service("--drain-pause", "60s")
    edge = tollgate.prepare_validator("edge-1", "--drain-pause", "60s").start()
    tollgate.wait_in_sync(edge)
    for program, target in ((edge, edge.socket), (service, tollgate.address)):
        client = tollgate.client(target)
        until("it is ready", lambda: statuses(program) == (200, 200))
        assert client.serving("liveness") and client.serving("readiness")
        program.signal(signal.SIGTERM)
        until("it drains", lambda: statuses(program) == (200, 503))
        assert client.serving("liveness") and not client.serving("readiness")
        assert ask(program, "/metrics")[0] == 200, "the end of a program is measured too"
        program.signal(signal.SIGQUIT)
        program.process.wait(timeout=30)


def test_a_validator_is_ready_once_it_is_in_sync(tollgate):
    tollgate.start_service()
    port = tollgate.address.rsplit(":", 1)[1]
    tollgate.service.stop()
    edge = tollgate.prepare_validator().start()
    assert statuses(edge) == (200, 503)
    tollgate.start_service(port=port)
    until("it is ready", lambda: statuses(edge) == (200, 200))


@pytest.mark.parametrize("program", ["tollgated", "tollgate-validator"])
def test_a_unix_socket_serves_them_too(home, program):
    arguments = {"tollgated": ["--store", os.path.join(home, "store")],
                 "tollgate-validator": ["--service", "127.0.0.1:1", "--id", "edge-1"]}[program]
    address = f"unix:{home}/m.sock"
    started = Program(home, "p", program, [*arguments, "--listen", "127.0.0.1:0", "--metrics-listen", address]).start()
    try:
        assert started.ready["metrics"] == address
        assert os.stat(f"{home}/m.sock").st_mode & 0o777 == 0o660
        assert ask(started, "/livez")[0] == 200 and ask(started, "/metrics")[0] == 200
    finally:
        assert started.stop() == 0
    assert not os.path.exists(f"{home}/m.sock")


@pytest.mark.parametrize("program,code", [("tollgated", 3), ("tollgate-validator", 3)])
def test_a_taken_address_is_told_before_anything_is_made(home, program, code):
    arguments = {"tollgated": ["--store", os.path.join(home, "store")],
                 "tollgate-validator": ["--service", "127.0.0.1:1", "--id", "edge-1"]}[program]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [os.path.join(BIN, program), *arguments, "--listen", "127.0.0.1:0",
             "--metrics-listen", f"127.0.0.1:{taken.getsockname()[1]}"],
            capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == code, done.stderr
    assert "another process listens there" in done.stderr and "--metrics-listen" in done.stderr
    assert not os.path.exists(os.path.join(home, "store"))


def enter_a_network_without_ipv4():
    """False where this machine allows none."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_user, new_net = 0x10000000, 0x40000000
    if libc.unshare(new_net) != 0 and libc.unshare(new_user | new_net) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        up, set_address, flags = 0x8914, 0x8916, 0x41
        fcntl.ioctl(control, up, struct.pack("16sH14x", b"lo", flags))
        fcntl.ioctl(control, set_address, struct.pack("16sH2x4s8x", b"lo", socket.AF_INET, bytes(4)))
    return True


def on_ipv6_only(home):
    if not enter_a_network_without_ipv4():
        return 77
    service = Program(home, "tollgated", "tollgated", ["--store", os.path.join(home, "store"), "--admin", "local"]).start()
    edge = Program(home, "edge", "tollgate-validator", ["--service", "[::1]:7411", "--id", "edge-1"]).start()
    try:
        told = {}
        for program in (service, edge):
            address = program.ready["metrics"]
            program.ready["metrics"] = address.replace("localhost", "[::1]")  # whatever /etc/hosts says
            until(f"{program.name} is ready", lambda program=program: statuses(program) == (200, 200))
            told[program.name] = [ask(program, "/metrics")[0], address]
        print(json.dumps(told))
    finally:
        edge.stop()
        service.stop()
    return 0


def test_the_defaults_serve_on_a_host_without_ipv4(home):
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "--on-ipv6-only", home],
                          capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == 77:
        pytest.skip("no network of its own is to be had here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {"tollgated": [200, "localhost:7412"], "edge": [200, "localhost:7414"]}


if __name__ == "__main__" and sys.argv[1] == "--on-ipv6-only":
    sys.exit(on_ipv6_only(sys.argv[2]))
