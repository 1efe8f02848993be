"""SIGTERM ends both programs promptly, whoever reads their metrics."""
import http.client
import socket

import pytest


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
