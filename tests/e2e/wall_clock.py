"""The wall clock of one program, which may be set wrong: see wall_clock.cc."""
import os
import struct

SHIM = os.environ["TOLLGATE_WALL_CLOCK"]


class WallClock:
    """The wall clock of one program, which may be set wrong."""

    def __init__(self, home):
        self.path = os.path.join(home, "wall-clock")
        with open(self.path, "wb") as file:
            file.write(struct.pack("=q", 0))
        # Programs under a sanitizer want their own library first.
        self.environment = {"LD_PRELOAD": SHIM, "TOLLGATE_TEST_WALL_CLOCK": self.path,
                            "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def wrong_by(self, seconds):
        with open(self.path, "r+b", buffering=0) as file:
            file.write(struct.pack("=q", seconds))
