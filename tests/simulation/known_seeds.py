#!/usr/bin/env python3
"""Holds the table of docs/simulation.md: each mutation is caught by the seed, and by the invariant, that it names, and
without the mutation that seed breaks nothing, so that it is the mutation that was caught.

  known_seeds.py --simulation PROGRAM             runs each mutation at its known seed
  known_seeds.py --simulation PROGRAM --renew N   looks for the first seed of each, at most N, and writes the table

A mutation of mutations.cc without a row fails, but for those that say there that no seed is known (`, 0}`).
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TABLE = os.path.join(ROOT, "docs", "simulation.md")
CASES = os.path.join(ROOT, "tests", "simulation", "mutations.cc")
HEAD = "| mutation | rule |"
ROW = re.compile(r"^\| `(\w+)` \|.*\| (\d+) \| ([\w ]+) \|$")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def known():
    """(mutation, seed, invariant), as the table has them."""
    rows = [ROW.match(line) for line in read(TABLE).splitlines()]
    return [(row[1], int(row[2]), row[3]) for row in rows if row]


def cases():
    """Names of the mutations that must have a row."""
    listed = read(CASES)
    listed = listed[listed.index("kAll"):listed.index("return *kAll")]
    entries = re.findall(r'\{"(\w+)",(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}', listed)
    unknown = re.findall(r'\{"(\w+)",(?:[^{}"]|"(?:[^"\\]|\\.)*")*,\s*0\}', listed)
    return [name for name in entries if name not in unknown]


def judge(simulation, mutation, seed, invariant):
    """None where it is caught as it is told; else what is wrong."""
    done = subprocess.run([simulation, "--mutation", mutation, "--seeds", "1", "--from", str(seed)],
                          capture_output=True, text=True, check=False, timeout=300)
    seen = re.search(rf"^seed {seed}: (.+?) is broken: ", done.stdout, re.MULTILINE)
    if not seen or done.returncode != 1:
        return f"seed {seed} no longer catches it (exit code {done.returncode})"
    if seen[1] != invariant:
        return f"seed {seed} breaks {seen[1]}, not {invariant}"
    if "does not replay" in done.stdout:
        return f"seed {seed} does not replay"
    return None


def unbent(simulation, seed):
    """None where the seed breaks nothing with every rule in force; else what is wrong."""
    done = subprocess.run([simulation, "--seeds", "1", "--from", str(seed)], capture_output=True, text=True, check=False,
                          timeout=300)
    if done.returncode == 0:
        return None
    said = done.stdout.splitlines() or [done.stderr]
    return f"it is no proof of any mutation, since it fails with every rule in force: {said[0]}"


def renew(simulation, most):
    done = subprocess.run([simulation, "--mutations", "--seeds", str(most)], capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)
    if done.returncode != 0:
        return done.returncode
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    lines = read(TABLE).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(HEAD))
    last = first
    while last < len(lines) and lines[last].startswith("|"):
        last += 1
    with open(TABLE, "w", encoding="utf-8") as file:
        file.write("\n".join(lines[:first] + rows + lines[last:]) + "\n")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulation", required=True)
    parser.add_argument("--renew", type=int)
    arguments = parser.parse_args()
    if arguments.renew:
        return renew(arguments.simulation, arguments.renew)
    rows, must = known(), cases()
    wrong = [f"{name}: it has no row in {os.path.relpath(TABLE, ROOT)}" for name in must
             if name not in [row[0] for row in rows]]
    wrong += [f"{row[0]}: mutations.cc has no such mutation" for row in rows if row[0] not in must]
    if len(must) < 30:
        wrong.append(f"mutations.cc was not understood: it seems to have {len(must)} mutations")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for row, answer in zip(rows, pool.map(lambda row: judge(arguments.simulation, *row), rows)):
            if answer:
                wrong.append(f"{row[0]}: {answer}")
        seeds = sorted({row[1] for row in rows})
        for seed, answer in zip(seeds, pool.map(lambda seed: unbent(arguments.simulation, seed), seeds)):
            if answer:
                wrong.append(f"seed {seed}: {answer}")
    for line in wrong:
        print(line)
    if wrong:
        print(f"after a change of the simulation: tests/simulation/known_seeds.py --simulation {arguments.simulation} --renew 6000")
    print(f"mutations: {len(rows)} at their known seeds, {len(seeds)} seeds without them, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
