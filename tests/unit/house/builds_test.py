"""Holds CMake's build and Bazel's to each other (builds.py), in this tree.

The comparison is first run on small made-up trees, in which one build lacks what the other has.
"""
import json
import os
import subprocess
import tempfile
import unittest

import builds
import house

ROOMS_BZL = 'WARNINGS = ["-Wall"]\nHIDDEN = ["-fvisibility=hidden"]\n'
FLAGS = "build --cxxopt=-std=c++20\nbuild:release --copt=-O2 --copt=-g1\n"
BASE = """
tollgate_room(
    name = "tollgate_base",
    srcs = [
        "clock.cc",
        "log.cc",
    ],
    hdrs = ["clock.h"],
    visibility = [
        "//lease:__pkg__",
        "//tests:__subpackages__",
    ],
    deps = ["@absl//:time"],
)
"""
LEASE = """
tollgate_room(
    name = "tollgate_lease",
    srcs = ["span.cc"],
    hdrs = ["span.h"],
    visibility = ["//tests:__subpackages__"],
    deps = ["//base:tollgate_base"],
)
"""
TEST = """
tollgate_test(
    name = "lease_test",
    srcs = ["span_test.cc"],
    single_threaded = True,
    deps = ["//lease:tollgate_lease"],
)
"""
FILES = {
    "bazel/rooms.bzl": ROOMS_BZL,
    "bazel/flags.bazelrc": FLAGS,
    "base/BUILD.bazel": BASE,
    "base/clock.cc": '#include "base/clock.h"\n',
    "base/clock.h": "",
    "base/log.cc": "",
    "lease/BUILD.bazel": LEASE,
    "lease/span.cc": '#include "base/clock.h"\n#include "lease/span.h"\n',
    "lease/span.h": "",
    "tests/unit/lease/BUILD.bazel": TEST,
    "tests/unit/lease/span_test.cc": '#include "lease/span.h"\n',
}
DESCRIPTION = """target tollgate_base STATIC_LIBRARY base
SOURCES tollgate_base clock.cc
SOURCES tollgate_base log.cc
LINK_LIBRARIES tollgate_base absl::time
COMPILE_OPTIONS tollgate_base -Wall
target tollgate_lease STATIC_LIBRARY lease
SOURCES tollgate_lease span.cc
LINK_LIBRARIES tollgate_lease tollgate_base
target lease_test EXECUTABLE tests/unit/lease
SOURCES lease_test span_test.cc
LINK_LIBRARIES lease_test tollgate_lease
LINK_LIBRARIES lease_test GTest::gmock
LINK_LIBRARIES lease_test GTest::gtest_main
COMPILE_OPTIONS lease_test -O0
COMPILE_DEFINITIONS lease_test TOLLGATE_SOURCE_DIR="/x"
TOLLGATE_WARNINGS - -Wall
TOLLGATE_WARNINGS - -Werror
TOLLGATE_HIDDEN - -fvisibility=hidden
CMAKE_CXX_FLAGS_RELEASE - -O2 -g1
CMAKE_CXX_STANDARD - 20
"""
TESTS = [("lease_test", ["unit"], 300)]


class MadeUp(unittest.TestCase):
    """What one build has and the other lacks is named, with the edit that mends it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        for path, text in FILES.items():
            self.put(path, text)
        self.description = DESCRIPTION
        self.ctest = TESTS

    def put(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def text(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def change(self, path, old, new):
        text = self.text(path)
        self.assertIn(old, text)
        self.put(path, text.replace(old, new, 1))

    def differences(self):
        tests = json.dumps({"tests": [
            {"name": name, "properties": [{"name": "LABELS", "value": labels}, {"name": "TIMEOUT", "value": seconds}]}
            for name, labels, seconds in self.ctest]})
        return builds.Comparison(self.root, builds.CMake(self.root, self.description, tests), builds.Bazel(self.root)).run()

    def found(self):
        return [str(difference) for difference in self.differences()]

    def assert_found(self, *words):
        found = self.found()
        self.assertEqual(len(found), 1, found)
        for word in words:
            self.assertIn(word, found[0])

    def assert_mended(self):
        """--write makes the BUILD files follow."""
        for _ in range(5):
            if not builds.write(self.root, self.differences()):
                break
        self.assertEqual(self.found(), [])

    def test_the_same(self):
        self.assertEqual(self.found(), [])

    def test_a_source_that_bazel_lacks(self):
        self.description += "SOURCES tollgate_base random.cc\n"
        self.put("base/random.cc", "")
        self.assert_found("base/BUILD.bazel:2: tollgate_base lacks the source base/random.cc", 'to its srcs add: "random.cc",')
        self.assert_mended()
        self.assertIn('        "log.cc",\n        "random.cc",\n', self.text("base/BUILD.bazel"))

    def test_a_source_that_cmake_lacks(self):
        self.put("base/random.cc", "")
        self.change("base/BUILD.bazel", '"log.cc",', '"log.cc",\n        "random.cc",')
        self.assert_found("base/CMakeLists.txt: tollgate_base lacks the source base/random.cc", 'take "random.cc", from srcs')
        self.assert_mended()
        self.assertEqual(self.text("base/BUILD.bazel"), BASE)

    def test_a_target_that_bazel_lacks(self):
        self.description += "target tollgate_net STATIC_LIBRARY net\nSOURCES tollgate_net wire.cc\n" \
                            "LINK_LIBRARIES tollgate_net tollgate_base\nLINK_LIBRARIES tollgate_net yaml-cpp\n"
        self.put("net/wire.cc", "")
        self.put("net/wire.h", "")
        found = self.found()
        self.assertIn("net/BUILD.bazel: lacks tollgate_net, a library that CMake builds", found[0])
        self.assertIn('        "//base:tollgate_base",\n        "@yaml-cpp",\n', found[0])
        self.assert_mended()
        self.assertIn('load("//bazel:rooms.bzl", "tollgate_room")', self.text("net/BUILD.bazel"))
        self.assertIn('"//net:__subpackages__"', self.text("base/BUILD.bazel"))

    def test_a_target_that_cmake_lacks(self):
        self.put("tests/crash/BUILD.bazel", 'tollgate_program(\n    name = "net",\n    srcs = ["main.cc"],\n)\n')
        self.put("tests/crash/main.cc", "")
        self.assert_found("tests/crash/BUILD.bazel:1: builds net, which CMake does not")

    def test_a_target_of_another_kind(self):
        self.change("tests/unit/lease/BUILD.bazel", "tollgate_test(", "tollgate_program(")
        self.assertTrue(any("lease_test is a program; CMake has a test" in line for line in self.found()))

    def test_a_dependency(self):
        self.description += "LINK_LIBRARIES tollgate_base absl::strings\n"
        self.assert_found("tollgate_base lacks the dependency @absl//:strings", 'to its deps add: "@absl//:strings",')
        self.assert_mended()

    def test_a_dependency_that_cmake_lacks(self):
        self.change("lease/BUILD.bazel", '"//base:tollgate_base"', '"//base:tollgate_base", "@re2//:re2"')
        self.assert_found("lease/CMakeLists.txt: tollgate_lease lacks the dependency @re2//:re2")
        self.assert_mended()

    def test_a_dependency_in_the_wrong_place(self):
        self.change("lease/BUILD.bazel", "//base:tollgate_base", "//bass:tollgate_base")
        self.assert_found("depends on //bass:tollgate_base, which is no target: it is //base:tollgate_base")

    def test_a_header_that_no_target_has(self):
        self.put("base/log.h", "")
        self.assert_found("tollgate_base lacks the header base/log.h", 'to its hdrs add: "log.h",')
        self.assert_mended()

    def test_a_header_of_a_test(self):
        self.put("tests/unit/lease/fixture.h", "")
        self.assert_found("lease_test lacks the header tests/unit/lease/fixture.h", 'to its srcs add: "fixture.h",')
        self.assert_mended()

    def test_a_header_that_is_not_there(self):
        self.change("base/BUILD.bazel", '["clock.h"]', '["clock.h", "gone.h"]')
        self.assert_found("has the header base/gone.h, which is not there")
        self.assert_mended()

    def test_a_header_of_two_targets(self):
        self.change("base/BUILD.bazel", "hdrs =", 'textual = [],\n    hdrs =')
        self.put("base/BUILD.bazel", self.text("base/BUILD.bazel")
                 + 'tollgate_headers(\n    name = "more",\n    hdrs = ["clock.h"],\n)\n')
        self.assert_found("base/clock.h: is a header of more and of tollgate_base")

    def test_an_include_that_bazel_would_hide(self):
        self.put("base/log.cc", '#include "lease/span.h"\n')
        self.assert_found("base/log.cc:1: includes lease/span.h, of tollgate_lease, on which tollgate_base",
                          "does not depend")

    def test_a_fixture_that_a_test_does_not_depend_on(self):
        self.put("tests/unit/base/BUILD.bazel", 'tollgate_headers(\n    name = "fixtures",\n    hdrs = ["played.h"],\n)\n')
        self.put("tests/unit/base/played.h", "")
        self.put("tests/unit/lease/span_test.cc", '#include "tests/unit/base/played.h"\n')
        self.assert_found('to its deps add: "//tests/unit/base:fixtures",')
        self.assert_mended()

    def test_a_visibility_that_is_not_the_plans(self):
        self.change("base/BUILD.bazel", '        "//lease:__pkg__",\n', "")
        self.assert_found("the visibility of tollgate_base is not the plan's", "it hides from lease")
        self.assert_mended()
        self.change("lease/BUILD.bazel", '["//tests:__subpackages__"]', '["//base:__pkg__"]')
        self.assert_found("it shows itself to base, which may not know it")
        self.assert_mended()

    def test_a_test_that_bazel_lacks(self):
        self.ctest = TESTS + [("house_test", ["unit"], 60)]
        self.assert_found("no BUILD file has the test house_test, which ctest runs")

    def test_a_test_that_cmake_lacks(self):
        self.put("tests/e2e/BUILD.bazel", 'tollgate_python_tests(\n    name = "e2e",\n    size = "large",\n'
                 '    srcs = glob(["test_*.py"]),\n    labels = ["e2e"],\n    prefix = "e2e_",\n)\n')
        self.put("tests/e2e/test_life.py", "")
        self.assert_found("ctest does not run e2e_test_life")
        self.ctest = TESTS + [("e2e_test_life", ["e2e"], 600)]
        self.assertEqual(self.found(), [])

    def test_a_build_without_benchmarks(self):
        self.put("bench/BUILD.bazel", 'tollgate_program(\n    name = "check_bench",\n    srcs = ["check_bench.cc"],\n)\n')
        self.assert_found("install libbenchmark-dev")

    def test_labels_and_times_of_a_test(self):
        self.ctest = [("lease_test", ["unit", "threads"], 300)]
        self.assert_found("lease_test: its labels in CMake are threads, unit; in Bazel unit")
        self.ctest = [("lease_test", ["unit"], 900)]
        self.assert_found('lease_test: CMake gives it 900 s, so its size is "large"')

    def test_an_option_and_a_definition(self):
        self.description += "COMPILE_OPTIONS tollgate_base -fno-plt\nCOMPILE_DEFINITIONS tollgate_lease RULES=1\n"
        found = self.found()
        self.assertEqual(len(found), 2, found)
        self.assertIn('tollgate_base lacks the option -fno-plt', found[0])
        self.assertIn('tollgate_lease lacks the definition RULES', found[1])

    def test_flags_of_all(self):
        self.put("bazel/rooms.bzl", ROOMS_BZL.replace("-Wall", "-Wextra"))
        self.assert_found("bazel/rooms.bzl: WARNINGS is not TOLLGATE_WARNINGS")
        self.put("bazel/rooms.bzl", ROOMS_BZL)
        self.put("bazel/flags.bazelrc", FLAGS.replace("-O2", "-O3").replace("20", "17"))
        found = self.found()
        self.assertIn("release is compiled with -O3 -g1; in CMake with -O2 -g1", found[0])
        self.assertIn("lacks --cxxopt=-std=c++20", found[1])

    def test_contracts(self):
        self.description += "target tollgate_proto SHARED_LIBRARY proto\n" \
                            "SOURCES tollgate_proto /b/gen/v1/token.pb.cc\nSOURCES tollgate_proto /b/gen/v1/token.grpc.pb.cc\n"
        self.put("proto/BUILD.bazel", 'tollgate_protos(\n    name = "tollgate_proto",\n    messages = ["v1/token.proto"],\n'
                 '    visibility = ["//lease:__pkg__"],\n)\n')
        self.assert_found("lacks the source proto/v1/token.proto (services)", 'to its services add: "v1/token.proto",')
        self.assert_mended()

    def test_sources_that_are_compiled_anew(self):
        self.description += "target simulation EXECUTABLE tests/simulation\n" \
                            f"SOURCES simulation main.cc\nSOURCES simulation {self.root}/base/clock.cc\n" \
                            f"SOURCES simulation {self.root}/base/log.cc\n"
        self.put("tests/simulation/main.cc", '#include "base/clock.h"\n')
        self.put("tests/simulation/BUILD.bazel", 'tollgate_program(\n    name = "simulation",\n    srcs = ["main.cc", '
                 '"//base:tollgate_base.headers", "//base:tollgate_base.sources"],\n)\n')
        self.assertEqual(self.found(), [])
        self.description += f"SOURCES tollgate_base random.cc\nSOURCES simulation {self.root}/base/random.cc\n"
        self.put("base/random.cc", "")
        self.assert_found("tollgate_base lacks the source base/random.cc")  # and that is all
        self.assert_mended()
        self.change("tests/simulation/BUILD.bazel", '"//base', '"//base:log.cc", "//base')
        self.assert_found("second mention of //base:log.cc")
        self.assert_mended()
        self.description += "SOURCES simulation town.cc\n"
        self.put("tests/simulation/town.cc", "")
        self.change("tests/simulation/BUILD.bazel", "srcs = [", 'srcs = glob(["*.h"]) + [')
        self.assert_mended()
        self.change("tests/simulation/BUILD.bazel", '"//base:tollgate_base.sources"', '"//base:clock.cc"')
        self.assertIn('"//base:log.cc",', "".join(self.found()))


class ThisTree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.build = os.environ.get("TOLLGATE_BUILD")  # ctest's own
        if cls.build is None:
            folder = tempfile.TemporaryDirectory()
            cls.addClassCleanup(folder.cleanup)
            cls.build = folder.name
            done = subprocess.run(["cmake", "-S", house.ROOT, "-B", cls.build], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr

    def test_both_builds_say_the_same(self):
        found = [str(difference) for difference in builds.differences(house.ROOT, self.build)]
        self.assertEqual(found, [], "\n" + "\n".join(found) + "\n(tests/unit/house/builds.py --write edits the BUILD files)")

    def test_the_descriptions_are_whole(self):
        """That neither is empty: the comparison would be content with that."""
        bazel = builds.Bazel(house.ROOT)
        self.assertGreater(len(bazel.targets), 100)
        self.assertGreater(len(bazel.tests), 80)
        for name in ("tollgated", "tollgate_edge", "simulation", "check_bench", "engine_conformance_test"):
            self.assertIn(name, bazel.targets)


if __name__ == "__main__":
    unittest.main()
