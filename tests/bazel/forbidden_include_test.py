"""In a copy of this tree, an include that the plan of the house forbids does not build with Bazel:
without a dependency the header is not there, and the dependency is refused by its visibility.

`make bazel-test` runs it; by hand: python3 tests/bazel/forbidden_include_test.py
"""
import os
import shutil
import subprocess
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
COPY = os.path.join(ROOT, ".cache", "bazel", "forbidden")  # at one place, so that Bazel knows it again
SOURCE = "lease/span.cc"
FORBIDDEN = "token/digest.h"


def bazel(*words):
    cache = os.path.join(ROOT, ".cache", "bazel")
    done = subprocess.run(
        ["bazel", f"--output_user_root={cache}/root", *words, f"--disk_cache={cache}/cache", "--color=no"],
        cwd=COPY, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


class ForbiddenInclude(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(COPY, ignore_errors=True)
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for path in listed.splitlines():
            if os.path.isfile(os.path.join(ROOT, path)):
                os.makedirs(os.path.dirname(os.path.join(COPY, path)), exist_ok=True)
                shutil.copy(os.path.join(ROOT, path), os.path.join(COPY, path))
        path = os.path.join(COPY, SOURCE)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("\n#include ", f'\n#include "{FORBIDDEN}"\n#include ', 1))

    @classmethod
    def tearDownClass(cls):
        bazel("shutdown")
        shutil.rmtree(COPY, ignore_errors=True)

    def test_a_header_that_is_no_dependency_is_not_there(self):
        # Its own objects, and nothing of what it depends on.
        code, said = bazel("build", "--output_groups=compilation_outputs", "//lease:tollgate_lease")
        self.assertNotEqual(code, 0)
        self.assertIn(f"{FORBIDDEN}: No such file or directory", said)

    def test_the_dependency_is_refused(self):
        path = os.path.join(COPY, "lease", "BUILD.bazel")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        changed = text.replace('"//base:tollgate_base",', '"//base:tollgate_base",\n        "//token:tollgate_token",')
        self.assertNotEqual(changed, text)

        def write(what):
            with open(path, "w", encoding="utf-8") as file:
                file.write(what)

        write(changed)
        self.addCleanup(write, text)
        code, said = bazel("build", "--nobuild", "//lease:tollgate_lease")
        self.assertNotEqual(code, 0)
        self.assertIn("'//token:tollgate_token' is not visible from target '//lease:tollgate_lease'", said)


if __name__ == "__main__":
    unittest.main(verbosity=0)
