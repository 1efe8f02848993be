"""Nobody who decides, serves or stops waits for whoever reads the log: stderr is a full pipe."""
import time

import pytest
from full_pipe import Pipe
from installation import ADMIT, metric, until


@pytest.fixture
def pipe():
    made = Pipe()
    yield made
    made.close()


def full(pipe):
    pipe.fill()
    return pipe.writer


def test_both_start_serve_and_end_in_order(tollgate, pipe):
    service = tollgate.prepare_service()
    service.output = full(pipe)
    service.start()
    edge = tollgate.prepare_validator()
    edge.output = full(pipe)
    edge.start()
    tollgate.wait_in_sync(edge)
    _, secret = tollgate.create("a")
    assert tollgate.check(edge, secret) == ADMIT
    began = time.monotonic()
    assert edge.stop() == 0
    assert service.stop() == 0
    # Each may give its last lines a quarter of a second; the rest is milliseconds, and this machine's own pace.
    assert time.monotonic() - began < 15


def test_a_refused_start_ends_too(tollgate, pipe):
    tollgate.start_service()
    twin = tollgate.prepare_service(port=tollgate.address.rsplit(":", 1)[1])
    twin.output = full(pipe)
    twin.launch()
    assert twin.process.wait(timeout=30) == 3


def test_the_edge_keeps_its_lease_over_a_restart_of_its_service(tollgate, pipe):
    service = tollgate.start_service()
    edge = tollgate.prepare_validator()
    edge.output = pipe.writer
    edge.start()
    tollgate.wait_in_sync(edge)
    _, secret = tollgate.create("a")
    assert tollgate.check(edge, secret) == ADMIT
    health = tollgate.client(edge.socket)
    until("it is ready", lambda: health.serving("readiness"))  # told a moment after the lease has begun
    pipe.fill()
    for _ in range(2):  # the first line about it blocks whoever writes it
        reconnects = metric(tollgate.metrics(edge), "tollgate_validator_reconnects_total")
        service.kill()
        tollgate.restart_service()
        until("it has come back", lambda before=reconnects: metric(
            tollgate.metrics(edge), "tollgate_validator_reconnects_total") > before and metric(
                tollgate.metrics(edge), "tollgate_validator_following") == 1)
        assert tollgate.check(edge, secret) == ADMIT
        assert metric(tollgate.metrics(edge), "tollgate_validator_lease_live") == 1
        assert health.serving("liveness") and health.serving("readiness")
    assert metric(tollgate.metrics(edge), "tollgate_log_lines_dropped_total") == 0
    # Read at last, it has missed nothing.
    messages = [line["message"] for line in pipe.lines_until("following the service", times=3)]
    assert messages.count("not following the service; trying again") == 2
    assert edge.stop() == 0
