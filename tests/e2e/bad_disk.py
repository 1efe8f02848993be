"""A program whose disks hang or fail, by a library that is loaded before it (bad_disk.cc)."""
import os

SHIM = os.environ["TOLLGATE_BAD_DISK"]


class Disk:
    """The disks of one program, parts of which may hang, or fail."""

    def __init__(self, home):
        self.home, self.control = home, os.path.join(home, "bad-disk")
        # Programs under a sanitizer want their own library first.
        self.environment = {"LD_PRELOAD": SHIM, "TOLLGATE_TEST_BAD_DISK": self.control,
                            "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def hang(self, *calls):
        """Each is a call and the beginning of a path in the home folder: bad_disk.cc."""
        beside = self.control + ".new"
        with open(beside, "w", encoding="utf-8") as file:
            for call in calls:
                what, path = call.split(" ")
                file.write(f"{what} {os.path.join(self.home, path)}\n")
        os.rename(beside, self.control)

    def fail(self, error, *calls):
        """The same, and each fails with this error (errno.ENOSPC)."""
        self.hang(*(call.replace(" ", f"={error} ") for call in calls))

    def answer(self):
        os.unlink(self.control)
