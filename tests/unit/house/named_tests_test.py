#!/usr/bin/env python3
"""docs/trouble.md names tests: each must exist.

A name in backquotes of the last column of its tables is a test file of tests/e2e, a suite or a whole test of
googletest, a program of tests, a mutation or a fault scenario; `X…` is the beginning of one, `X` (y) is X.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]


def known_names():
    names = set()
    for path in (ROOT / "tests").rglob("*"):
        if path.suffix == ".py" and path.stem.startswith("test_"):
            names.add(path.stem)
        elif path.suffix == ".cc" or path.suffix == ".h":
            text = path.read_text(encoding="utf-8")
            for suite, test in re.findall(r"TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)", text):
                names.update((suite, f"{suite}.{test}"))
            names.update(re.findall(r'\{"([a-z0-9_]+)", "', text))
            names.update(re.findall(r"\bTown::(\w+)\(", text))
        elif path.name == "CMakeLists.txt":
            names.update(re.findall(r"tollgate_test\(\s*(\w+)", path.read_text(encoding="utf-8")))
    for file in ("scenarios.py", "trouble.py", "figures.py"):
        names.update(re.findall(r"^def (\w+)\(", (ROOT / "tests" / "faults" / file).read_text(encoding="utf-8"), re.M))
    names.add("make model")
    return names


def missing(text, known):
    wrong = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("| ") or line.startswith("| ---") or line.startswith("| what |"):
            continue
        told = line.rstrip("| ").rsplit("|", 1)[1]
        named = re.findall(r"`([^`]+)`", told)
        if not named and "simulation" not in told:
            wrong.append((number, "(no test is named)"))
        for name in named:
            stem = name.rstrip("…")
            found = any(one.startswith(stem) for one in known) if name.endswith("…") else name in known
            if not found:
                wrong.append((number, name))
    return wrong


def main():
    known = known_names()
    # It can fail.
    assert missing("| a | b | `test_no_such_thing` |", known) and missing("| a | b | by argument |", known)
    wrong = missing((ROOT / "docs" / "trouble.md").read_text(encoding="utf-8"), known)
    for number, name in wrong:
        print(f"docs/trouble.md:{number}: no test is called {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
