"""A process that gets too little says so, in words and with an exit code, in place of dying in a library."""
import os
import re
import resource
import shutil
import signal
import subprocess

import pytest

from installation import BIN, metric, until


def reachable(program, folder):
    """A copy of a file of the build's, with the libraries that it has from there, in a folder that any user may read: the
    build may lie in one that only its owner may enter. Its path."""
    os.makedirs(folder, exist_ok=True)
    build = os.path.realpath(os.path.join(BIN, ".."))
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in [program, *re.findall(r"=> (\S+)", linked)]:
        if os.path.realpath(path).startswith(build + os.sep):
            shutil.copy(path, folder)
    return os.path.join(folder, os.path.basename(program))


class Limited:
    """One of the programs under a limit; started by nobody else, since a limit on processes is of all of a user's, and
    is none for root."""

    def __init__(self, home, program, limit, value, processors=None):
        user = 64999 if os.geteuid() == 0 else None
        if user is not None:
            os.chmod(home, 0o777)
        self.ready = os.path.join(home, "ready")
        folder = os.path.join(home, "program")
        binary = reachable(os.path.join(BIN, program), folder)
        environment = {**os.environ, "LD_LIBRARY_PATH": folder}
        if processors is not None:
            environment.update(LD_PRELOAD=reachable(os.environ["TOLLGATE_PROCESSORS"], folder),
                               TOLLGATE_TEST_PROCESSORS=str(processors))
        arguments = {"tollgated": ["--store", os.path.join(home, "store")],
                     "tollgate-validator": ["--service", "127.0.0.1:1", "--id", "edge-1"]}[program]
        self.process = subprocess.Popen(
            [binary, *arguments, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--ready-file", self.ready],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, user=user,
            preexec_fn=lambda: resource.setrlimit(limit, (value, value)))

    def serves(self):
        assert self.process.poll() is None, self.process.stderr.read()
        return os.path.exists(self.ready)

    def end(self):
        """(code, what it has said)"""
        try:
            _, said = self.process.communicate(timeout=30)
        finally:
            self.process.kill()
        return self.process.returncode, said


def refused(home, program, limit, value, processors=None):
    return Limited(home, program, limit, value, processors).end()


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


@pytest.mark.parametrize("program", ["tollgated", "tollgate-validator"])
@pytest.mark.parametrize("limit,too_low,beside,processors", [
    (resource.RLIMIT_NPROC, 12, 2, None),  # beside what it asks for it has its first thread and the log's
    (resource.RLIMIT_NPROC, 12, 2, 16),  # gRPC starts threads by their number
    (resource.RLIMIT_NOFILE, 16, 0, None)])
def test_what_it_asks_for_is_enough_to_start(home, program, limit, too_low, beside, processors):
    _, said = refused(home, program, limit, too_low, processors)
    needs = int(re.search(r"it needs (\d+)", said).group(1))
    started = Limited(home, program, limit, needs + beside, processors)
    try:
        until("it serves", started.serves)
    finally:
        started.process.terminate()
        code, said = started.end()
    assert code == 0, said


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
