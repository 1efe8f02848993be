"""What `make run` starts, for tests."""
import os
import signal
import subprocess
import sys

from installation import BIN, until

SOURCE = os.environ["TOLLGATE_SOURCE"]


class Run:
    """What `make run` starts, until it is told to stop."""

    def __init__(self, home, *arguments):
        self.env = os.path.join(home, "run.env")
        if os.path.exists(self.env):  # of one that was killed, or of another
            os.remove(self.env)
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(SOURCE, "scripts", "demo"), "--keep-running", "--env", self.env, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "TOLLGATE_BIN": BIN})
        until("it runs", lambda: os.path.exists(self.env) or self.process.poll() is not None, patience=60)
        assert self.process.poll() is None, self.process.stdout.read()

    def stop(self):
        """Ctrl-C. What it said."""
        said, code = self.end(signal.SIGINT)
        assert code == 0, said
        return said

    def end(self, number):
        """What it said, and its exit code, after a signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.communicate(timeout=60)[0], self.process.returncode

    def sh(self, script):
        done = subprocess.run(["sh", "-c", f". {self.env}\n{script}"], capture_output=True, text=True, timeout=60, check=False,
                              env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
