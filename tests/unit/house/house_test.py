"""Holds the plan of the house (house.py) to this tree.

A rule that nothing could break proves nothing, so the checker is first run on small made-up trees
that break each rule, and on ones that only look as if they did.
"""
import os
import sys
import tempfile
import unittest

import house


def made_up(files, in_namespaces=True):
    """A tree of these files; each has its room's namespace too, unless the test is about just that."""
    root = tempfile.mkdtemp()
    for path, text in files.items():
        if in_namespaces and path.endswith((".h", ".cc")):
            text += f"\nnamespace {house.wanted_namespace(path)} {{\n}}\n"
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
    return root


def including(*includes):
    return "".join(f"#include {include}\n" for include in includes)


class MadeUp(unittest.TestCase):
    """Each kind of violation is seen."""

    def assert_found(self, found, word):
        self.assertTrue(any(word in line for line in found), f"{word!r} is not in {found}")

    def test_an_arrow_between_rooms(self):
        for path, include, word in [
            ("validator/x.cc", '"storage/engine.h"', "validator must not know storage"),
            ("validator/x.cc", '"service/server.h"', "validator must not know service"),
            ("base/x.h", '"token/digest.h"', "base must not know token"),
            ("base/x.h", '"tollgate/v1/token.grpc.pb.h"', "base knows no wire"),
            ("lease/x.h", '"token/digest.h"', "lease must not know token"),
            ("policy/x.h", '"net/address.h"', "policy must not know net"),
            ("storage/x.cc", '"service/server.h"', "storage must not know service"),
            ("cli/x.cc", '"storage/schema.h"', "cli must not know storage"),
            ("net/x.cc", '"token/digest.h"', "net must not know token"),
            ("validator/main.cc", '"storage/engine.h"', "validator must not know storage"),
            ("validator/core/x.h", '"net/address.h"', "validator/core must not know net"),
            ("validator/core/x.h", '"tollgate/edge.h"', "validator/core must not know include"),
            ("include/tollgate/edge.h", '"validator/core/decision.h"', "include must not know validator/core"),
            ("service/server.cc", '"service/main.h"', "nothing includes main"),
        ]:
            with self.subTest(path=path, include=include):
                self.assert_found(house.violations(made_up({path: including(include)})), word)

    def test_an_arrow_between_rooms_inside_a_room(self):
        for path, include, word in [
            ("service/records/x.cc", '"service/tokens/create_token.h"',
             "service/records must not know service/tokens"),
            ("service/workspaces/x.h", '"service/tokens/create_token.h"',
             "service/workspaces must not know service/tokens"),
            ("service/tokens/x.h", '"service/reads/read_tokens.h"', "service/tokens must not know service/reads"),
            ("service/use/x.cc", '"service/records/change.h"', "service/use must not know service/records"),
            ("service/feed/x.cc", '"service/rpc/rpc_call.h"', "service/feed must not know service/rpc"),
            ("service/sweep/sweeper.cc", '"service/server_metrics.h"',
             "service/sweep must not know service/server_metrics"),
            ("service/rpc/x.cc", '"service/server.h"', "service/rpc must not know service"),
            ("storage/x.cc", '"storage/memory/memory_engine.h"', "storage must not know storage/memory"),
            ("storage/journal/x.cc", '"storage/rocksdb/rocksdb_engine.h"',
             "storage/journal must not know storage/rocksdb"),
            ("cli/context.cc", '"cli/commands/token.h"', "cli must not know cli/commands"),
            ("validator/core/x.h", '"validator/shells/link.h"', "validator/core must not know validator/shells"),
            ("validator/fronts/x.h", '"validator/shells/link.h"', "validator/fronts must not know validator/shells"),
        ]:
            with self.subTest(path=path, include=include):
                self.assert_found(house.violations(made_up({path: including(include)})), word)

    def test_a_folder_without_a_place(self):
        self.assert_found(house.violations(made_up({"service/misc/x.h": ""})), "service/misc is no room")
        self.assert_found(house.violations(made_up({"service/rpc/x.h": including('"service/misc/x.h"')})),
                          "service/rpc must not know service/misc")

    def test_a_library_that_one_room_alone_names(self):
        self.assert_found(house.violations(made_up({"service/x.cc": including("<rocksdb/db.h>")})),
                          "nothing outside storage/rocksdb")
        self.assertEqual([], house.violations(made_up({"storage/rocksdb/x.cc": including("<rocksdb/db.h>")})))

    def test_purity_of_a_file(self):
        for path in ["token/x.cc", "lease/x.h", "policy/x.h", "service/tokens/x.cc", "service/use/silence.h",
                     "service/sweep/sweep.h", "service/feed/ledger/enforcement.h"]:
            for include in ["<grpcpp/grpcpp.h>", '"grpcpp/grpcpp.h"', "<thread>", "<mutex>", "<poll.h>",
                            '"absl/synchronization/mutex.h"', '"tollgate/v1/token_service.grpc.pb.h"',
                            '"base/executor.h"', '"prometheus/counter.h"']:
                with self.subTest(path=path, include=include):
                    self.assert_found(house.violations(made_up({path: including(include)})), "a pure file")

    def test_purity_through_includes(self):
        found = house.violations(made_up({
            "service/tokens/x.cc": including('"service/tokens/x.h"'),
            "service/tokens/x.h": including("<string>", '"storage/engine.h"'),
            "storage/engine.h": including('"base/clock.h"'),
            "base/clock.h": including('"base/lock.h"'),
            "base/lock.h": including('"absl/synchronization/mutex.h"'),
        }))
        self.assert_found(found, 'a pure file reaches a wire, an engine, a thread or a lock: service/tokens/x.cc -> '
                                 'service/tokens/x.h -> storage/engine.h -> base/clock.h -> base/lock.h -> '
                                 '"absl/synchronization/mutex.h"')
        self.assertEqual(2, len(found), "the header breaks it too, and nothing else does")

    def test_what_a_room_stays_free_of_through_includes(self):
        found = house.violations(made_up({
            "service/feed/hub.cc": including('"storage/engine.h"'),
            "storage/engine.h": including('"grpcpp/grpcpp.h"'),
        }))
        self.assert_found(found, "service/feed/hub.cc: the feed knows no wire")
        self.assert_found(found, "storage/engine.h: the store knows no wire")

    def test_a_lock_that_is_let_pass(self):
        ring = made_up({"service/feed/session.h": including('"service/feed/event_ring.h"'),
                        "service/feed/event_ring.h": including('"absl/synchronization/mutex.h"')})
        self.assertEqual([], house.violations(ring))
        thread = made_up({"service/feed/session.h": including('"service/feed/event_ring.h"'),
                          "service/feed/event_ring.h": including("<thread>")})
        self.assert_found(house.violations(thread), "service/feed/session.h -> service/feed/event_ring.h -> <thread>")

    def test_a_circle_of_includes_is_walked_once(self):
        self.assertEqual([], house.violations(made_up({
            "token/a.h": including('"token/b.h"'), "token/b.h": including('"token/a.h"')})))

    def test_shells_may(self):
        lock = including("<mutex>", '"absl/synchronization/mutex.h"', '"base/executor.h"')
        self.assertEqual([], house.violations(made_up({
            "service/use/use_ledger.h": lock, "service/sweep/sweeper.cc": lock, "service/feed/hub.h": lock,
            "service/rpc/x.h": lock})))

    def test_a_target_that_links_what_its_room_must_not_know(self):
        for path, text, word in [
            ("service/tokens/CMakeLists.txt",
             "tollgate_room(tollgate_service_tokens SOURCES x.cc DEPS tollgate_service_rpc)",
             "service/tokens must not know service/rpc"),
            ("service/tokens/CMakeLists.txt",
             "tollgate_room(tollgate_service_tokens SOURCES x.cc DEPS gRPC::grpc++)", "service/tokens is pure"),
            ("token/CMakeLists.txt",
             "tollgate_room(tollgate_token SOURCES x.cc DEPS tollgate_proto_grpc)", "token is pure"),
            ("token/CMakeLists.txt",
             "tollgate_room(tollgate_token SOURCES x.cc)\ntarget_link_libraries(tollgate_token PRIVATE tollgate_net)",
             "token must not know net"),
            ("validator/CMakeLists.txt",
             "tollgate_program(tollgate-validator SOURCES main.cc DEPS tollgate_storage)",
             "validator must not know storage"),
            ("service/CMakeLists.txt",
             "tollgate_room(tollgate_service SOURCES server.cc DEPS RocksDB::rocksdb)", "names RocksDB"),
            ("service/tokens/CMakeLists.txt",
             "tollgate_room(tollgate_service_tokens SOURCES x.cc DEPS tollgate_odds)", "which is no room's target"),
            ("service/tokens/CMakeLists.txt",
             "tollgate_room(tollgate_odds SOURCES x.cc)", "has the name of no room"),
            ("service/tokens/CMakeLists.txt",
             "tollgate_room(tollgate_service_tokens SOURCES ../use/x.cc)", "lies in another room"),
            ("service/tokens/CMakeLists.txt",
             "tollgate_room(tollgate_service_tokens SOURCES x.cc)\n"
             "tollgate_program(tollgated SOURCES x.cc)", "is built by 2 targets"),
        ]:
            with self.subTest(text=text):
                self.assert_found(house.violations(made_up({path: text})), word)

    def test_a_target_that_does_not_link_what_it_includes(self):
        files = {
            "service/keyring/x.cc": including('"storage/y.h"'), "storage/y.h": "",
            "storage/CMakeLists.txt": "tollgate_room(tollgate_storage SOURCES y.cc)", "storage/y.cc": "",
            "service/records/CMakeLists.txt":
                "tollgate_room(tollgate_service_records SOURCES z.cc DEPS tollgate_storage)",
            "service/records/z.cc": ""}
        room = "tollgate_room(tollgate_service_keyring SOURCES x.cc DEPS %s)"
        path = "service/keyring/CMakeLists.txt"
        self.assert_found(house.violations(made_up({**files, path: room % "absl::time"})),
                          "tollgate_service_keyring does not link storage, which service/keyring/x.cc includes")
        self.assertEqual([], house.violations(made_up({**files, path: room % "tollgate_storage"})))
        files["service/keyring/x.cc"] += including('"base/q.h"')
        self.assert_found(house.violations(made_up({**files, "base/q.h": "", path: room % "tollgate_storage"})),
                          "does not link base")

    def test_a_namespace_of_another_room(self):
        for path, text, word in [
            ("service/tokens/x.h", "namespace tollgate {\n}", "namespace tollgate in the room of tollgate::service"),
            ("service/x.cc", "namespace tollgate::storage {\n}", "namespace tollgate::storage in the room"),
            ("token/x.h", "int x();\n", "lacks namespace tollgate::token"),
            ("token/x.h", "namespace tollgate::tokens {\n}", "namespace tollgate::tokens in the room"),
        ]:
            with self.subTest(path=path, text=text):
                self.assert_found(list(house.namespace_violations(house.Tree(made_up({path: text}, False)))), word)
        self.assertEqual([], list(house.namespace_violations(house.Tree(made_up({
            "service/tokens/x.h": "namespace tollgate::service {\n}",
            "net/x.cc": "namespace tollgate::net::internal {\n}\nnamespace {\n}",
            "include/tollgate/edge.h": "namespace tollgate::edge {\n}",
            "validator/embedded/edge.cc": "namespace tollgate::edge {\n}\nnamespace tollgate::edge::internal {\n}",
            "cli/main.cc": "int main() {}"}, False)))))

    def test_the_wall_clock(self):
        reading = "auto now = clock.WallNow();\n"
        for path in ("service/rpc/x.cc", "service/feed/feed.cc", "storage/run_batch.cc"):
            with self.subTest(path=path):
                self.assert_found(house.violations(made_up({path: reading})), "reads the wall clock")
        for path in ("service/clock/x.cc", "service/feed/enforcement_desk.cc", "validator/core/x.cc"):
            with self.subTest(path=path):
                self.assertEqual(house.violations(made_up({path: reading})), [])
        self.assertEqual(house.violations(made_up({"service/rpc/x.cc": "// as WallNow() would\n"})), [])

    def test_a_test_in_no_room(self):
        self.assert_found(house.violations(made_up({"tests/unit/service/commands/x_test.cc": ""})),
                          "tests/unit/service/commands: tests of a room that is none")

    def test_a_plan_that_goes_in_a_circle(self):
        self.assertEqual([["a", "b", "c", "a"]], house.circles({"a": {"b"}, "b": {"c"}, "c": {"a"}}))
        self.assertEqual([], house.circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}))

    def test_a_picture_that_is_not_the_house(self):
        dot = "digraph house {\n  node [shape=box];\n  storage [label=x];\n  token [label=y];\n" \
              "  base [label=z];\n  proto [label=p];\n  %s\n}\n"
        source = {"storage/x.h": including('"token/y.h"', '"base/z.h"'), "token/y.h": including('"base/z.h"'),
                  "base/z.h": ""}

        def found(arrows, more=()):
            return house.violations(made_up({**source, **dict(more), "docs/pictures/house.dot": dot % arrows}))

        self.assertEqual([], found("storage -> token; token -> base;"), "storage -> base follows")
        self.assert_found(found("storage -> token; token -> base; token -> storage;"), "draws token -> storage")
        self.assert_found(found("token -> base;"), "lacks storage -> token")
        self.assert_found(found("storage -> token; token -> base;", {"lease/x.h": ""}.items()), "lacks the room lease")

    def test_the_picture(self):
        root = made_up({
            "service/tokens/x.h": including('"service/records/y.h"', '"storage/z.h"', "<string>"),
            "service/records/y.h": including('"storage/z.h"'),
            "storage/z.h": including('"tollgate/v1/token.pb.h"'),
            "service/main.cc": including('"service/tokens/x.h"')})
        self.assertEqual(
            "room proto files=0\n"
            "room service files=1\n"
            "room service/records files=1 pure\n"
            "room service/tokens files=1 pure\n"
            "room storage files=1\n"
            "arrow service/records -> storage includes=1\n"
            "arrow service/tokens -> service/records includes=1\n"
            "arrow service/tokens -> storage includes=1\n"
            "arrow storage -> proto includes=1\n", house.picture(root))
        drawn = house.picture(root, "dot")
        self.assertIn('"service/tokens" -> "service/records";', drawn)
        self.assertNotIn('"service/tokens" -> "storage";', drawn, "it follows from the others")


class ThisTree(unittest.TestCase):
    def test_keeps_the_plan(self):
        tree = house.Tree(house.ROOT)
        self.assertGreater(len(tree.files), 200, "hardly any file was found: is this the right place?")
        self.assertGreater(len(list(house.targets(house.ROOT))), 15, "hardly any target was found")
        found = house.violations(house.ROOT)
        self.assertEqual([], found, "\n" + "\n".join(found))


if __name__ == "__main__":
    if "--print" in sys.argv[1:]:
        sys.exit(house.main(sys.argv[1:]))
    unittest.main()
