"""Lists as people and programs read them: sorted, fitted, whole; and changes of several tokens at once."""
import csv
import io
import json
import re

from installation import REVOKED
from terminal import ESCAPE, at_terminal, width

LABELS = ["zebra", "Apple pie", "apple core", "CI deploy key (GitHub Actions) for everything that we deploy", "日本語のトークン"]


def make(tollgate):
    """One token a label, with owner and scopes; the last one revoked."""
    made = {}
    for i, label in enumerate(LABELS):
        made[label], _ = tollgate.create(label, "--owner", f"team-{9 - i}", "--scope", "deploy:write", "--scope",
                                         "items:read", "--expires-in", f"{10 + i}d")
    return made


def labels(tollgate, *arguments):
    return [token["label"] for token in tollgate.cli("token", "list", *arguments)["tokens"]]


def test_a_list_is_sorted_and_hides_what_has_ended(tollgate):
    tollgate.start_service()
    made = make(tollgate)
    by_label = ["apple core", "Apple pie", LABELS[3], "zebra", LABELS[4]]
    assert labels(tollgate) == by_label
    assert labels(tollgate, "--reverse") == by_label[::-1]
    assert labels(tollgate, "--sort", "-label") == by_label[::-1]
    assert labels(tollgate, "--sort", "created") == LABELS
    assert labels(tollgate, "--sort=-created") == LABELS[::-1]
    assert labels(tollgate, "--sort", "owner") == LABELS[::-1]
    assert labels(tollgate, "--sort", "expires") == LABELS
    assert labels(tollgate, "--sort", "last-used") == by_label, "none was used: by label"
    ids = [token["token_id"] for token in tollgate.cli("token", "list", "--sort", "id")["tokens"]]
    assert ids == sorted(ids)
    assert "--sort" in tollgate.cli("token", "list", "--sort", "size", code=2).stderr

    tollgate.cli("token", "revoke", made["zebra"], "--yes")
    assert "zebra" not in labels(tollgate)
    assert labels(tollgate, "--all").count("zebra") == 1
    assert labels(tollgate, "--state", "revoked") == ["zebra"]
    answer = tollgate.cli("token", "list")
    assert answer["ended_left_out_count"] == 1 and answer["truncated"] is False
    shown = tollgate.cli("token", "list", as_json=False)
    assert "--all" in shown.stderr and "--all" not in shown.stdout
    cut = tollgate.cli("token", "list", "--limit", "2")
    assert cut["truncated"] is True and [token["label"] for token in cut["tokens"]] == by_label[:2]
    assert tollgate.cli("token", "list", "--limit", "4")["truncated"] is False
    shown = tollgate.cli("token", "list", "--limit", "2", as_json=False)
    assert "and more" in shown.stderr and "and more" not in shown.stdout
    assert "LABEL_INVISIBLE" in tollgate.cli("token", "list", "--label", "\u200b", code=2).stderr


def test_a_list_fits_its_terminal(tollgate):
    tollgate.start_service()
    made = make(tollgate)
    for columns in (80, 200):
        for colour in (True, False):
            shown, err = at_terminal(tollgate, "token", "list", columns=columns, **({} if colour else {"NO_COLOR": "1"}))
            assert bool(ESCAPE.search(shown)) == colour
            plain = ESCAPE.sub("", shown)
            assert "\x1b" not in plain
            lines = plain.splitlines()
            assert len(lines) == 1 + len(LABELS)
            assert all(width(line) <= columns for line in lines), plain
            for token in made.values():
                assert token in plain
            assert re.search(r"^TOKEN +LABEL +STATE ", lines[0])
            if columns == 200:
                assert LABELS[3] in plain and "CREATED" in plain and "OWNER" in plain and err == ""
            else:
                assert "CI deploy key" in plain and LABELS[3] not in plain and "…" in plain
                assert "Without" in err and "-o wide" in err
    assert not ESCAPE.search(at_terminal(tollgate, "token", "list", term="dumb")[0])
    assert not ESCAPE.search(at_terminal(tollgate, "token", "list", "--color", "never")[0])
    # Into a pipe goes all of it, and no colour unless that is asked for.
    piped = tollgate.cli("token", "list", as_json=False).stdout
    assert LABELS[3] in piped and "CREATED" in piped and not ESCAPE.search(piped)
    assert ESCAPE.search(tollgate.cli("token", "list", "--color", "always", as_json=False).stdout)
    wide, _ = at_terminal(tollgate, "token", "list", "-o", "wide", NO_COLOR="1")
    assert LABELS[3] in wide and "CREATOR" in wide and "ANNOTATIONS" in wide


def test_names_and_csv(tollgate):
    tollgate.start_service()
    made = make(tollgate)
    nasty = '=HYPERLINK("http://x","y")'
    tollgate.create(nasty, "--owner", "+1", "--annotation", "a=1,2")
    names = tollgate.cli("token", "list", "-o", "name", as_json=False).stdout.split()
    assert f"workspaces/acme/tokens/{made['zebra']}" in names and len(names) == len(LABELS) + 1
    text = tollgate.cli("token", "list", "-o", "csv", as_json=False)
    raw = text.stdout
    rows = list(csv.DictReader(io.StringIO(raw)))
    assert len(rows) == len(LABELS) + 1
    first = next(row for row in rows if row["label"] == "zebra")
    assert first["token_id"] == made["zebra"] and first["scopes"] == "deploy:write items:read"
    assert first["state"] == "active" and first["owner"] == "team-9" and first["create_time"].endswith("Z")
    bad = next(row for row in rows if "HYPERLINK" in row["label"])
    assert bad["label"] == "'" + nasty and bad["owner"] == "'+1" and bad["annotations"] == "a=1,2"
    # A form that a command has not is refused where it was asked for, and gives way where it is only the usual one.
    assert "does not come as 'csv'" in tollgate.cli("token", "get", made["zebra"], "-o", "csv", code=2,
                                                    as_json=False).stderr


def test_all_workspaces(tollgate):
    tollgate.start_service()
    tollgate.create("one")
    for workspace in ("beta", "gamma"):
        tollgate.cli("token", "create", "-w", workspace, "--create-workspace", "--label", f"of {workspace}")
    every = tollgate.cli("token", "list", "-A")["tokens"]
    assert [token["label"] for token in every] == ["of beta", "of gamma", "one"]
    shown = tollgate.cli("token", "list", "-A", as_json=False).stdout.splitlines()
    assert shown[0].startswith("WORKSPACE") and shown[1].startswith("beta")
    quiet = tollgate.cli("token", "list", "-A", "-q", as_json=False).stdout.split()
    assert sorted(quiet) == sorted(token["name"] for token in every)
    assert "give one" in tollgate.cli("token", "list", "-A", "-w", "beta", code=2).stderr
    # As an engineer without our command asks.
    page = tollgate.client().call("TokenService/ListTokens", parent="workspaces/-", page_size=2)
    assert len(page.tokens) == 2 and page.next_page_token


def test_several_tokens_at_once(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    made = {label: tollgate.create(label, "--owner", owner) for label, owner in
            (("a", "x"), ("b", "x"), ("c", "y"), ("twice", "y"), ("d", "z"))}
    again, _ = tollgate.create("twice")
    ids = {label: token for label, (token, _) in made.items()}
    # Nobody is there to be asked.
    refused = tollgate.cli("token", "revoke", ids["a"], ids["b"], code=2, as_json=False)
    assert "add --yes" in refused.stderr and ids["a"] in refused.stderr, "the preview"
    # A typo in the last one leaves the first one alone.
    tollgate.cli("token", "revoke", ids["a"], "0000000000000000", "--yes", code=3)
    assert tollgate.cli("token", "get", ids["a"])["state"] == "active"
    assert "2 were" not in tollgate.cli("token", "suspend", "--where-owner", "x", "--expect", "3", "--yes", code=4).stderr
    would = tollgate.cli("token", "suspend", "--where-owner", "x", "--dry-run")
    assert {token["token_id"] for token in would["tokens"]} == {ids["a"], ids["b"]}
    done = tollgate.cli("token", "suspend", "--where-owner", "x", "--yes", "--wait")
    assert [one["token"]["state"] for one in done["results"]] == ["suspended"] * 2
    assert done["results"][1]["receipt"]["state"] == "enforced"
    tollgate.cli("token", "resume", ids["a"], ids["b"], "--yes")
    assert tollgate.cli("token", "get", ids["b"])["state"] == "active"
    tollgate.cli("token", "update", ids["a"], ids["b"], "--owner", "new", "--yes")
    assert {tollgate.cli("token", "get", ids[label])["owner"] for label in "ab"} == {"new"}
    assert "--label" in tollgate.cli("token", "update", ids["a"], ids["b"], "--label", "x", "--yes", code=2).stderr

    # By label: one, or the candidates.
    ambiguous = tollgate.cli("token", "revoke", "--label", "twice", "--yes", code=4, as_json=False).stderr
    assert "LABEL_AMBIGUOUS" in ambiguous and again in ambiguous and ids["twice"] in ambiguous
    assert "LABEL_NOT_FOUND" in tollgate.cli("token", "revoke", "--label", "nobody", "--yes", code=3).stderr
    one = tollgate.cli("token", "revoke", "--label", "c", "--yes")
    assert one["token"]["token_id"] == ids["c"] and one["token"]["state"] == "revoked"
    assert "NOTHING_CHOSEN" in tollgate.cli("token", "revoke", "--where-owner", "nobody", "--yes", code=3).stderr

    shown, err = at_terminal(tollgate, "token", "revoke", ids["a"], ids["b"], "--yes", "--wait")
    assert shown.count("revoked      revision") == 2 and "enforced     everywhere" in shown, err
    for label in "ab":
        assert tollgate.check(edge, made[label][1]) == REVOKED
    # Under one request id: the same again is the same.
    first = tollgate.cli("token", "revoke", ids["d"], again, "--yes", "--request-id", "r-1")["results"]
    second = tollgate.cli("token", "revoke", ids["d"], again, "--yes", "--request-id", "r-1")["results"]
    assert [one["revision"] for one in first] == [one["revision"] for one in second]
    assert json.loads(json.dumps(first)) == second
