"""The judge is judged: histories made by hand, with and without a broken promise."""
import json
import subprocess
import sys

import pytest

import judge as judging

EPOCH = "e1"


def admit(token, begin, end, edge="edge-1"):
    return ["d", edge, token, begin, end, "ADMIT", "UNSPECIFIED"]


def deny(token, begin, end, reason="REVOKED", edge="edge-1"):
    return ["d", edge, token, begin, end, "DENY", reason]


def unavailable(token, begin, end, edge="edge-1"):
    return ["d", edge, token, begin, end, "UNAVAILABLE", "NO_LEASE"]


def request(token, at, change="revoke"):
    return {"kind": "request", "token": token, "change": change, "at_us": at}


def done(token, revision, change="revoke", epoch=EPOCH):
    return {"kind": "done", "token": token, "change": change, "epoch": epoch, "revision": revision}


def receipt(revision, at, state="ENFORCED", epoch=EPOCH):
    return {"kind": "receipt", "epoch": epoch, "revision": revision, "state": state, "at_us": at}


def violations(*records):
    return judging.judge(json.dumps(record) for record in records).violations


REVOKED_AT_200 = [request(1, 100), done(1, 7), receipt(7, 200)]
SUSPENDED = [request(1, 100, "suspend"), done(1, 7, "suspend"), receipt(7, 200)]
RESUMED = [request(1, 300, "resume"), done(1, 8, "resume"), receipt(8, 400)]

GOOD = {
    "admits before, denials after": [*REVOKED_AT_200, admit(1, 10, 20), deny(1, 210, 220)],
    "an admit asked for before the receipt, however late its answer":
        [*REVOKED_AT_200, admit(1, 199, 9000), admit(1, 200, 9000)],
    "a pending receipt says nothing":
        [request(1, 100), done(1, 7), receipt(7, 200, "PENDING"), admit(1, 210, 220)],
    "a receipt of an older revision says nothing":
        [request(1, 100), done(1, 7), receipt(6, 200), admit(1, 210, 220)],
    "a receipt of another epoch says nothing":
        [request(1, 100), done(1, 7), receipt(7, 200, epoch="e2"), admit(1, 210, 220)],
    "a change whose answer was lost is not covered": [request(1, 100), receipt(7, 200), admit(1, 210, 220)],
    "but explains a denial": [request(1, 100), deny(1, 110, 120)],
    "a fail-open edge is not covered":
        [*REVOKED_AT_200, {"kind": "edge", "edge": "loose", "stale_policy": "fail-open"},
         admit(1, 210, 220, "loose")],
    "unavailable is never wrong": [*REVOKED_AT_200, unavailable(1, 10, 20), unavailable(2, 500, 501)],
    "a denial that overlaps the request": [request(1, 100), deny(1, 90, 100)],
    "a suspended token passes again once its return was asked for":
        [*SUSPENDED, *RESUMED, deny(1, 210, 220, "SUSPENDED"), admit(1, 250, 300), admit(1, 500, 510)],
    "suspended until its return is enforced": [*SUSPENDED, *RESUMED, deny(1, 400, 410, "SUSPENDED")],
    "suspended twice":
        [*SUSPENDED, *RESUMED, request(1, 500, "suspend"), done(1, 9, "suspend"),
         deny(1, 510, 520, "SUSPENDED"), admit(1, 510, 520)],
}

BAD = {
    "I1: an admit one microsecond after the receipt": [*REVOKED_AT_200, admit(1, 201, 220)],
    "I1: long after": [*REVOKED_AT_200, deny(1, 210, 220), admit(1, 9_000_000, 9_000_001)],
    "I1: at an edge nobody had heard of": [*REVOKED_AT_200, admit(1, 201, 220, "edge-99")],
    "I1: by a receipt of a later revision": [request(1, 100), done(1, 7), receipt(9, 200), admit(1, 201, 220)],
    "I1: the earliest of several receipts counts":
        [request(1, 100), done(1, 7), receipt(7, 900), receipt(8, 200), admit(1, 300, 310)],
    "I1: facts in any order": [admit(1, 201, 220), receipt(7, 200), done(1, 7), request(1, 100)],
    "I1: while it was suspended": [*SUSPENDED, *RESUMED, admit(1, 210, 299)],
    "I1: suspended and never asked back": [*SUSPENDED, admit(1, 210, 9000)],
    "I1: a revoked token does not come back by being resumed":
        [*REVOKED_AT_200, *RESUMED, admit(1, 500, 510)],
    "I1: suspended a second time":
        [*SUSPENDED, *RESUMED, request(1, 500, "suspend"), done(1, 9, "suspend"), receipt(9, 600),
         admit(1, 601, 602)],
    "I7: a token that nobody revoked": [*REVOKED_AT_200, deny(2, 500, 510)],
    "I7: before its revocation was asked for": [request(1, 100), deny(1, 90, 99)],
    "I7: revoked, but it was only suspended": [*SUSPENDED, deny(1, 210, 220, "REVOKED")],
    "I7: suspended, but it was revoked": [*REVOKED_AT_200, deny(1, 210, 220, "SUSPENDED")],
    "I7: unknown": [deny(2, 10, 20, "UNKNOWN")],
    "I7: unknown after its revocation": [*REVOKED_AT_200, deny(1, 210, 220, "UNKNOWN")],
    "I7: malformed": [deny(2, 10, 20, "MALFORMED")],
    "I7: expired": [deny(2, 10, 20, "EXPIRED")],
    "I7: still suspended after its return was enforced": [*SUSPENDED, *RESUMED, deny(1, 401, 410, "SUSPENDED")],
    "time goes backwards": [admit(2, 20, 10)],
    "a verdict of no known kind": [["d", "edge-1", 2, 10, 20, "MAYBE", ""]],
}


@pytest.mark.parametrize("name", GOOD)
def test_accepts(name):
    assert violations(*GOOD[name]) == []


@pytest.mark.parametrize("name", BAD)
def test_rejects(name):
    found = violations(*BAD[name])
    assert len(found) == 1, found
    if name[:2] in ("I1", "I7"):
        assert found[0].startswith(name[:2]), found


def test_a_single_bad_decision_among_many_is_found():
    fine = [admit(n, 10 * n, 10 * n + 5) for n in range(2, 5000)] + [deny(1, 300 + n, 301 + n) for n in range(5000)]
    assert violations(*REVOKED_AT_200, *fine) == []
    assert len(violations(*REVOKED_AT_200, *fine, admit(1, 4000, 4001))) == 1


def test_what_is_no_history_is_refused():
    for line in ('["x", 1]', '{"kind": "rumour"}', "[1", '["d", "edge-1", 1]'):
        with pytest.raises(ValueError):
            judging.judge([line])


def run(tmp_path, *records):
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return subprocess.run([sys.executable, judging.__file__, str(path)], capture_output=True, text=True, check=False)


def test_the_program_says_it_by_its_exit_code(tmp_path):
    assert run(tmp_path, *REVOKED_AT_200, admit(1, 10, 20), deny(1, 210, 220)).returncode == 0
    broken = run(tmp_path, *REVOKED_AT_200, admit(1, 10, 20), admit(1, 210, 220))
    assert broken.returncode == 1 and "I1: edge-1 admitted token 1" in broken.stdout
    # No decision began after a receipt: nothing was shown, and that is no success.
    assert run(tmp_path, *REVOKED_AT_200, admit(1, 10, 20)).returncode == 2
