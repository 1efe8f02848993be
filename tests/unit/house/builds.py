"""Holds the two builds, CMake's and Bazel's, to the same tree.

Both descriptions are read as they are: CMake's from build/<preset>/description.txt, which configuring
writes (cmake/description.cmake), and from ctest; Bazel's from the BUILD files, which are parsed: Bazel
itself is not needed. Who may know a room is house.py's. What differs is named together with the edit
that mends it:

    builds.py           what differs
    builds.py --write   makes the BUILD files follow CMake, as far as they can without being told more
"""
import argparse
import ast
import glob
import json
import os
import re
import subprocess
import sys

import house

ROOT = house.ROOT
BUILD_FILE = "BUILD.bazel"
HEADERS = (".h", ".inc")
TOPS = sorted(house.TOPS | {"proto", "tests", "bench", "examples"})
# Libraries that every test is linked with, and says nothing of.
OF_EVERY_TEST = {"@GTest//:gmock", "@GTest//:gtest_main"}
# Definitions and options that stand in the function of a build, not in a target.
OF_EVERY_TARGET = re.compile(r"^(TOLLGATE_SOURCE_DIR=|TOLLGATE_BIN_DIR=|-O0$)")
SIZES = {"small": 60, "medium": 300, "large": 900, "enormous": 3600}  # seconds that Bazel gives a test
MACROS = {  # what a BUILD file may call -> what that is, and the file that defines it
    "tollgate_room": ("library", "rooms"),
    "tollgate_headers": ("headers", "rooms"),
    "tollgate_protos": ("library", "protos"),
    "tollgate_program": ("program", "rooms"),
    "tollgate_module": ("library", "rooms"),
    "tollgate_shared_library": ("library", "rooms"),
    "tollgate_test": ("test", "rooms"),
    "tollgate_fuzz": ("test", "rooms"),
    "tollgate_command_test": ("command", "commands"),
    "tollgate_python_tests": ("commands", "commands"),
}
LISTS = ("srcs", "hdrs", "messages", "services", "copts", "local_defines", "labels", "visibility", "deps")
# Their order in a stanza.
ORDER = ["name", "size", "messages", "services", "srcs", "hdrs", "copts", "data", "labels", "local_defines",
         "single_threaded", "visibility", "deps"]


class Target:
    """What one build says of a target. Paths go from the top of the tree."""

    def __init__(self, name, kind, folder):
        self.name, self.kind, self.folder = name, kind, folder
        self.sources, self.headers, self.deps = set(), set(), set()
        self.options, self.definitions = set(), set()
        self.is_test, self.threads = kind == "test", True
        self.call = None  # of a BUILD file

    @property
    def package(self):
        """Where its BUILD file lies: with its sources, if these lie together in one folder."""
        folders = {os.path.dirname(source) for source in self.sources if source.startswith(self.folder + "/")}
        return folders.pop() if len(folders) == 1 and self.kind == "library" and "proto" not in self.name else self.folder


class Test:
    def __init__(self, name, labels, seconds):
        self.name, self.labels, self.seconds = name, set(labels), seconds


# --- CMake's description. ---

def label_of(name):
    """absl::strings -> @absl//:strings; yaml-cpp -> @yaml-cpp//:yaml-cpp."""
    repository, _, library = name.rpartition("::")
    return f"@{repository or library}//:{library}"


class CMake:
    def __init__(self, root, description, tests):
        """description: the text of description.txt. tests: what ctest prints with --show-only=json-v1."""
        self.root, self.targets, self.tests, self.lists = root, {}, {}, {}
        facts = [line.split(" ", 2) for line in description.splitlines()]
        for kind, name, value in facts:
            if kind == "target":
                type_, folder = value.split(" ", 1)
                self.targets[name] = Target(name, "program" if type_ == "EXECUTABLE" else "library", folder)
        for kind, name, value in facts:
            target = self.targets.get(name)
            if kind == "SOURCES":
                self._source(target, value)
            elif kind in ("LINK_LIBRARIES", "INTERFACE_LINK_LIBRARIES", "MANUALLY_ADDED_DEPENDENCIES"):
                self._dependency(target, kind, value)
            elif kind == "COMPILE_OPTIONS":
                target.options.add(re.sub(r"^\$<\$<[^>]*>:(.*)>$", r"\1", value))
            elif kind == "COMPILE_DEFINITIONS":
                if value.startswith("TOLLGATE_SOURCE_DIR="):
                    target.kind, target.is_test = "test", True
                target.definitions.add(value.split("=")[0])
            elif kind != "target":
                self.lists.setdefault(kind, []).append(value)
        common = set(self.lists.get("TOLLGATE_WARNINGS", ())) | set(self.lists.get("TOLLGATE_HIDDEN", ()))
        for target in self.targets.values():
            target.options = {o for o in target.options if o not in common and not OF_EVERY_TARGET.match(o)}
            target.definitions -= {"TOLLGATE_SOURCE_DIR", "TOLLGATE_BIN_DIR"}
        for test in json.loads(tests)["tests"]:
            properties = {p["name"]: p["value"] for p in test.get("properties", ())}
            self.tests[test["name"]] = Test(test["name"], properties.get("LABELS", ()), properties.get("TIMEOUT", 0))
        for name, test in self.tests.items():
            if name in self.targets:
                self.targets[name].threads = "threads" in test.labels
                self.targets[name].kind = "test"

    def add_example(self, folder):
        """A project of its own, which its users build against what was installed."""
        path = os.path.join(self.root, folder, "CMakeLists.txt")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for name, sources in re.findall(r"add_executable\((\S+) ([^)]*)\)", text):
            target = self.targets[name] = Target(name, "program", folder)
            target.sources = {f"{folder}/{source}" for source in sources.split() if not source.startswith("$")}
            for words in re.findall(rf"target_link_libraries\({name} PRIVATE ([^)]*)\)", text):
                target.deps |= {"tollgate_edge" if word == "tollgate::edge" else label_of(word)
                                for word in words.split()}

    def _source(self, target, value):
        made = re.search(r"/gen(?:-lite)?/(.*?)(\.grpc)?\.pb\.cc$", value)
        objects = re.fullmatch(r"\$<TARGET_OBJECTS:(.*)>", value)
        if made:
            target.sources.add(f"proto/{made[1]}.proto" + (" (services)" if made[2] else ""))
        elif objects:
            target.deps.add(objects[1])
        else:
            path = value if os.path.isabs(value) else os.path.join(self.root, target.folder, value)
            target.sources.add(os.path.relpath(path, self.root))

    def _dependency(self, target, kind, value):
        value = re.sub(r"^\$<(?:BUILD_INTERFACE|LINK_ONLY):(.*)>$", r"\1", value)
        if kind == "MANUALLY_ADDED_DEPENDENCIES":
            library = re.sub(r"_headers$", "", value)  # generated headers, without what is compiled of them
            if library != value and library in self.targets:
                target.deps.add(library)
        elif kind == "LINK_LIBRARIES" or not target.sources:
            target.deps.add(value if value in self.targets else label_of(value))


# --- Bazel's. ---

class Call:
    """One call in a BUILD file: its attributes, and where they stand."""

    def __init__(self, path, node, names=()):
        self.path, self.node, self.line = path, node, node.lineno
        self.macro = node.func.id
        self.nodes = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        folder = os.path.dirname(path)
        self.attributes = {name: value_of(value, folder, names) for name, value in self.nodes.items()}


def value_of(node, folder="", names=()):
    """The value of an expression, as far as it can be told without Bazel; None where it cannot. Of a
    select, what holds for a release by gcc."""
    if isinstance(node, ast.List):
        return [value_of(element, folder, names) for element in node.elts]
    if isinstance(node, ast.Name):
        return dict(names).get(node.id)
    if isinstance(node, ast.BinOp):
        left, right = value_of(node.left, folder, names), value_of(node.right, folder, names)
        return left + right if type(left) is type(right) else left if left is not None else right
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "select":
        return ast.literal_eval(node.args[0])["//conditions:default"]
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "glob":
        patterns = ast.literal_eval(node.args[0])
        return sorted(os.path.relpath(found, folder) for pattern in patterns
                      for found in glob.glob(os.path.join(folder, pattern), recursive=True))
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def constants(root):
    """What bazel/rooms.bzl gives a name to."""
    path = os.path.join(root, "bazel", "rooms.bzl")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read(), path)
    return {s.targets[0].id: value_of(s.value) for s in tree.body
            if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name)}


class Bazel:
    def __init__(self, root):
        self.root, self.targets, self.tests, self.packages, self.calls = root, {}, {}, set(), []
        self.names = constants(root)
        for top in [""] + TOPS + ["include"]:
            for folder, inner, names in os.walk(os.path.join(root, top)):
                if not top:
                    inner.clear()
                if BUILD_FILE in names:
                    self._read(os.path.relpath(folder, root))
        for target in self.targets.values():
            self._fill(target)

    def _read(self, package):
        package = "" if package == "." else package
        self.packages.add(package)
        path = os.path.join(self.root, package, BUILD_FILE)
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read(), path)
        for statement in tree.body:
            node = getattr(statement, "value", None)
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id not in MACROS:
                continue
            call = Call(path, node, self.names)
            self.calls.append(call)
            kind = MACROS[call.macro][0]
            name = call.attributes.get("name")
            if kind in ("command", "commands"):
                names = [name] if kind == "command" else [
                    call.attributes["prefix"] + house.stem(file) for file in call.attributes["srcs"]]
                for one in names:
                    self.tests[one] = self._test(one, call, set())
                continue
            target = Target(name, kind, package)
            target.call = call
            self.targets[name] = target
            if kind == "test":
                threads = call.macro == "tollgate_test" and not call.attributes.get("single_threaded")
                target.threads = threads
                self.tests[name] = self._test(name, call, {"threads"} if threads else set())

    def _test(self, name, call, more):
        default = {"tollgate_test": ["unit"], "tollgate_fuzz": ["fuzz"]}.get(call.macro, [])
        labels = set(call.attributes.get("labels") or default) | more
        return Test(name, labels, SIZES[call.attributes.get("size", "medium")])

    def _fill(self, target):
        attributes, package = target.call.attributes, target.folder
        for name in attributes.get("srcs", []):
            for path in self._files(name, package):
                (target.headers if path.endswith(HEADERS) else target.sources).add(path)
        for name in attributes.get("hdrs", []):
            target.headers.update(self._files(name, package))
        target.owned = {os.path.join(package, name) for name in attributes.get("hdrs", []) + attributes.get("srcs", [])
                        if name[0] not in ":/" and name.endswith(HEADERS)}
        for name in attributes.get("messages", []):
            target.sources.add(os.path.join(package, name))
        for name in attributes.get("services", []):
            target.sources.add(os.path.join(package, name) + " (services)")
        target.labels = [self.absolute(dep, package) for dep in attributes.get("deps", [])]
        target.deps = {label if label.startswith("@") else label.rpartition(":")[2] for label in target.labels}
        common = set(self.names.get("HIDDEN", ()))
        target.options = {o for o in attributes.get("copts") or [] if o not in common}
        target.definitions = {d.split("=")[0] for d in attributes.get("local_defines") or [] if d}

    def _files(self, name, package):
        """The files that an entry of srcs stands for."""
        match = re.fullmatch(r"(?://([^:]*))?:?([^:]+)", name)
        package, name = match[1] if name.startswith("//") else package, match[2]
        room, _, what = name.rpartition(".")
        if what in ("sources", "headers") and room in self.targets:
            named = self.targets[room]
            return [os.path.join(named.folder, file)
                    for file in named.call.attributes.get("srcs" if what == "sources" else "hdrs", [])]
        return [os.path.join(package, name)]

    @staticmethod
    def absolute(label, package):
        if label.startswith("@") and "//" not in label:
            return f"{label}//:{label[1:]}"
        if label.startswith(":"):
            return f"//{package}{label}"
        if label.startswith("//") and ":" not in label:
            return f"{label}:{os.path.basename(label)}"
        return label

    def reached(self, name, seen=None):
        """All targets that a target depends on, itself included."""
        seen = set() if seen is None else seen
        if name not in seen and name in self.targets:
            seen.add(name)
            for dep in self.targets[name].deps:
                self.reached(dep, seen)
        return seen


# --- What differs. ---

class Difference:
    """what: a line for whoever reads it. edit: (call, attribute, add or remove, value), if the BUILD file can be mended."""

    def __init__(self, what, edit=None, stanza=None):
        self.what, self.edit, self.stanza = what, edit, stanza

    def __str__(self):
        return self.what


def where(call, root):
    return f"{os.path.relpath(call.path, root)}:{call.line}"


def entry(path, package):
    """How a file is written in the lists of a package."""
    name = path.replace(" (services)", "")
    if package and not name.startswith(package + "/"):
        folder, file = os.path.split(name)
        return f"//{folder}:{file}"
    return os.path.relpath(name, package or ".")


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
        for source in sorted(ours.sources ^ target.sources):
            attribute = ("srcs" if not source.split(" ")[0].endswith(".proto")
                         else "services" if " " in source else "messages")
            self.item(target, attribute, entry(source, package), source in ours.sources, f"source {source}")
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


# --- Editing BUILD files. ---

def rank(value):
    """The order of a list: files and targets of the package, then others of ours, then the system's."""
    return (0 if value[0] not in "/@:" else 1 if value[0] == ":" else 2 if value[0] == "/" else 3, value)


def list_text(values, indent):
    if not values:
        return "[]"
    return "[\n" + "".join(f'{indent}    "{value}",\n' for value in values) + indent + "]"


def stanza_of(comparison, target):
    package = target.package
    macro = {"library": "tollgate_room", "program": "tollgate_program", "test": "tollgate_test"}[target.kind]
    attributes = {"name": target.name}
    test = comparison.cmake.tests.get(target.name)
    for source in target.sources:
        attribute = "services" if " " in source else "messages" if source.endswith(".proto") else "srcs"
        attributes.setdefault(attribute, []).append(entry(source, package))
    if "messages" in attributes:
        macro = "tollgate_protos"
    deps = target.deps - (OF_EVERY_TEST if target.kind == "test" else set())
    attributes["deps"] = sorted((comparison.label(dep, package) for dep in deps), key=rank)
    if target.options:
        attributes["copts"] = sorted(target.options)
    if target.definitions:
        attributes["local_defines"] = sorted(target.definitions)
    if test:
        seconds = min((s for s in SIZES.values() if s >= test.seconds), default=3600)
        size = next(word for word, number in SIZES.items() if number == seconds)
        if size != "medium":
            attributes["size"] = size
        if test.labels - {"threads"} != {"unit"}:
            attributes["labels"] = sorted(test.labels - {"threads"})
        if "threads" not in test.labels:
            attributes["single_threaded"] = True
    if macro in ("tollgate_room", "tollgate_protos"):
        attributes["visibility"] = ["//tests:__subpackages__"]
    if macro == "tollgate_room":
        folder = os.path.join(comparison.root, package)
        stems = {house.stem(source) for source in target.sources}
        headers = [name for name in sorted(os.listdir(folder)) if name.endswith(HEADERS)
                   and house.stem(os.path.join(package, name)) in stems] if os.path.isdir(folder) else []
        if headers:
            attributes["hdrs"] = headers
    lines = [f"{macro}("]
    for name in sorted(attributes, key=ORDER.index):
        value = attributes[name]
        if isinstance(value, list):
            value = list_text(sorted(value, key=rank), "    ")
        else:
            value = f'"{value}"' if isinstance(value, str) else str(value)
        if value != "[]":
            lines.append(f"    {name} = {value},")
    return "\n".join(lines + [")"])


def with_load(text, macro):
    """The text of a BUILD file, with what it calls loaded."""
    file = f"//bazel:{MACROS[macro][1]}.bzl"
    match = re.search(rf'^load\("{file}", (.*?)\)$', text, re.M)
    if match is None:
        return f'load("{file}", "{macro}")\n' + ("" if text.startswith("load(") else "\n") + text
    names = sorted(set(re.findall(r'"(\w+)"', match[1])) | {macro})
    return text.replace(match[0], 'load("%s", %s)' % (file, ", ".join(f'"{name}"' for name in names)))


def edited(text, call_name, attribute, action, value):
    """The text of a BUILD file after one edit."""
    tree = ast.parse(text)
    node = next(s.value for s in tree.body if isinstance(getattr(s, "value", None), ast.Call)
                and any(k.arg == "name" and getattr(k.value, "value", None) == call_name for k in s.value.keywords))
    lines = text.splitlines(keepends=True)
    keyword = next((k for k in node.keywords if k.arg == attribute), None)
    if keyword is None:
        before = [k for k in node.keywords if k.arg in ORDER and ORDER.index(k.arg) < ORDER.index(attribute)]
        at = before[-1].value.end_lineno if before else node.lineno
        values = value if action == "set" else [value]
        lines.insert(at, f"    {attribute} = {list_text(values, '    ')},\n")
        return "".join(lines)
    literal = keyword.value
    while isinstance(literal, ast.BinOp):
        literal = literal.left
    if not isinstance(literal, ast.List):
        return text
    if action == "add" and value in {getattr(e, "value", None) for e in literal.elts}:
        return text
    one_a_line = len({e.lineno for e in literal.elts}) == len(literal.elts) and literal.lineno != literal.end_lineno
    if not literal.elts or action == "remove" and {getattr(e, "value", None) for e in literal.elts} == {value}:
        one_a_line = False
    if action != "set" and one_a_line:
        if action == "remove":
            for element in literal.elts:
                if getattr(element, "value", None) == value:
                    del lines[element.lineno - 1]
            return "".join(lines)
        after = [e for e in literal.elts if isinstance(e, ast.Constant) and rank(e.value) < rank(value)]
        at = after[-1].end_lineno if after else literal.lineno
        lines.insert(at, f'        "{value}",\n')
        return "".join(lines)
    values = [e.value for e in literal.elts if isinstance(e, ast.Constant)]
    values = value if action == "set" else [v for v in values if v != value] + ([value] if action == "add" else [])
    start, end = literal.lineno - 1, literal.end_lineno - 1
    head, tail = lines[start][:literal.col_offset], lines[end][literal.end_col_offset:]
    lines[start:end + 1] = [head + list_text(sorted(values, key=rank), "    ") + tail]
    return "".join(lines)


def write(root, differences):
    """Makes the edits that are known; how many."""
    made = 0
    for difference in differences:
        if difference.stanza:
            target, stanza = difference.stanza
            path = os.path.join(root, target.package, BUILD_FILE)
            text = ""
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    text = file.read()
            text = with_load(text.rstrip("\n") + "\n\n" + stanza + "\n" if text else stanza + "\n", stanza.split("(")[0])
        elif difference.edit:
            call, attribute, action, value = difference.edit
            path = call.path
            with open(path, encoding="utf-8") as file:
                text = edited(file.read(), call.attributes["name"], attribute, action, value)
        else:
            continue
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        made += 1
    return made


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
