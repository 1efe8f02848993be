"""A process that gets too little says so, in words and with an exit code, in place of dying in a library."""
import os
import resource
import signal
import subprocess

import pytest

from installation import BIN, metric, until


def refused(home, program, limit, value):
    """What it says; started by nobody else, since a limit on processes is of all of a user's, and is none for root."""
    user = 64999 if os.geteuid() == 0 else None
    binary = os.open(os.path.join(BIN, program), os.O_RDONLY)
    arguments = {"tollgated": ["--store", os.path.join(home, "store")],
                 "tollgate-validator": ["--service", "127.0.0.1:1", "--id", "edge-1"]}[program]
    try:
        done = subprocess.run(
            [f"/proc/self/fd/{binary}", *arguments, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"],
            capture_output=True, text=True, timeout=30, check=False, pass_fds=[binary], user=user,
            preexec_fn=lambda: resource.setrlimit(limit, (value, value)))
    finally:
        os.close(binary)
    return done.returncode, done.stderr


@pytest.mark.parametrize("program,code", [("tollgated", 1), ("tollgate-validator", 4)])
def test_few_threads(home, program, code):
    returned, said = refused(home, program, resource.RLIMIT_NPROC, 12)
    assert returned == code, said
    assert "it needs" in said and "ulimit -u" in said
    assert not os.path.exists(os.path.join(home, "store"))


@pytest.mark.parametrize("program,code,files", [("tollgated", 1, 32), ("tollgate-validator", 4, 16)])
def test_few_descriptors(home, program, code, files):
    returned, said = refused(home, program, resource.RLIMIT_NOFILE, files)
    assert returned == code, said
    assert f"may open {files} files" in said and "ulimit -n" in said


def test_a_validator_outlives_a_log_at_its_size_limit(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    size = os.path.getsize(edge.log)
    resource.prlimit(edge.process.pid, resource.RLIMIT_FSIZE, (size, size))
    edge.signal(signal.SIGUSR1)  # it has something to say, and cannot
    until("its line is counted as dropped", lambda: metric(tollgate.metrics(edge), "tollgate_log_lines_dropped_total") > 0)
    tollgate.service.kill()
    tollgate.restart_service()
    tollgate.wait_in_sync(edge)
    assert edge.stop() == 0
