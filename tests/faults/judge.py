#!/usr/bin/env python3
"""Judges a recorded history against I1 and I7, afterwards and by itself.

  judge.py FILE...      exit code 0: nothing wrong; 1: a promise was broken; 2: it proves nothing

A history is one JSON value a line, from any number of files; all times are microseconds of one
machine's CLOCK_BOOTTIME:

  ["d", edge, token, begin, end, verdict, reason]
      a decision. `begin` was read before the request was sent, `end` after its answer came, so the
      decision lies between them.
  {"kind": "edge", "edge": name, "stale_policy": "fail-closed" | "fail-open"}
      an edge that is not named is fail-closed.
  {"kind": "request", "token": n, "change": "revoke" | "suspend" | "resume", "at_us": t}
      read before the change was first asked for.
  {"kind": "done", "token": n, "change": ..., "epoch": e, "revision": r}
      it was acknowledged.
  {"kind": "receipt", "epoch": e, "revision": r, "state": "ENFORCED" | "PENDING", "at_us": t}
      read after the receipt came back. It speaks for every change at or below its revision.

I1  No decision that began after a receipt ENFORCED for a revocation (or suspension) admitted the
    token, at a fail-closed edge. A suspended token may pass again once its return was asked for.
I7  No denial of a token that nobody had asked to turn off by the end of the decision; none as
    unknown, malformed, expired or for any other reason that is not so of these tokens; and no
    SUSPENDED that began after the token's return was enforced.

Whoever sent the request earlier than the receipt proves nothing by its answer; whoever sent it
later does, whatever lay queued in between: so both rules raise no false alarm.
"""
import bisect
import collections
import json
import sys

OFF = {"revoke": "REVOKED", "suspend": "SUSPENDED"}
SHOWN = 20


class Token:
    """What was asked for about one token, in the order of asking."""

    def __init__(self):
        self.changes = []  # of Change

    def change(self, kind):
        return next((c for c in reversed(self.changes) if c.kind == kind), None)


class Change:
    def __init__(self, kind, requested_us):
        self.kind, self.requested_us = kind, requested_us
        self.epoch = self.revision = self.enforced_us = None


class Verdict:
    def __init__(self):
        self.violations = []
        self.decisions = self.admits = self.denials = self.unavailable = 0
        self.covered = 0     # decisions about a token that a receipt had declared off before they began
        self.receipts = 0    # ENFORCED
        self.enforced_changes = 0
        self.tokens_off = 0

    @property
    def proves_something(self):
        return self.admits > 0 and self.receipts > 0 and self.covered > 0

    def add(self, other):
        self.violations += other.violations
        for name in ("decisions", "admits", "denials", "unavailable", "covered", "receipts",
                     "enforced_changes", "tokens_off"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def line(self):
        return (f"{self.decisions} decisions judged: {self.admits} admits, {self.denials} denials, "
                f"{self.unavailable} unavailable; {self.receipts} receipts; {self.covered} decisions began "
                f"after a receipt about their token; violations: {len(self.violations)}")


def read(lines):
    decisions, facts = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        value = json.loads(line)
        if isinstance(value, list):
            if len(value) != 7 or value[0] != "d":
                raise ValueError(f"line {number}: no decision: {line.strip()}")
            decisions.append(value[1:])
        elif value.get("kind") in ("edge", "request", "done", "receipt"):
            facts.append(value)
        else:
            raise ValueError(f"line {number}: of no known kind: {line.strip()}")
    return decisions, facts


def understand(facts, verdict):
    tokens = collections.defaultdict(Token)
    open_edges = {fact["edge"] for fact in facts
                  if fact["kind"] == "edge" and fact["stale_policy"] == "fail-open"}
    # A change is told in three facts, of which a file may hold the last before the first.
    order = {"edge": 0, "request": 1, "done": 2, "receipt": 3}
    receipts = collections.defaultdict(list)  # epoch: (revision, at)
    for fact in sorted(facts, key=lambda fact: (order[fact["kind"]], fact.get("at_us", 0))):
        if fact["kind"] == "request":
            tokens[fact["token"]].changes.append(Change(fact["change"], fact["at_us"]))
        elif fact["kind"] == "done":
            change = next((c for c in tokens[fact["token"]].changes
                           if c.kind == fact["change"] and c.revision is None), None)
            if change is None:
                raise ValueError(f"done, but never asked for: {fact}")
            change.epoch, change.revision = fact["epoch"], fact["revision"]
        elif fact["kind"] == "receipt" and fact["state"] == "ENFORCED":
            verdict.receipts += 1
            receipts[fact["epoch"]].append((fact["revision"], fact["at_us"]))
    # The earliest receipt at or above a revision.
    earliest = {}
    for epoch, told in receipts.items():
        told.sort()
        best, times = None, []
        for _, at in reversed(told):
            best = at if best is None else min(best, at)
            times.append(best)
        earliest[epoch] = ([revision for revision, _ in told], times[::-1])
    for token in tokens.values():
        for change in token.changes:
            if change.epoch in earliest:
                revisions, times = earliest[change.epoch]
                place = bisect.bisect_left(revisions, change.revision)
                if place < len(revisions):
                    change.enforced_us = times[place]
                    verdict.enforced_changes += 1
        verdict.tokens_off += any(change.kind in OFF for change in token.changes)
    return tokens, open_edges


def off_by_receipt(token, begin, end):
    """The change by which the token was off, said a receipt before `begin`, until after `end`."""
    for place, change in enumerate(token.changes):
        if change.kind not in OFF or change.enforced_us is None or begin <= change.enforced_us:
            continue
        back = None if change.kind == "revoke" else next(
            (later for later in token.changes[place + 1:] if later.kind == "resume"), None)
        if back is None or end < back.requested_us:
            return change
    return None


def wrong_denial(token, begin, end, reason):
    """Why nothing explains the denial; None where something does."""
    kind = {value: key for key, value in OFF.items()}.get(reason)
    if kind is None:
        return f"denied as {reason}, which is not so of any token here"
    asked = [change for change in token.changes if change.kind == kind and change.requested_us <= end]
    if not asked:
        return f"denied as {reason}, and nobody had asked for that"
    if kind == "suspend":
        place = token.changes.index(asked[-1])
        back = next((later for later in token.changes[place + 1:] if later.kind == "resume"), None)
        if back is not None and back.enforced_us is not None and begin > back.enforced_us:
            return f"denied as SUSPENDED {begin - back.enforced_us} us after its return was enforced"
    return None


def judge(lines):
    verdict = Verdict()
    decisions, facts = read(lines)
    tokens, open_edges = understand(facts, verdict)
    nothing = Token()
    for edge, number, begin, end, word, reason in decisions:
        verdict.decisions += 1
        if end < begin:
            verdict.violations.append(f"a decision that ended before it began: {edge} {number} {begin} {end}")
            continue
        token = tokens.get(number, nothing)
        off = off_by_receipt(token, begin, end)
        verdict.covered += off is not None
        if word == "ADMIT":
            verdict.admits += 1
            if off is not None and edge not in open_edges:
                verdict.violations.append(
                    f"I1: {edge} admitted token {number} in a request sent {begin - off.enforced_us} us after "
                    f"the receipt: {off.kind} of revision {off.revision} was enforced at {off.enforced_us}, "
                    f"request {begin}, answer {end}")
        elif word == "DENY":
            verdict.denials += 1
            why = wrong_denial(token, begin, end, reason)
            if why is not None:
                verdict.violations.append(f"I7: {edge}, token {number}, request {begin}, answer {end}: {why}")
        elif word == "UNAVAILABLE":
            verdict.unavailable += 1
        else:
            verdict.violations.append(f"a decision of no known kind: {edge} {number} {word} {reason}")
    return verdict


def judge_files(paths):
    def lines():
        for path in paths:
            with open(path, encoding="utf-8") as file:
                yield from file

    return judge(lines())


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    verdict = judge_files(sys.argv[1:])
    for violation in verdict.violations[:SHOWN]:
        print(violation)
    if len(verdict.violations) > SHOWN:
        print(f"… and {len(verdict.violations) - SHOWN} more")
    print(verdict.line())
    if verdict.violations:
        return 1
    return 0 if verdict.proves_something else 2


if __name__ == "__main__":
    sys.exit(main())
