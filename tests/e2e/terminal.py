"""The operators' command at a terminal of a given width."""
import errno
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import unicodedata

from installation import BIN

ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Terminal:
    """A terminal with a command on it. `shown()` is all that was written so far, as it came."""

    def __init__(self, tollgate, *arguments, columns=80, rows=24, term="xterm", **environment):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
        self.process = subprocess.Popen(
            [os.path.join(BIN, "tollgate"), *arguments], stdin=slave, stdout=slave, stderr=subprocess.PIPE, text=True,
            env={**kept, "TOLLGATE_SERVICE": tollgate.address, "TOLLGATE_WORKSPACE": "acme", "TOLLGATE_CONFIG": "",
                 "TERM": term, **environment})
        os.close(slave)
        os.set_blocking(self.master, False)
        self.bytes = b""

    def shown(self):
        while True:
            try:
                piece = os.read(self.master, 65536)
            except BlockingIOError:
                break
            except OSError as error:  # the command has closed its side
                if error.errno != errno.EIO:
                    raise
                break
            if not piece:
                break
            self.bytes += piece
        return self.bytes.decode(errors="replace").replace("\r\n", "\n")

    def end(self, code=0):
        """(what it wrote to the terminal, standard error)"""
        while True:  # a terminal holds only so much
            self.shown()
            try:
                self.process.wait(timeout=0.05)
                break
            except subprocess.TimeoutExpired:
                pass
        err = self.process.stderr.read()
        shown = self.shown()
        os.close(self.master)
        assert self.process.returncode == code, f"{self.process.returncode}\n{shown}\n{err}"
        return shown, err


def at_terminal(tollgate, *arguments, code=0, **options):
    return Terminal(tollgate, *arguments, **options).end(code)


def width(text):
    """The columns that simple text takes: what these tests write has no emoji of several."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def screen(shown, columns):
    """The lines that are left on the screen, as a terminal that knows the few sequences that we write has them."""
    lines, row, column = [""], 0, 0
    at = 0
    while at < len(shown):
        found = ESCAPE.match(shown, at)
        if found:
            number = int(found.group()[2:-1] or 1) if found.group()[2:-1].isdigit() or found.group()[2:-1] == "" else 0
            kind = found.group()[-1]
            if kind == "A":
                row = max(row - number, 0)
            elif kind == "J":
                lines = lines[:row + 1]
                lines[row] = lines[row][:column]
            elif kind == "K":
                lines[row] = lines[row][:column]
            else:
                assert kind == "m", found.group()
            at = found.end()
            continue
        c = shown[at]
        at += 1
        if c == "\n":
            row, column = row + 1, 0
            while len(lines) <= row:
                lines.append("")
        elif c == "\r":
            column = 0
        else:
            assert column < columns, f"wraps: {lines[row]}"
            lines[row] = lines[row][:column] + c + lines[row][column + 1:]
            column += 1
    return [line for line in lines if line]
