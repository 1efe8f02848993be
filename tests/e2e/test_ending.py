"""Both programs end promptly and in order: whoever reads their metrics, whatever else has hung, however often asked."""
import http.client
import json
import os
import signal
import socket
import subprocess

import pytest

from installation import BIN, until


def address_of(program):
    host, port = program.ready["metrics"].rsplit(":", 1)
    return host, int(port)


@pytest.mark.parametrize("who", ["service", "validator"])
def test_it_ends_though_its_metrics_are_read(tollgate, who):
    tollgate.start_service()
    edge = tollgate.start_validator()
    program = tollgate.service if who == "service" else edge
    # A scraper that would like to keep its connection, one that has just connected, one in the middle of asking.
    scraper = http.client.HTTPConnection(*address_of(program), timeout=30)
    scraper.request("GET", "/metrics", headers={"Connection": "keep-alive"})
    assert b"tollgate_" in scraper.getresponse().read()
    silent = socket.create_connection(address_of(program), timeout=30)
    slow = socket.create_connection(address_of(program), timeout=30)
    slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
    try:
        # Milliseconds, and up to a second for a connection that asks nothing; how fast this machine is, is no matter.
        assert program.stop() == 0
        assert program.records()[-1]["message"] == "ended as asked"
        # All the same it was an end in order: the port is free.
        with pytest.raises(OSError):
            socket.create_connection(address_of(program), timeout=30)
    finally:
        for connection in (scraper, silent, slow):
            connection.close()


@pytest.mark.parametrize("who", ["service", "validator"])
def test_signals_as_supervisors_and_terminals_send_them(tollgate, who):
    tollgate.start_service("--drain-pause", "1s")
    edge = tollgate.start_validator("edge-1", "--drain-pause", "1s")
    program = tollgate.service if who == "service" else edge
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGXFSZ):
        program.signal(number)
    until("the others are ignored", lambda: {"SIGUSR1", "SIGUSR2", "SIGALRM"} == {
        line["signal"] for line in program.records() if line["message"] == "a signal without a meaning here is ignored"})
    # The terminal is closed; then a supervisor, which is not content with one.
    program.signal(signal.SIGHUP)
    until("it drains", lambda: [line for line in program.records() if line["message"] == "draining"])
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGINT):
        program.signal(number)
    assert program.process.wait(timeout=30) == 0
    assert program.records()[-1]["message"] == "ended as asked"


def test_a_service_does_not_wait_long_for_a_frozen_validator(tollgate):
    service = tollgate.start_service("--drain-timeout", "90s")
    edge = tollgate.start_validator()
    edge.signal(signal.SIGSTOP)
    service.signal(signal.SIGTERM)
    # Nobody creates or revokes before the next one has started.
    assert service.process.wait(timeout=15) == 0
    assert service.records()[-1]["message"] == "ended as asked"


def test_a_validator_does_not_wait_long_for_a_frozen_service(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator("edge-1", "--drain-timeout", "90s")
    tollgate.service.signal(signal.SIGSTOP)
    edge.signal(signal.SIGTERM)
    # Two seconds, and this machine's pace; its own pings would find the connection dead after 15.
    assert edge.process.wait(timeout=10) == 0
    assert "left without the service hearing a goodbye" in [line["message"] for line in edge.records()]


def test_a_start_that_is_refused_leaves_the_ready_file_of_the_running_one(tollgate):
    service = tollgate.start_service()
    edge = tollgate.start_validator()
    for program in (service, edge):
        # The same flags once more, as when a unit is started by hand.
        arguments = [*program.arguments, "--ready-file", program.ready_file]
        if program is service:
            arguments[arguments.index("--listen") + 1] = tollgate.address
        again = subprocess.run([os.path.join(BIN, program.program), *arguments], capture_output=True, timeout=30, check=False)
        assert again.returncode == 3, again.stderr
        with open(program.ready_file, encoding="utf-8") as file:
            assert json.load(file)["pid"] == program.process.pid
    # What a killed one leaves is no running one's: gone before the next has its ports.
    edge.kill()
    assert os.path.exists(edge.ready_file)
    taken = tollgate.prepare_validator("edge-1", "--listen", tollgate.address)
    subprocess.run([os.path.join(BIN, edge.program), *taken.arguments, "--ready-file", edge.ready_file],
                   capture_output=True, timeout=30, check=False)
    assert not os.path.exists(edge.ready_file)
    assert service.stop() == 0
    assert not os.path.exists(service.ready_file)
