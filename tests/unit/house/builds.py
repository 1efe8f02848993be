#!/usr/bin/env python3
"""Holds the two builds, CMake's and Bazel's, to the same tree.

Both descriptions are read as they are: CMake's from build/<preset>/description.txt, which configuring
writes (cmake/description.cmake), and from ctest; Bazel's from the BUILD files, which are parsed: Bazel
itself is not needed. Who may know a room is house.py's. What differs is named together with the edit
that mends it:

    builds.py           what differs
    builds.py --write   makes the BUILD files follow CMake, as far as they can without being told more
"""
import argparse
import glob
import os
import re
import subprocess
import sys

import house
from build_descriptions import BUILD_FILE, HEADERS, OF_EVERY_TEST, SIZES, TOPS, Bazel, CMake
from build_edits import entry, list_text, stanza_of, write

ROOT = house.ROOT


class Difference:
    """what: a line for whoever reads it. edit: (call, attribute, add or remove, value), if the BUILD file can be mended."""

    def __init__(self, what, edit=None, stanza=None):
        self.what, self.edit, self.stanza = what, edit, stanza

    def __str__(self):
        return self.what


def where(call, root):
    return f"{os.path.relpath(call.path, root)}:{call.line}"


class Comparison:
    def __init__(self, root, cmake, bazel):
        self.root, self.cmake, self.bazel = root, cmake, bazel
        self.found = []

    def run(self):
        self.targets()
        self.tests()
        self.headers()
        self.includes()
        self.visibility()
        self.flags()
        return self.found

    def differ(self, what, **more):
        self.found.append(Difference(what, **more))

    def item(self, target, attribute, value, more, what):
        """more: CMake has the value and Bazel has not; else the other way round."""
        call, name = target.call, target.name
        place = where(call, self.root)
        if more:
            self.differ(f'{place}: {name} lacks the {what} that CMake has; to its {attribute} add: "{value}",',
                        edit=(call, attribute, "add", value))
        else:
            home = os.path.join(self.cmake.targets[name].folder, "CMakeLists.txt")
            written = call.attributes.get(attribute) or []  # the same in other words
            value = next((other for other in written if self.bazel.absolute(other, target.folder)
                          == self.bazel.absolute(value, target.folder)), value)
            self.differ(f'{home}: {name} lacks the {what} that Bazel has; add it there, or take "{value}", '
                        f"from {attribute} in {place}", edit=(call, attribute, "remove", value))

    def targets(self):
        for name, target in sorted(self.cmake.targets.items()):
            if name not in self.bazel.targets:
                path = os.path.join(target.package, BUILD_FILE)
                stanza = stanza_of(self, target)
                self.differ(f"{path}: lacks {name}, a {target.kind} that CMake builds; add:\n" + stanza,
                            stanza=(target, stanza))
        benchmarks = any(target.folder == "bench" for target in self.cmake.targets.values())
        if not benchmarks and "bench" in self.bazel.packages:
            self.differ("CMake's build knows no benchmarks: install libbenchmark-dev, and configure again")
        for name, target in sorted(self.bazel.targets.items()):
            ours = self.cmake.targets.get(name)
            if ours is None and target.folder == "bench" and not benchmarks:
                continue
            if ours is None:
                # An example's contracts are its program's own in CMake; some examples are no projects there.
                example = target.folder.startswith("examples/")
                if target.kind != "headers" and target.sources and not example:
                    self.differ(f"{where(target.call, self.root)}: builds {name}, which CMake does not: add it to "
                                f"{os.path.join(target.folder, 'CMakeLists.txt')}, or take it away here")
                continue
            self.compare(ours, target)

    def compare(self, ours, target):
        package = target.folder
        if ours.kind != target.kind:
            self.differ(f"{where(target.call, self.root)}: {target.name} is a {target.kind}; CMake has a {ours.kind}")
        # What a room lacks is said of the room alone, not of those that compile all of it anew.
        said = set().union(*(self.cmake.targets[room].sources ^ self.bazel.targets[room].sources
                             for room in target.rooms if room in self.cmake.targets))
        for source in sorted((ours.sources ^ target.sources) - said):
            attribute = ("srcs" if not source.split(" ")[0].endswith(".proto")
                         else "services" if " " in source else "messages")
            self.item(target, attribute, entry(source, package), source in ours.sources, f"source {source}")
        for name in target.twice:
            self.item(target, "srcs", name, False, f"second mention of {name}")
        given = OF_EVERY_TEST if target.is_test else set()
        bare = {dep for dep in target.deps if dep in self.cmake.targets or dep.startswith("@")}
        for dep in sorted((ours.deps ^ bare) - given):
            self.item(target, "deps", self.label(dep, package), dep in ours.deps, f"dependency {dep}")
        for label in target.labels:
            if label.startswith("//"):
                folder, _, name = label[2:].partition(":")
                there = self.bazel.targets.get(name)
                if there is None or there.folder != folder:
                    self.differ(f"{where(target.call, self.root)}: {target.name} depends on {label}, which is no target"
                                + (f": it is //{there.folder}:{name}" if there else ""))
        for option in sorted(ours.options ^ target.options):
            self.item(target, "copts", option, option in ours.options, f"option {option}")
        for definition in sorted(ours.definitions ^ target.definitions):
            self.item(target, "local_defines", definition, definition in ours.definitions, f"definition {definition}")

    def label(self, dep, package):
        if dep.startswith("@"):
            repository, _, library = dep[1:].partition("//:")
            return f"@{repository}" if repository == library else dep
        there = self.bazel.targets.get(dep) or self.cmake.targets.get(dep)
        folder = there.folder if there and there.call else there.package if there else "?"
        return f":{dep}" if folder == package else f"//{folder}:{dep}"

    def tests(self):
        cmake, bazel = self.cmake.tests, self.bazel.tests
        for name in sorted(set(cmake) - set(bazel)):
            if name not in self.cmake.targets:
                self.differ(f"no BUILD file has the test {name}, which ctest runs: add a tollgate_command_test")
        for name in sorted(set(bazel) - set(cmake)):
            self.differ(f"ctest does not run {name}, which is a test in a BUILD file: add_test is missing")
        for name in sorted(set(bazel) & set(cmake)):
            mine, theirs = cmake[name], bazel[name]
            if mine.labels != theirs.labels:
                self.differ(f"{name}: its labels in CMake are {', '.join(sorted(mine.labels))}; "
                            f"in Bazel {', '.join(sorted(theirs.labels))}")
            size = min((s for s in SIZES.values() if s >= mine.seconds), default=3600)
            if size != theirs.seconds:
                word = next(word for word, seconds in SIZES.items() if seconds == size)
                self.differ(f'{name}: CMake gives it {mine.seconds:.0f} s, so its size is "{word}"')

    def headers(self):
        """Each header of the tree belongs to one target: to that of the source of the same name, if there is one."""
        owners = {}
        for target in self.bazel.targets.values():
            for path in target.owned:
                owners.setdefault(path, []).append(target)
        there = set()
        for top in TOPS:
            for folder, _, names in os.walk(os.path.join(self.root, top)):
                there |= {os.path.relpath(os.path.join(folder, name), self.root)
                          for name in names if name.endswith(HEADERS)}
        by_stem = {house.stem(source): target for target in self.bazel.targets.values()
                   for source in sorted(target.sources) if source.startswith((target.folder or ".") + "/")}
        for path in sorted(there - set(owners)):
            target = by_stem.get(house.stem(path)) or self.only_target(os.path.dirname(path))
            if target is None:
                self.differ(f"{path}: no BUILD file has this header; add it to hdrs of the target that it belongs to "
                            f"in {os.path.dirname(path)}/{BUILD_FILE}, or a tollgate_headers of its own")
                continue
            attribute = "hdrs" if target.kind in ("library", "headers") else "srcs"
            value = entry(path, target.folder)
            self.differ(f'{where(target.call, self.root)}: {target.name} lacks the header {path}; '
                        f'to its {attribute} add: "{value}",', edit=(target.call, attribute, "add", value))
        for path in sorted(set(owners) - there):
            target = owners[path][0]
            value = entry(path, target.folder)
            attribute = "hdrs" if value in target.call.attributes.get("hdrs", []) else "srcs"
            self.differ(f'{where(target.call, self.root)}: {target.name} has the header {path}, which is not there; '
                        f'from its {attribute} take: "{value}",', edit=(target.call, attribute, "remove", value))
        for path, targets in sorted(owners.items()):
            if len(targets) > 1:
                self.differ(f"{path}: is a header of {' and of '.join(sorted(t.name for t in targets))}: "
                            "let it be of one, on which the others depend, or of a tollgate_headers")

    def only_target(self, folder):
        """The one target of a folder that may have headers of its own."""
        inside = [t for t in self.bazel.targets.values() if t.folder == folder and t.kind in ("library", "headers")]
        if not inside:
            inside = [t for t in self.bazel.targets.values() if t.folder == folder]
        return inside[0] if len(inside) == 1 else None

    def includes(self):
        """That Bazel lets a target see each header that its files include."""
        owner = {}
        for target in self.bazel.targets.values():
            for path in target.owned:
                owner[path] = target.name
        for name, target in sorted(self.bazel.targets.items()):
            seen = set(target.headers)
            for other in self.bazel.reached(name):
                seen |= self.bazel.targets[other].headers
            for path in sorted(target.sources | target.headers):
                full = os.path.join(self.root, path)
                if path.endswith(".proto") or " " in path or not os.path.exists(full):
                    continue
                with open(full, encoding="utf-8") as file:
                    text = file.read()
                for number, line in enumerate(text.splitlines(), 1):
                    match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                    include = match and match[1]
                    if include in owner and include not in seen:
                        self.hidden(f"{path}:{number}: includes {include}", target, owner[include])

    def hidden(self, what, target, owner):
        place = where(target.call, self.root)
        label = self.label(owner, target.folder)
        if self.bazel.targets[owner].kind == "test":
            mend, edit = f"make a tollgate_headers of it in {self.bazel.targets[owner].folder}/{BUILD_FILE}", None
        elif target.kind == "headers" or self.bazel.targets[owner].kind == "headers":
            mend, edit = f'to its deps add: "{label}",', (target.call, "deps", "add", label)
        else:
            mend, edit = "link it in CMake too, if the plan of the house lets it", None
        self.differ(f"{what}, of {owner}, on which {target.name} ({place}) does not depend; {mend}", edit=edit)

    def knowers(self):
        """Room -> packages in which the rooms lie that may know it."""
        packages = {}
        for target in self.bazel.targets.values():
            room = room_of_target(target.name) or target.folder
            if room in house.ARROWS:
                packages.setdefault(room, set()).add(target.folder)
        known = {}
        for room, others in house.ARROWS.items():
            for other in others:
                known.setdefault(other, set()).update(packages.get(room, ()))
        return known

    def visibility(self):
        known = self.knowers()
        rooms = {t.folder for t in self.bazel.targets.values() if t.folder in house.ARROWS}
        for target in self.bazel.targets.values():
            room = room_of_target(target.name)
            if room not in house.ARROWS or target.kind not in ("library", "headers"):
                continue
            may = known.get(room, set()) - {target.folder}
            seen = {p for p in rooms if visible(target.call.attributes.get("visibility", []), p)} - {target.folder}
            if seen == may:
                continue
            wanted = visibility_of(may, target.folder, rooms)
            what = "; ".join(filter(None, [
                seen - may and f"it shows itself to {', '.join(sorted(seen - may))}, which may not know it",
                may - seen and f"it hides from {', '.join(sorted(may - seen))}"]))
            self.differ(f"{where(target.call, self.root)}: the visibility of {target.name} is not the plan's "
                        f"(tests/unit/house/house.py): {what}; it should be:\n    visibility = "
                        + list_text(wanted, "    ") + ",", edit=(target.call, "visibility", "set", wanted))

    def flags(self):
        """Warnings, what hides an object's names, and how a release is compiled."""
        lists = self.bazel.names
        for name, theirs in [("WARNINGS", "TOLLGATE_WARNINGS"), ("HIDDEN", "TOLLGATE_HIDDEN")]:
            wanted = [flag for flag in self.cmake.lists.get(theirs, []) if flag != "-Werror"]
            if lists.get(name) != wanted:
                self.differ(f"bazel/rooms.bzl: {name} is not {theirs} of cmake/options.cmake; it should be: {wanted}")
        with open(os.path.join(self.root, "bazel", "flags.bazelrc"), encoding="utf-8") as file:
            text = file.read()
        given = re.findall(r"--copt=(\S+)", " ".join(re.findall(r"^build:release (.*)$", text, re.M)))
        wanted = " ".join(self.cmake.lists.get("CMAKE_CXX_FLAGS_RELEASE", [])).split()
        if given != wanted:
            self.differ(f"bazel/flags.bazelrc: release is compiled with {' '.join(given)}; in CMake with {' '.join(wanted)}")
        standard = f"--cxxopt=-std=c++{self.cmake.lists.get('CMAKE_CXX_STANDARD', ['?'])[0]}"
        if standard not in text:
            self.differ(f"bazel/flags.bazelrc: lacks {standard}")


def room_of_target(name):
    if name in house.TARGETS:
        return house.TARGETS[name] if name not in STUBS else None
    return ROOM_NAMED.get(name)


# Of the contracts' libraries, those that not everybody may link who may know the contracts.
STUBS = {"tollgate_proto_grpc", "tollgate_proto_envoy"}
ROOM_NAMED = {"tollgate_" + room.replace("/", "_"): room for room in house.ARROWS}


def visible(visibility, package):
    for label in visibility:
        folder, _, kind = label[2:].partition(":")
        if label == "//visibility:public" or (kind == "__pkg__" and folder == package):
            return True
        if kind == "__subpackages__" and (not folder or house.within(package, folder)):
            return True
    return False


def visibility_of(may, own, rooms):
    """The shortest list that shows a target to these packages, and to tests and benchmarks."""
    labels = {"//bench:__pkg__", "//tests:__subpackages__"}
    for package in may:
        top = package.split("/")[0]
        if {room for room in rooms if house.within(room, top)} <= may | {own}:
            labels.add(f"//{top}:__subpackages__")
        else:
            labels.add(f"//{package}:__pkg__")
    return sorted(labels)


def examples(root):
    """The folders of examples that are projects of CMake's."""
    return sorted(os.path.relpath(os.path.dirname(path), root)
                  for path in glob.glob(os.path.join(root, "examples", "*", "CMakeLists.txt")))


def differences(root, build):
    with open(os.path.join(build, "description.txt"), encoding="utf-8") as file:
        description = file.read()
    tests = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"],
                           check=True, capture_output=True, text=True).stdout
    cmake = CMake(root, description, tests)
    for folder in examples(root):
        cmake.add_example(folder)
    return Comparison(root, cmake, Bazel(root)).run()


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="edit the BUILD files")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"), help="a configured build of CMake's")
    options = parser.parse_args(arguments)
    found = differences(ROOT, options.build)
    if options.write:
        for _ in range(5):  # an edit can bring others to light
            if not write(ROOT, found):
                break
            found = differences(ROOT, options.build)
    for difference in found:
        print(difference)
    print(f"{len(found)} differences" if found else "both builds say the same")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
