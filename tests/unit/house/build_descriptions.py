"""What CMake and Bazel say of this tree: targets, and tests. For builds.py, which compares the two."""
import ast
import glob
import json
import os
import re

import house

BUILD_FILE = "BUILD.bazel"
HEADERS = (".h", ".inc")
TOPS = sorted(house.TOPS | {"proto", "tests", "bench", "examples"})
# Libraries that every test is linked with, and says nothing of.
OF_EVERY_TEST = {"@GTest//:gmock", "@GTest//:gtest_main"}
# Definitions and options that stand in the function of a build, or say only how fast it compiles, not in a target.
OF_EVERY_TARGET = re.compile(r"^(TOLLGATE_SOURCE_DIR=|TOLLGATE_BIN_DIR=|-O0$|--param=ggc-|-fmacro-prefix-map=)")
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
        target.rooms = {name.rpartition(":")[2][:-len(".sources")]
                        for name in attributes.get("srcs", []) if name.endswith(".sources")}
        whole = {path for name in attributes.get("srcs", []) if name.endswith(".sources")
                 for path in self._files(name, package)}
        target.twice = [name for name in attributes.get("srcs", [])
                        if not name.endswith(".sources") and whole & set(self._files(name, package))]
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
