"""Which one-line faults a source file admits. Each is the kind of mistake a person makes."""
import os
import re

# Lines whose change is no fault: what is logged, reserved or asserted, and the simulation's own switches.
LEFT_ALONE = re.compile(r"\bLog\(|\.reserve\(|static_assert|TOLLGATE_INVARIANT|TOLLGATE_MUTATED|SetLogProgram|^\s*#|^\s*//")
COMPARISONS = {" < ": (" <= ", " >= "), " <= ": (" < ",), " > ": (" >= ", " <= "), " >= ": (" > ",),
               " == ": (" != ",), " != ": (" == ",), " && ": (" || ",), " || ": (" && ",)}
CALL = re.compile(r"^\s*(?!return\b|throw\b|delete\b|co_)(?:\w+(?:::|\.|->))*\w+\([^{}]*\);\s*(?://.*)?$")
DECLARED = re.compile(r"^\s*(?:const |static |constexpr |auto |explicit |virtual |using |typedef )")
KINDS = ("comparison", "logic", "off by one", "condition", "call", "constant")


def code_of(line):
    """The line with strings, characters and comments blanked, so that positions stay."""
    blank = lambda match: match[0][0] + "_" * (len(match[0]) - 2) + match[0][-1] if len(match[0]) > 1 else match[0]
    line = re.sub(r'"(?:[^"\\]|\\.)*"|(?<![\w])\'(?:[^\'\\]|\\.)+\'', blank, line)
    comment = line.find("//")
    return line if comment < 0 else line[:comment] + " " * (len(line) - comment)


def condition(code):
    """(begin, end) of what an `if (…)` or `while (…)` in this line asks; None where it does not end here."""
    match = re.match(r"^\s*(?:} else )?(?:if|while) \(", code)
    if not match:
        return None
    depth = 1
    for at in range(match.end(), len(code)):
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        if depth == 0:
            return None if ";" in code[match.end():at] else (match.end(), at)
    return None


def of_line(line, before):
    """Yields (kind, the line with the fault). `before` is the line above it."""
    code = code_of(line)
    for old, news in COMPARISONS.items():
        at = code.find(old)
        while at >= 0:
            # `a < b>` of a template is written without spaces; a shift and an arrow have other signs.
            for new in news:
                yield "logic" if "&" in old or "|" in old else "comparison", line[:at] + new + line[at + len(old):]
            at = code.find(old, at + 1)
    for match in re.finditer(r" ([+-]) 1\b(?![.\w'])", code):
        yield "off by one", line[:match.start()] + line[match.end():]
        yield "off by one", line[:match.start()] + f" {match[1]} 2" + line[match.end():]
    asked = condition(code)
    if asked:
        begin, end = asked
        yield "condition", line[:begin] + "!(" + line[begin:end] + ")" + line[end:]
        if "while" not in code:
            yield "condition", line[:begin] + "false" + line[end:]
    if CALL.match(code) and not DECLARED.match(code) and before.rstrip().endswith((";", "{", "}", ":")):
        indent = line[:len(line) - len(line.lstrip())]
        yield "call", indent + ";  // dropped"
    for match in re.finditer(r"(?<![\w.'\"\[+-])(?<![+-] )(\d{1,9})(?![\w.'\]])", code):
        if match[1] not in ("0", "1") or re.search(r"(?:return|=|\() $|(?:return |= |\()$", code[:match.start()]):
            yield "constant", line[:match.start()] + str(int(match[1]) + 1) + line[match.end():]
    for match in re.finditer(r"\b(?:return|=) (true|false);", code):
        other = "false" if match[1] == "true" else "true"
        yield "constant", line[:match.start(1)] + other + line[match.end(1):]


def candidates(tree, rooms, covered):
    """Every fault of the rooms' sources, in a fixed order; only in `covered` lines where that is given."""
    found = []
    for room in rooms:
        for folder, folders, files in os.walk(os.path.join(tree, room)):
            folders.sort()
            for name in sorted(files):
                path = os.path.relpath(os.path.join(folder, name), tree)
                if not name.endswith((".cc", ".h")) or (covered is not None and path not in covered):
                    continue
                with open(os.path.join(tree, path), encoding="utf-8") as file:
                    lines = file.read().split("\n")
                for number, line in enumerate(lines, 1):
                    if LEFT_ALONE.search(line) or (covered is not None and number not in covered[path]):
                        continue
                    for kind, after in of_line(line, lines[number - 2] if number > 1 else ""):
                        if after != line:
                            found.append({"file": path, "line": number, "kind": kind, "before": line, "after": after})
    return found


def choose(found, rng):
    """All of them in an order drawn by the seed: the kinds in turn, and no line twice until all have had theirs."""
    by_kind = {kind: [fault for fault in found if fault["kind"] == kind] for kind in KINDS}
    for kind in KINDS:
        rng.shuffle(by_kind[kind])
    order, later, seen = [], [], set()
    while any(by_kind.values()):
        kind = rng.choice([kind for kind in KINDS if by_kind[kind]])
        fault = by_kind[kind].pop()
        place = (fault["file"], fault["line"])
        (later if place in seen else order).append(fault)
        seen.add(place)
    return order + later
