"""Which room may know which, held by a test.

Reads every #include of the tree. A rule that nothing could break proves
nothing, so the checker is first run on small made-up trees that break each rule.
"""
import os
import re
import sys
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))

# What a room may include, besides itself.
ARROWS = {
    "base": set(),
    "proto": set(),
    "net": {"base", "proto"},
    "token": {"base", "proto"},
    "storage": {"base", "proto", "token"},
    "service": {"base", "proto", "net", "token", "storage"},
    "validator": {"base", "proto", "net", "token"},
    "cli": {"base", "proto", "net", "token"},
}
# Headers that a folder must stay free of: (folder, pattern, why).
FORBIDDEN = [
    ("base", r"<(grpcpp|grpc|rocksdb)/", "base is pure"),
    ("token", r"<(grpcpp|grpc|rocksdb)/|<(thread|mutex)>", "token is pure: no I/O, no threads"),
    ("service/commands", r"<(grpcpp|grpc|rocksdb)/|<(thread|mutex)>|\.grpc\.pb\.h", "commands are pure functions"),
    # The ring is shared by threads, so it has a lock; but it knows no wire.
    ("service/feed/event_ring", r"<(grpcpp|grpc|rocksdb)/|<thread>|\.grpc\.pb\.h", "the ring knows no wire"),
    ("storage", r"<(grpcpp|grpc)/|\.grpc\.pb\.h", "the store knows no wire"),
]
PURE_FILES = {  # state machines: no I/O, no threads, no locks, no clock of their own
    "service/feed/session", "service/feed/enforcement",
    "validator/core/follower", "validator/core/resolver", "validator/core/edge_reader",
    "validator/core/edge_state", "validator/core/outbox",
}
PURE_FORBIDDEN = re.compile(
    r"<(grpcpp|grpc|rocksdb)/|<(thread|mutex|condition_variable)>|absl/synchronization|\.grpc\.pb\.h|base/executor")
GENERATED = ("tollgate/", "google/")


def sources(root):
    for room in ARROWS:
        for folder, _, files in os.walk(os.path.join(root, room)):
            for name in files:
                if name.endswith((".h", ".cc")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def includes(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            match = re.match(r'\s*#\s*include\s+([<"][^>"]+[>"])', line)
            if match:
                yield number, match.group(1)


def violations(root):
    found = []
    for path in sorted(sources(root)):
        room = path.split(os.sep)[0]
        stem = os.path.splitext(path)[0]
        for number, target in includes(root, path):
            where = f"{path}:{number}"
            if target.startswith('"') and not target[1:].startswith(GENERATED):
                other = target[1:].split("/")[0]
                if other in ARROWS and other != room and other not in ARROWS[room]:
                    found.append(f"{where}: {room} must not know {other} ({target})")
                if target.endswith('main.h"') or target.endswith('main.cc"'):
                    found.append(f"{where}: nothing includes main ({target})")
            for folder, pattern, why in FORBIDDEN:
                if path.startswith((folder + os.sep, folder + '.')) and re.search(pattern, target):
                    found.append(f"{where}: {why} ({target})")
            if re.search(r"<rocksdb/|\"rocksdb/", target) and not path.startswith("storage/rocksdb/"):
                found.append(f"{where}: nothing outside storage/rocksdb names RocksDB ({target})")
            if stem in PURE_FILES and PURE_FORBIDDEN.search(target):
                found.append(f"{where}: a pure core has no wire, thread or lock ({target})")
    return found


def made_up(files):
    root = tempfile.mkdtemp()
    for path, text in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
    return root


class House(unittest.TestCase):
    def test_the_checker_sees_each_kind_of_violation(self):
        for path, include, word in [
            ("validator/x.cc", '"storage/engine.h"', "validator must not know storage"),
            ("validator/x.cc", '"service/server.h"', "validator must not know service"),
            ("token/x.cc", "<grpcpp/grpcpp.h>", "token is pure"),
            ("base/x.h", '"token/digest.h"', "base must not know token"),
            ("storage/x.cc", '"service/server.h"', "storage must not know service"),
            ("service/x.cc", "<rocksdb/db.h>", "nothing outside storage/rocksdb"),
            ("service/feed/session.cc", '"absl/synchronization/mutex.h"', "a pure core"),
            ("cli/x.cc", '"storage/schema.h"', "cli must not know storage"),
            ("net/x.cc", '"token/digest.h"', "net must not know token"),
        ]:
            with self.subTest(path=path, include=include):
                found = violations(made_up({path: f"#include {include}\n"}))
                self.assertTrue(any(word in line for line in found), found)

    def test_a_clean_tree_is_clean(self):
        self.assertEqual([], violations(made_up({"service/x.cc": '#include "storage/engine.h"\n'})))

    def test_this_tree_keeps_the_arrows(self):
        count = len(list(sources(ROOT)))
        self.assertGreater(count, 20, "the checker found hardly any file: is it looking in the right place?")
        self.assertEqual([], violations(ROOT))


if __name__ == "__main__":
    sys.exit(unittest.main())
