"""Every command that shows something, at terminals of 80 and 200 columns, with and without colour, and through jq."""
import os
import subprocess

import pytest

from installation import ADMIT, until
from terminal import ESCAPE, at_terminal, width

LABEL = "CI deploy key (GitHub Actions) for everything that we deploy: 日本語のトークン"
OWNER = "team:payments-and-everything-that-goes-with-them-" + "x" * 30
EDGE = "payments/edge-of-a-service-that-has-quite-a-long-name-1"
MEMBER = "spiffe://payments.corp.example/ns/production/sa/" + "deploy-everything-" * 3 + "1"
REASON = "in a public gist, and in a log: " + "https://gist.example/0123456789 " * 3

# Words after `tollgate`; TOKEN stands for a token's name, REVISION for that of its end.
TABLES = (
    ("token", "list", "--all"),
    ("token", "history", "TOKEN"),
    ("token", "attempts", "TOKEN"),
    ("workspace", "list"),
    ("validators", "list"),
    ("audit", "list"),
    ("context", "list"),
    ("policy", "explain", "POLICY"),
    ("workspace", "set-policy", "acme", "--max-unused", "30d", "--grantable-scope", "items:*", "--dry-run"),
    ("access", "explain", "--as", "MEMBER", "-w", "acme"),
    ("access", "list"),
    ("access", "roles"),
)
# What stands before and behind a table of these are sentences.
HEADED = {TABLES[1]: "WHEN", TABLES[2]: "EDGE", TABLES[7]: "RULE", TABLES[8]: "TOKEN",
          TABLES[9]: "PERMISSION"}
# Here they are not cut.
SENTENCES = TABLES[1:2] + TABLES[5:6]
# These show sentences, and values of people's own: a terminal wraps them where it must.
OTHERS = (
    ("status",),
    ("token", "get", "TOKEN"),
    ("workspace", "get", "acme"),
    ("audit", "verify"),
    ("clock", "status"),
    ("doctor", "store"),
    ("events", "wait", "REVISION"),
)


def rich(tollgate):
    """One of each thing that is shown, with long names. (the token's name, the revision of its end)"""
    tollgate.start_service()
    edge = tollgate.start_validator(EDGE)
    token, secret = tollgate.create(LABEL, "--owner", OWNER, "--scope", "deploy:write", "--scope", "items:read",
                                    "--annotation", "url=https://example.org/" + "a" * 90, "--expires-in", "10d")
    tollgate.cli("workspace", "rename", "acme", "--to", LABEL)
    tollgate.cli("workspace", "set-policy", "acme", "--max-lifetime", "90d", "--max-unused", "60d", "--grantable-scope",
                 "deploy:write", "--grantable-scope", "items:read", "--grantable-scope", "repo:*", "--yes")
    assert tollgate.check(edge, secret) == ADMIT
    tollgate.cli("token", "rotate", token, "--retire-when-silent", "24h")
    revoked = tollgate.cli("token", "revoke", token, "--yes", "--wait", "--reason", REASON)
    tollgate.check(edge, secret)
    until("its refused use was reported", lambda: tollgate.cli("token", "attempts", token).get("attempts"))
    tollgate.cli("access", "grant", "issuer", MEMBER, "-w", "acme", "-w", "globex-of-the-north")
    return {"MEMBER": MEMBER, "TOKEN": f"workspaces/acme/tokens/{token}", "REVISION": revoked["revision"],
            "POLICY": os.path.join(os.environ["TOLLGATE_SOURCE"], "examples", "nginx", "policy.yaml")}


@pytest.fixture
def shown(tollgate, home, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", home)
    names = rich(tollgate)
    tollgate.cli("context", "create", "production-of-the-payments-team", "--service", "tollgate.internal.example:443")

    def show(words, **options):
        return at_terminal(tollgate, *(str(names.get(word, word)) for word in words), **options)

    show.words = lambda words: [str(names.get(word, word)) for word in words]
    return show


def test_every_command_at_terminals_of_both_widths_with_and_without_colour(shown):
    problems = []
    for words in (*TABLES, *OTHERS):
        plain = {}
        for columns in (80, 200):
            coloured, _ = shown(words, columns=columns)
            bare, _ = shown(words, columns=columns, NO_COLOR="1")
            never, _ = shown((*words, "--color", "never"), columns=columns)
            plain[columns] = ESCAPE.sub("", bare)
            if ESCAPE.search(bare) or ESCAPE.search(never):
                problems.append(f"{words}: colours where none are wanted")
            if "\x1b" in ESCAPE.sub("", coloured):
                problems.append(f"{words}: another sequence than colours")
            lines = plain[columns].splitlines()
            if not lines:
                problems.append(f"{words}: shows nothing")
            if words in HEADED:
                begin = next(i for i, line in enumerate(lines) if line.startswith(HEADED[words]))
                lines = [line for line in lines[begin:] if not line.startswith("Dry run")]
            if words in TABLES:
                problems += [f"{words} at {columns}: {width(line)}: {line}" for line in lines if width(line) > columns]
        if words in SENTENCES:
            problems += [f"{words} does not say {word}" for word in (*REASON.split(), "scopes") if word not in plain[80]]
    assert not problems, "\n".join(problems)


def test_every_command_through_jq(tollgate, shown):
    for words in (*TABLES, *OTHERS):
        answer = tollgate.cli(*shown.words(words), "-o", "json", as_json=False).stdout
        read = subprocess.run(["jq", "-e", "-s", "length > 0 and (map(length) | min > 0)"], input=answer, text=True,
                              capture_output=True, timeout=60, check=False)
        assert read.returncode == 0, f"{words}: {read.stderr}\n{answer}"
