"""A pipe for a log that nobody reads."""
import fcntl
import json
import os

F_SETPIPE_SZ = 1031


class Pipe:
    """A pipe of one page. It is read only where a test says so."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, F_SETPIPE_SZ, 4096)

    def fill(self):
        os.set_blocking(self.writer, False)
        for size in (4096, 1):
            try:
                while True:
                    os.write(self.writer, b"." * size)
            except BlockingIOError:
                pass
        os.set_blocking(self.writer, True)

    def lines_until(self, message, times):
        """What comes out, until a line with this message has come so often."""
        rest = b""
        lines = []
        while True:
            rest += os.read(self.reader, 65536)
            *whole, rest = rest.split(b"\n")
            for line in whole:
                line = line.lstrip(b".")
                if line.startswith(b"{"):
                    lines.append(json.loads(line))
            if [line["message"] for line in lines].count(message) == times:
                return lines

    def close(self):
        os.close(self.reader)
        os.close(self.writer)
