"""The faults are what they are said to be, and the same for a seed."""
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults  # noqa: E402


def of(line, before="  {"):
    return {(kind, after.strip()) for kind, after in faults.of_line(line, before)}


class FaultsTest(unittest.TestCase):
    def test_comparisons(self):
        self.assertLessEqual({("comparison", "return a <= b;"), ("comparison", "return a >= b;")}, of("  return a < b;"))
        self.assertIn(("comparison", "return a != b;"), of("  return a == b;"))
        self.assertIn(("logic", "return a || b;"), of("  return a && b;"))

    def test_off_by_one(self):
        self.assertLessEqual({("off by one", "x = y;"), ("off by one", "x = y + 2;")}, of("  x = y + 1;"))
        self.assertFalse({kind for kind, _ in of("  x = y + 1.5;")} & {"off by one"})

    def test_conditions(self):
        self.assertLessEqual({("condition", "if (!(a(b))) return;"), ("condition", "if (false) return;")},
                             of("  if (a(b)) return;"))
        self.assertFalse(of("  if (auto x = f(); x) {"))
        self.assertFalse({kind for kind, _ in of("  if (a &&")} & {"condition"})

    def test_calls(self):
        self.assertEqual({("call", ";  // dropped")}, of("  RETURN_IF_ERROR(Check(x));"))
        self.assertEqual({("call", ";  // dropped")}, of("  state_->Drop(revision, event);"))
        self.assertFalse(of("  return Drop(revision);"))
        self.assertFalse(of("      Drop(revision);", before="  x ="), "the end of a longer statement")
        self.assertFalse(of("  std::string name(text);") & {("call", ";  // dropped")})

    def test_constants(self):
        self.assertIn(("constant", "constexpr int kMost = 65;"), of("constexpr int kMost = 64;"))
        self.assertIn(("constant", "return false;"), of("  return true;"))

    def test_nothing_in_strings_and_comments(self):
        self.assertFalse(of('  x = "a < b && 12 + 1";  // c == d, 77'))

    def test_a_seed_is_an_order(self):
        lines = [f"  if (a{n} < {n + 2}) return;" for n in range(20)]
        found = [{"file": "f", "line": n, "kind": kind, "before": line, "after": after}
                 for n, line in enumerate(lines) for kind, after in faults.of_line(line, "{")]
        first = faults.choose(list(found), random.Random(3))
        self.assertEqual(first, faults.choose(list(found), random.Random(3)))
        self.assertNotEqual(first, faults.choose(list(found), random.Random(4)))
        self.assertEqual(len(first), len(found))
        self.assertEqual(len({fault["line"] for fault in first[:20]}), 20)


if __name__ == "__main__":
    unittest.main()
