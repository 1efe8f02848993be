"""What libtollgate-edge.so shows: its API, and nothing of what it is made of."""
import re
import subprocess
import sys
import unittest

LIBRARY = sys.argv.pop(1)
# The version's own name, the C ABI, and the C++ API.
API = re.compile(r"(TOLLGATE_EDGE_\d+|tollgate_edge_\w+|tollgate::edge::.+)$")


def shown(library):
    names = subprocess.run(["nm", "-D", "--defined-only", "--demangle", library],
                           check=True, capture_output=True, text=True).stdout
    return [re.sub(r"@@?TOLLGATE_EDGE_\d+", "", line.split(None, 2)[2]) for line in names.splitlines()]


class Symbols(unittest.TestCase):
    def test_nothing_but_the_api(self):
        names = shown(LIBRARY)
        self.assertIn("tollgate_edge_check", names)
        self.assertTrue(any(name.startswith("tollgate::edge::Edge::Start(") for name in names))
        self.assertEqual([name for name in names if not API.match(name)], [])

    def test_no_unique_symbols(self):
        # STB_GNU_UNIQUE is one for the process, whatever else hides it.
        names = subprocess.run(["nm", "-D", "--defined-only", LIBRARY],
                               check=True, capture_output=True, text=True).stdout
        self.assertEqual([line for line in names.splitlines() if line.split()[1] == "u"], [])

    def test_the_name_has_a_version(self):
        dynamic = subprocess.run(["readelf", "-d", LIBRARY], check=True, capture_output=True, text=True).stdout
        self.assertRegex(dynamic, r"SONAME.*\[libtollgate-edge\.so\.\d+\]")

    def test_nothing_of_envoys(self):
        # A host may hold Envoy's own protos, which have the names of our subset.
        with open(LIBRARY, "rb") as file:
            self.assertNotIn(b"envoy.", file.read())


if __name__ == "__main__":
    unittest.main()
