"""Every reason that the source can refuse with is told of in docs/errors.md."""
import os
import re
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
ROOMS = ("net", "token", "leaks", "policy", "storage", "service", "validator", "cli")
# Where a reason stands: an argument of a refusal, or a field of its details.
PLACES = re.compile(
    r'(?:\bRefuse(?:Field|ForNow)?\(|\breason\s*=|ErrorDetails\{|absl::StatusCode::k\w+,|\bRefusal\{\d+,)\s*"([A-Z][A-Z0-9_]{3,})"')


def reasons(text):
    return set(PLACES.findall(text))


def undocumented(root):
    found = {}
    for room in ROOMS:
        for folder, _, files in os.walk(os.path.join(root, room)):
            for name in files:
                if name.endswith((".h", ".cc")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as file:
                        for reason in reasons(file.read()):
                            found.setdefault(reason, os.path.relpath(path, root))
    with open(os.path.join(root, "docs", "errors.md"), encoding="utf-8") as file:
        told = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", file.read()))
    return found, {reason: path for reason, path in found.items() if reason not in told}


class Reasons(unittest.TestCase):
    def test_all_forms_are_found(self):
        self.assertEqual(reasons('RefuseField("A_REASON", f); details.reason = "OTHER_ONE"; '
                                 'Refuse(absl::StatusCode::kAborted,\n    "THIRD_ONE", x); '
                                 'ErrorDetails{"LAST_ONE", {}} Refusal{400, "OF_A_REQUEST", x}'),
                         {"A_REASON", "OTHER_ONE", "THIRD_ONE", "LAST_ONE", "OF_A_REQUEST"})

    def test_all_are_documented(self):
        found, missing = undocumented(ROOT)
        self.assertGreater(len(found), 50)
        self.assertEqual(missing, {}, "not in docs/errors.md")


if __name__ == "__main__":
    unittest.main()
