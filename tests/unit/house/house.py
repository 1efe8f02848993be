"""The plan of the house: which room may know which, and what each is kept free of.

The design's section 3 is the law; this file is its wording for machines. `house.py --print` lists
rooms and the arrows between them as the tree has them, `house.py --print dot` draws the same.
"""
import os
import re
import sys

# --- The plan. ---

FLOOR = {"base", "proto"}
STORE = FLOOR | {"text", "token", "storage"}
COMMANDS = STORE | {"service/records"}
CORE = FLOOR | {"lease", "token", "policy"}

# What a room may know, besides itself. A room is a folder, or a single file that stands by itself:
# what assembles the others, or what they all report to. A `main.cc` may know all that its room may,
# and the room; nothing knows a `main`.
ARROWS = {
    "base": set(),
    "proto": set(),
    "lease": FLOOR,
    "net": FLOOR,
    "token": FLOOR,
    "text": FLOOR | {"token"},
    "leaks": FLOOR | {"token"},
    "policy": FLOOR | {"token"},
    "storage": FLOOR | {"text", "token"},
    "storage/memory": STORE,
    "storage/rocksdb": STORE,
    "storage/journal": STORE,
    "storage/engines": STORE | {"storage/memory", "storage/rocksdb"},  # the only one to name them
    "service/records": STORE,
    "service/clock": COMMANDS,
    "service/use": STORE | {"lease"},
    "service/keyring": STORE,
    "service/workspaces": COMMANDS,
    "service/tokens": COMMANDS | {"service/use", "service/workspaces"},
    "service/reads": COMMANDS | {"lease", "service/history", "service/use", "service/workspaces"},
    "service/sweep": COMMANDS | {"service/use"},
    "service/history": STORE | {"lease"},
    "service/health": STORE | {"net"},
    "service/feed/ledger": STORE | {"lease", "service/use"},
    "service/feed": STORE | {"lease", "service/feed/ledger", "service/history", "service/use"},
    "service/access": COMMANDS | {"net", "lease", "service/reads"},
    "service/restore": COMMANDS | {"service/clock", "service/store_home", "storage/journal"},
    "service/store_home": STORE | {"lease", "service/history", "storage/engines", "storage/journal"},
    "service/server_metrics": STORE | {"service/feed", "service/feed/ledger"},
    "service/rpc": COMMANDS | {
        "lease", "net", "service/access", "service/clock", "service/feed", "service/feed/ledger",
        "service/history", "service/reads", "service/server_metrics",
        "service/tokens", "service/use", "service/workspaces"},
    "service": COMMANDS | {
        "lease", "net", "service/access", "service/clock", "service/feed", "service/feed/ledger",
        "service/health", "service/history", "service/keyring", "service/restore",
        "service/rpc", "service/server_metrics", "service/store_home", "service/sweep", "service/tokens",
        "service/use", "storage/engines"},
    "include": set(),
    "validator/core": CORE,
    "validator/fronts": CORE | {"net", "validator/core"},
    "validator/shells": CORE | {"net", "validator/core", "validator/fronts"},
    "validator/embedded": CORE | {"include", "net", "validator/core", "validator/shells"},
    "validator": CORE | {"net", "validator/core", "validator/fronts", "validator/shells"},
    "cli": FLOOR | {"net", "policy", "text", "token"},
    "cli/commands": FLOOR | {"cli", "leaks", "net", "policy", "text", "token"},
    "cli/command_line": FLOOR | {"cli", "cli/commands", "net", "policy", "token"},
}

# State machines and values: no wire, no engine, no thread, no lock, no executor; not in the file,
# and not in any header of ours that it reaches. Of a room's files all are pure but for the shells
# that are named here, without their endings.
PURE = {
    "lease": set(),
    "token": set(),
    "text": set(),
    "leaks": set(),
    "policy": set(),
    "service/records": set(),
    "service/clock": {"kernel_clock", "service_clock"},
    "service/keyring": set(),
    "service/workspaces": set(),
    "service/tokens": set(),
    "service/reads": set(),
    "service/use": {"use_ledger"},
    "service/sweep": {"sweeper"},
    "service/history": set(),
    "service/health": {"health_watch"},
    "service/feed/ledger": set(),
    "service/feed": {"enforcement_desk", "event_ring", "feed", "feed_options", "feed_reader",
                     "follower_stream", "hub", "hub_options"},
    "validator/core": {"holds", "shared_requirements", "validator"},
    "include": {"grpc_guard"},  # for hosts with gRPC of their own
}
# Headers that a pure file may reach though they have a lock: shared by many threads, they hold it
# for a look-up or a note only and never call out under it; they know no wire, engine or executor either.
LOCKED = {"service/feed/event_ring.h"}
LOCKS = re.compile(r'^"absl/synchronization/mutex\.h"$')
IMPURE = re.compile(
    r"^<(grpcpp|grpc|rocksdb|prometheus)/"
    r'|^"(grpcpp|grpc|rocksdb|prometheus)/'
    r"|^<(thread|mutex|shared_mutex|condition_variable|future|stop_token|semaphore|latch|barrier)>"
    r"|^<(sys/socket|sys/epoll|poll|pthread|netinet/\w+)\.h>"
    r'|^"absl/synchronization/'
    r'|^"base/executor\.h"'
    r'|\.grpc\.pb\.h"$')
# What a room as a whole stays free of, through includes too: (room and its sub-rooms, pattern, why).
FREE_OF = [
    ("base", re.compile(r'^[<"](grpcpp|grpc|rocksdb|prometheus)/|\.grpc\.pb\.h"$'),
     "base knows no wire and no engine"),
    ("storage", re.compile(r'^[<"](grpcpp|grpc)/|\.grpc\.pb\.h"$'), "the store knows no wire"),
    ("service/feed", re.compile(r'^[<"](grpcpp|grpc)/|\.grpc\.pb\.h"$'), "the feed knows no wire"),
]
# Who alone may name a library: (pattern, room, why).
ALONE = [
    (re.compile(r'^[<"]rocksdb/'), "storage/rocksdb", "nothing outside storage/rocksdb names RocksDB"),
]
# R20: what time it is, is asked of the service's clock (ServiceNow). Who alone reads the wall clock in
# these folders: rooms, and files without their endings.
WALL_CLOCK_FOLDERS = ("service", "storage")
WALL_CLOCK = re.compile(r"\bWallNow\(\)")
WALL_CLOCK_READERS = {
    "service/clock",                  # which decides whether to trust it
    "service/feed/enforcement_desk",  # R16 compares clocks
    "storage/sequencer",              # for R16
    "storage/memory", "storage/rocksdb",  # when a store is made, before it has a clock
}
# Targets of ours that are not named after a room: what they build is a part of it.
TARGETS = {
    "tollgate_proto": "proto",
    "tollgate_proto_grpc": "proto",
    "tollgate_proto_envoy": "proto",
    "tollgate_service_hub": "service/feed",  # the feed's shell
    "tollgate_service_metrics": "service/server_metrics",
}
# Libraries that a pure room's target does not link.
IMPURE_LIBRARIES = re.compile(r"^(gRPC::|RocksDB::|prometheus-cpp::|Threads::|tollgate_proto_grpc$|tollgate_proto_envoy$|tollgate_net$)")
# A room is a namespace: `tollgate::<top-level folder>`, for the rooms inside it too.
# What others program against is no room's: `tollgate::edge`, and so is what implements it.
PUBLIC_NAMESPACE = {"include": "edge", "validator/embedded": "edge"}
# Folders under tests/unit that are not rooms.
UNIT_TESTS_BESIDES = {"house"}

# --- The tree. ---

TOPS = {room.split("/")[0] for room in ARROWS}
GENERATED = ("tollgate/", "google/rpc/", "grpc/health/")  # what protoc writes of the contracts


class Tree:
    """The sources of a tree, with their includes."""

    def __init__(self, root):
        self.root = root
        self.files = []
        self.folders = set()
        for top in sorted(TOPS):
            for folder, _, names in os.walk(os.path.join(root, top)):
                for name in sorted(names):
                    if name.endswith((".h", ".cc")):
                        path = os.path.relpath(os.path.join(folder, name), root)
                        self.files.append(path)
                        self.folders.add(os.path.dirname(path))
        self.files.sort()
        self.includes = {path: list(self._includes(path)) for path in self.files}

    def text(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def _includes(self, path):
        for number, line in enumerate(self.text(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+([<"][^>"]+[>"])', line)
            if match:
                yield number, match.group(1)

    def ours(self, include):
        """The path of a header of ours, or None."""
        path = include[1:-1]
        if include.startswith('"') and path in self.includes:
            return path
        return None


def stem(path):
    return os.path.splitext(path)[0]


def room_of(path):
    """The room of a file (a path from the top); None where the plan has none."""
    base = stem(path)
    if base in ARROWS:
        return base
    if path.startswith("include/"):
        return "include"
    folder = os.path.dirname(path)
    return folder if folder in ARROWS else None


def room_of_include(include):
    """The room that an include names; None for what is not ours."""
    path = include[1:-1]
    if re.fullmatch(r"tollgate/\w+\.h", path):
        return "include"  # what others may link against
    if path.split("/")[0] == "proto" or (include.startswith('"') and path.startswith(GENERATED)):
        return "proto"
    if not include.startswith('"') or path.split("/")[0] not in TOPS or "/" not in path:
        return None
    return room_of(path) or os.path.dirname(path)


def is_main(path):
    return os.path.basename(path) == "main.cc"


def allowed(path, room):
    """What the file may include, besides its own room."""
    if not is_main(path):
        return ARROWS[room]
    top = path.split("/")[0]
    return set.union(*(ARROWS[r] | {r} for r in ARROWS if r.split("/")[0] == top))


def within(room, outer):
    return room == outer or room.startswith(outer + "/")


def pure(path):
    room = room_of(path)
    return room in PURE and os.path.basename(stem(path)) not in PURE[room] and not is_main(path)


def reaches(tree, path, pattern):
    """The shortest chain of includes from a file to one that matches, through our own headers."""
    chains = [[path]]
    seen = {path}
    for chain in chains:
        for _, include in tree.includes[chain[-1]]:
            if pattern.search(include) and not (chain[-1] in LOCKED and LOCKS.search(include)):
                return chain + [include]
            header = tree.ours(include)
            if header is not None and header not in seen:
                seen.add(header)
                chains.append(chain + [header])
    return None


# --- What is held. Each yields what breaks it. ---

def plan_violations():
    for room, known in ARROWS.items():
        for other in sorted(known - set(ARROWS)):
            yield f"the plan: {room} may know {other}, which is no room"
    for room in sorted(set(PURE) - set(ARROWS)):
        yield f"the plan: {room} is pure, and no room"
    for circle in circles(ARROWS):
        yield "the plan: rooms that know each other: " + " -> ".join(circle)


def circles(arrows):
    """Circles of arrows, one for each arrow that closes one."""
    done, found = set(), []

    def walk(room, path):
        if room in path:
            found.append(path[path.index(room):] + [room])
            return
        if room in done:
            return
        for other in sorted(arrows.get(room, ())):
            walk(other, path + [room])
        done.add(room)

    for room in sorted(arrows):
        walk(room, [])
    return found


def arrow_violations(tree):
    for path in tree.files:
        room = room_of(path)
        if room is None:
            yield f"{path}: {os.path.dirname(path)} is no room: give it a place and arrows in tests/unit/house/house.py"
            continue
        for number, include in tree.includes[path]:
            other = room_of_include(include)
            if stem(include[1:-1]).endswith("/main"):
                yield f"{path}:{number}: nothing includes main ({include})"
            elif other is not None and other != room and other not in allowed(path, room):
                yield f"{path}:{number}: {room} must not know {other} ({include})"
            for pattern, alone, why in ALONE:
                if pattern.search(include) and not within(room, alone):
                    yield f"{path}:{number}: {why} ({include})"


def purity_violations(tree):
    for path in tree.files:
        room = room_of(path)
        if room is None:
            continue
        held = [(IMPURE, "a pure file reaches a wire, an engine, a thread or a lock")] if pure(path) else []
        held += [(pattern, why) for outer, pattern, why in FREE_OF if within(room, outer)]
        for pattern, why in held:
            chain = reaches(tree, path, pattern)
            if chain:
                yield f"{path}: {why}: " + " -> ".join(chain)


def wall_clock_violations(tree):
    for path in tree.files:
        if path.split("/")[0] not in WALL_CLOCK_FOLDERS or is_main(path):
            continue
        if any(stem(path) == reader or within(os.path.dirname(path), reader) for reader in WALL_CLOCK_READERS):
            continue
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            if WALL_CLOCK.search(line.split("//")[0]):
                yield f"{path}:{number}: reads the wall clock: what time it is, ServiceNow says (R20)"


def wanted_namespace(path):
    return f"tollgate::{PUBLIC_NAMESPACE.get(room_of(path), path.split('/')[0])}"


def namespace_violations(tree):
    for path in tree.files:
        wanted = wanted_namespace(path)
        names = re.findall(r"^(?:inline )?namespace ([\w:]+) \{", tree.text(path), re.M)
        names = [name for name in names if name.split("::")[0] == "tollgate"]
        if not names and (is_main(path) or room_of(path) in PUBLIC_NAMESPACE):
            continue
        wrong = [name for name in names if name != wanted and not name.startswith(wanted + "::")]
        for name in wrong:
            yield f"{path}: namespace {name} in the room of {wanted}"
        if not names and path.endswith(".h"):
            yield f"{path}: lacks namespace {wanted}"


def cmake_files(root):
    for top in sorted(TOPS):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name == "CMakeLists.txt" or name.endswith(".cmake"):
                    yield os.path.relpath(os.path.join(folder, name), root)


def targets(root):
    """(file, kind, name, sources as paths from the top, dependencies) of each room and program."""
    for path in cmake_files(root):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = re.sub(r"#.*", "", file.read())
        folder = os.path.dirname(path)
        extra = {}
        for name, words in re.findall(r"target_link_libraries\(\s*(\w+)([^)]*)\)", text):
            extra.setdefault(name, []).extend(
                word for word in words.split() if word not in ("PUBLIC", "PRIVATE", "INTERFACE"))
        for kind, body in re.findall(r"tollgate_(room|program)\(([^)]*)\)", text):
            words = body.split()
            name, lists, current = words[0], {"SOURCES": [], "DEPS": []}, None
            for word in words[1:]:
                if word.isupper() and "_" not in word:
                    current = lists.setdefault(word, [])
                elif current is not None:
                    current.append(word)
            sources = [os.path.normpath(os.path.join(folder, source)) for source in lists["SOURCES"]]
            yield path, kind, name, sources, lists["DEPS"] + extra.get(name, [])


def target_violations(root):
    """That a target builds one room, has its name, and links only what the room may know."""
    if not os.path.isdir(root):
        return
    all_targets = list(targets(root))
    room_named = dict(TARGETS)
    for room in ARROWS:
        room_named.setdefault("tollgate_" + room.replace("/", "_"), room)
    for path, kind, name, sources, deps in all_targets:
        where = f"{path}: {name}"
        if kind == "room":
            room = room_named.get(name)
            if room is None:
                yield f"{where} has the name of no room"
                continue
            for source in sources:
                if room_of(source) != room:
                    yield f"{where} builds {source}, which lies in another room"
            known = ARROWS[room]
        else:
            room = os.path.dirname(path)
            known = allowed(room + "/main.cc", room) | {room}
        for dep in deps:
            if dep.startswith("tollgate") and dep not in room_named:
                yield f"{where} links {dep}, which is no room's target"
            elif dep in room_named and room_named[dep] != room and room_named[dep] not in known:
                yield f"{where} links {dep}: {room} must not know {room_named[dep]}"
            if room in PURE and not PURE[room] and IMPURE_LIBRARIES.search(dep):
                yield f"{where} links {dep}: {room} is pure"
            if dep.startswith("RocksDB::") and room != "storage/rocksdb":
                yield f"{where} links {dep}: nothing outside storage/rocksdb names RocksDB"
    # Every source is built once.
    built = [source for _, _, _, sources, _ in all_targets for source in sources]
    for source in sorted(set(built)):
        if built.count(source) > 1:
            yield f"{source} is built by {built.count(source)} targets"


def unlinked_violations(tree):
    """That a target links, directly or through others, every room that its sources include."""
    named = {name: (path, sources, deps) for path, _, name, sources, deps in targets(tree.root)}
    rooms_of = {name: {room_of(source) for source in sources} for name, (_, sources, _) in named.items()}

    def reached(name, seen):
        for dep in named.get(name, (None, (), ()))[2]:
            if dep not in seen:
                seen.add(dep)
                reached(dep, seen)
        return seen

    for name, (path, sources, _) in sorted(named.items()):
        linked = set(rooms_of[name])
        for dep in reached(name, set()):
            linked |= rooms_of.get(dep, {TARGETS.get(dep)})
        needed = {}
        for source in sources:
            for file in (source, stem(source) + ".h"):
                for _, include in tree.includes.get(file, ()):
                    needed.setdefault(room_of_include(include), file)
        for room, file in sorted(needed.items(), key=str):
            if room in ARROWS and room not in linked | {"include", "proto"}:
                yield f"{path}: {name} does not link {room}, which {file} includes"


def test_folder_violations(root):
    """tests/unit mirrors the rooms."""
    unit = os.path.join(root, "tests", "unit")
    for folder, _, names in os.walk(unit):
        room = os.path.relpath(folder, unit)
        if room == "." or not any(name.endswith(".cc") for name in names):
            continue
        if room not in ARROWS and room not in UNIT_TESTS_BESIDES:
            yield f"tests/unit/{room}: tests of a room that is none"


def picture_violations(tree):
    """docs/pictures/house.dot draws arrows that the plan has, and leaves out none that the tree has:
    an arrow that follows from others need not be drawn."""
    path = os.path.join("docs", "pictures", "house.dot")
    if not os.path.exists(os.path.join(tree.root, path)):
        return
    text = re.sub(r"//.*", "", tree.text(path))
    drawn = set(re.findall(r"(\w+) -> (\w+)\s*;", text))
    nodes = set(re.findall(r"^\s*(\w+) \[", text, re.M)) - {"node", "edge", "graph"}
    planned = {(room.split("/")[0], other.split("/")[0])
               for room, known in ARROWS.items() for other in known}
    for room, other in sorted(drawn - planned):
        yield f"{path}: draws {room} -> {other}, which the plan has not"
    reached = {}
    for room, other in drawn:
        reached.setdefault(room, set()).add(other)

    def leads(room, other):
        return any(nearer == other or leads(nearer, other) for nearer in reached.get(room, ()))

    if not circles(reached):
        there = {(room.split("/")[0], other.split("/")[0]) for room, other in edges(tree)}
        for room, other in sorted(there):
            if room != other and not leads(room, other):
                yield f"{path}: lacks {room} -> {other}"
    for top in sorted({room.split("/")[0] for room in rooms(tree)} - nodes):
        yield f"{path}: lacks the room {top}"


def violations(root):
    tree = Tree(root)
    found = list(plan_violations())
    found += arrow_violations(tree)
    found += purity_violations(tree)
    found += namespace_violations(tree)
    found += wall_clock_violations(tree)
    found += target_violations(root)
    found += test_folder_violations(root)
    found += picture_violations(tree)
    found += unlinked_violations(tree)
    return found


# --- The picture. ---

def edges(tree):
    """The arrows that the tree has: (room, room), and of how many includes each is made. Mains are
    left out: they know everything."""
    counts = {}
    for path in tree.files:
        room = room_of(path)
        if room is None or is_main(path):
            continue
        for _, include in tree.includes[path]:
            other = room_of_include(include)
            if other is not None and other != room:
                counts[room, other] = counts.get((room, other), 0) + 1
    return counts


def direct(pairs):
    """The arrows without those that follow from others: what a picture needs."""
    arrows = {}
    for room, other in pairs:
        arrows.setdefault(room, set()).add(other)

    def below(room, seen):
        for other in arrows.get(room, ()):
            if other not in seen:
                seen.add(other)
                below(other, seen)
        return seen

    return sorted((room, other) for room, other in pairs
                  if not any(other in below(between, set()) for between in arrows[room] - {other}))


def rooms(tree):
    found = {}
    for path in tree.files:
        room = room_of(path)
        if room is not None:
            found[room] = found.get(room, 0) + 1
    found.setdefault("proto", 0)
    return found


def picture(root, form="text"):
    tree = Tree(root)
    if form == "text":
        lines = [f"room {room} files={count}{' pure' if room in PURE and not PURE[room] else ''}"
                 for room, count in sorted(rooms(tree).items())]
        lines += [f"arrow {room} -> {other} includes={count}"
                  for (room, other), count in sorted(edges(tree).items())]
        return "\n".join(lines) + "\n"
    lines = ["digraph house {", "  rankdir=TB;", '  node [shape=box, fontname="sans-serif"];']
    tops = {}
    for room in sorted(rooms(tree)):
        tops.setdefault(room.split("/")[0], []).append(room)
    for top, inside in sorted(tops.items()):
        if inside == [top]:
            lines.append(f'  "{top}";')
            continue
        lines.append(f'  subgraph "cluster_{top}" {{')
        lines.append(f'    label="{top}/";')
        for room in inside:
            label = room.split("/", 1)[1] if "/" in room else top
            lines.append(f'    "{room}" [label="{label}"];')
        lines.append("  }")
    lines += [f'  "{room}" -> "{other}";' for room, other in direct(set(edges(tree)))]
    return "\n".join(lines + ["}"]) + "\n"


ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


def main(arguments):
    if arguments and arguments[0] == "--print":
        sys.stdout.write(picture(ROOT, arguments[1] if len(arguments) > 1 else "text"))
        return 0
    found = violations(ROOT)
    print("\n".join(found) if found else "the plan is kept")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
