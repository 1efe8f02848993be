"""JSON of one shape: what the commands print is what docs/schema/answers.json says, to the letter."""
import copy
import json
import os
import re
import signal
import subprocess
import sys

import jsonschema

from installation import BIN, metric, until
from terminal import Terminal, screen

SOURCE = os.environ["TOLLGATE_SOURCE"]


def closed(part):
    """The same schema, in which an object has no member that is not told of."""
    if isinstance(part, dict):
        part = {name: closed(value) for name, value in part.items()}
        if part.get("properties") and part.get("type") == "object":
            part.setdefault("additionalProperties", False)
        return part
    return [closed(value) for value in part] if isinstance(part, list) else part


class Schema:
    def __init__(self):
        with open(os.path.join(SOURCE, "docs", "schema", "answers.json"), encoding="utf-8") as file:
            self.open = json.load(file)
        jsonschema.Draft202012Validator.check_schema(self.open)
        self.defs = closed(copy.deepcopy(self.open))["$defs"]
        self.seen = set()

    def check(self, command, text):
        """`text` is one answer of the command."""
        schema = {"$defs": self.defs, "$ref": f"#/$defs/commands/$defs/{command}"}
        jsonschema.Draft202012Validator(schema).validate(json.loads(text))
        self.seen.add(command)
        assert re.match(r'\{\n  "|\{\n\}|\{"', text), f"another indent: {text[:80]}"

    def check_error(self, text):
        error = copy.deepcopy(self.defs["error"])
        error["properties"]["error"]["properties"]["retry_after_seconds"] = {"type": "number"}
        jsonschema.Draft202012Validator(error).validate(json.loads(text))


def test_the_schema_is_that_of_the_protos():
    done = subprocess.run([sys.executable, os.path.join(SOURCE, "scripts", "json-schema"), "--check"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_prints_what_the_schema_says(tollgate, tmp_path):
    tollgate.start_service("--backup-dir", str(tmp_path))
    edge = tollgate.start_validator()
    schema = Schema()
    environment = {**os.environ, "TOLLGATE_SERVICE": tollgate.address, "TOLLGATE_EDGE": edge.socket,
                   "TOLLGATE_WORKSPACE": "acme", "TOLLGATE_CONFIG": ""}

    def ask(command, *arguments, secret="", codes=(0,)):
        done = subprocess.run([os.path.join(BIN, "tollgate"), "-o", "json", *command.split(), *arguments],
                              input=secret, capture_output=True, text=True, timeout=60, check=False, env=environment)
        assert done.returncode in codes, done.stderr
        schema.check(command, done.stdout)
        return json.loads(done.stdout)

    made = ask("token create", "--label", "first", "--scope", "items:read", "--annotation", "k=v",
               "--expires-in", "90d")
    token, secret = made["token"]["token_id"], made["token_string"]
    assert isinstance(made["revision"], int) and made["token"]["scopes"] == ["items:read"], "numbers are numbers"
    other = ask("token create", "--label", "other", "--owner", "x")["token"]["token_id"]
    ask("token check", "--scope", "items:read", secret=secret)
    assert ask("token check", "--scope", "admin", secret=secret, codes=(10,))["reason"] == "insufficient-scope"
    until("its use is told", lambda: ask("token get", token).get("edge_uses"))
    listed = ask("token list")
    # The same token is the same thing in every answer.
    got = ask("token get", token)
    assert "edge_uses" not in listed["tokens"][0]
    assert {name for name in got} - {"edge_uses"} == {name for name in listed["tokens"][0]}
    assert ask("token list", "--edges")["tokens"][0] == got
    ask("token update", token, "--label", "renamed", "--wait")
    ask("token update", token, other, "--owner", "both", "--yes")
    ask("token suspend", token)
    ask("token resume", token)
    ask("token suspend", "--where-owner", "both", "--dry-run")
    ask("token rotate", token, "--retire-when-silent", "1h")
    ask("token rotate", token, "--replan", "--retire-in", "1h")
    ask("token rotate", token, "--cancel")
    ask("token rotate", other)
    ask("token retire", other, "--force", "--wait")
    revoked = ask("token revoke", token, "--yes", "--wait")
    # What comes out goes in.
    assert revoked["token"]["state"] == "revoked"
    assert ask("token list", "--state", revoked["token"]["state"])["tokens"]
    ask("token check", secret=secret, codes=(10,))
    ask("token attempts", token)
    ask("token history", token)
    ask("token revoke", "--all", "--dry-run")
    ask("token revoke", "--all", "--yes")
    leaked = ask("token create", "--label", "leaked")["token_string"]
    ask("token revoke", "--leaked", "--yes", secret=leaked)
    leaked = tmp_path / "leaked.env"
    leaked.write_text(ask("token create", "--label", "in a file")["token_string"])
    assert ask("scan", str(leaked), codes=(10,))["findings"][0]["outcome"] == ""
    ask("scan", str(leaked), str(tmp_path / "gone"), codes=(1,))
    ask("scan", str(leaked), "--revoke", "--yes", "--wait", codes=(10,))
    ask("workspace create", "globex", "--display-name", "Globex")
    ask("workspace rename", "globex", "--to", "Globex Ltd")
    ask("workspace delete", "globex", "--yes")
    ask("workspace get", "acme")
    ask("workspace list")
    ask("workspace set-policy", "acme", "--max-lifetime", "365d")
    ask("workspace set-policy", "acme", "--max-unused", "90d", "--dry-run")
    ask("access grant", "issuer", "unix:ada", "-w", "acme")
    ask("access list")
    ask("access roles")
    ask("access explain")
    ask("access explain", "--as", "unix:ada", "--permission", "audit.read", codes=(10,))
    ask("access withdraw", "issuer", "unix:ada", "--wait")
    ask("access withdraw", "issuer", "unix:ada")
    ask("events wait", str(revoked["revision"]))
    ask("events watch", "--after", "1", "--count", "1")
    ask("audit verify")
    ask("validators list")
    ask("validators watch", "--count", "1")
    ask("backup create")
    ask("clock status")
    assert ask("doctor store")["fault_count"] == 0, "zero is there"
    ask("version")
    ask("status")
    policy = tmp_path / "edge.yaml"
    policy.write_text("version: 1\nroutes:\n  - methods: GET\n    path: /v1/items\n    needs: {any: [items:read]}\n"
                      "  - path: /healthz\n    needs: public\n")
    ask("policy lint", str(policy), codes=(0, 10))
    ask("policy test", str(policy), "--method", "GET", "--path", "/v1/items", "--token-scopes", "items:read")
    ask("policy test", str(policy), "--method", "GET", "--path", "/nowhere", codes=(10,))
    ask("policy explain", str(policy))
    for line in subprocess.run([os.path.join(BIN, "tollgate"), "-o", "json", "audit", "list"], capture_output=True,
                               text=True, check=True, env=environment).stdout.splitlines():
        schema.check("audit list", line)

    commands = set(schema.defs["commands"]["$defs"])
    # Those need a doubt, a proxy, one that lapsed, and a person's own folder: each has a test of its own.
    left = {"clock accept", "doctor edge", "validators forget", *(f"context {verb}" for verb in ("list", "use", "show", "create", "delete"))}
    assert schema.seen | left >= commands, commands - schema.seen


def test_every_error_is_what_the_schema_says(tollgate):
    tollgate.start_service()
    schema = Schema()
    for words, code in ((("token", "get", "0000000000000000"), 3), (("token", "list", "--sort", "x"), 2),
                        (("token", "create", "--label", ""), 2), (("backup", "create"), 4), (("token", "revoke"), 2)):
        schema.check_error(tollgate.cli(*words, code=code).stderr)
    tollgate.service.stop()
    schema.check_error(tollgate.cli("token", "list", code=5).stderr)


def test_quiet_is_only_what_was_asked_for(tollgate, tmp_path):
    tollgate.start_service("--backup-dir", str(tmp_path))
    tollgate.start_validator()
    token, _ = tollgate.create("one")
    revision = str(tollgate.cli("token", "update", token, "--owner", "x")["revision"])

    def quiet(*words):
        done = tollgate.cli("-q", *words, as_json=False)
        assert done.stderr == "", words
        return done.stdout

    assert quiet("token", "list") == f"{token}\n"
    assert quiet("token", "get", token) == f"workspaces/acme/tokens/{token}\n"
    assert quiet("workspace", "list") == quiet("workspace", "get", "acme") == "workspaces/acme\n"
    assert quiet("validators", "list") == "edge-1\n"
    assert quiet("events", "wait", revision) == ""
    assert quiet("events", "watch", "--after", str(int(revision) - 1), "--count", "1") == f"{revision}\n"
    assert re.fullmatch(r"[0-9.]+\n", quiet("version"))
    for words in (("token", "suspend", token), ("token", "resume", token), ("token", "update", token, "--owner", "y"),
                  ("backup", "create"), ("audit", "verify"), ("doctor", "store"), ("token", "attempts", token),
                  ("workspace", "set-policy", "acme", "--max-lifetime", "365d"), ("token", "revoke", token, "--yes")):
        assert quiet(*words) == "", words
    assert quiet("token", "list") == ""


def test_a_wait_is_rewritten_in_place_and_ctrl_c_says_how_to_go_on(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    tokens = [tollgate.create(f"token {i}")[0] for i in range(3)]
    edge.signal(signal.SIGSTOP)
    waits = [("revoke", "revoked", ("--yes",)), ("suspend", "suspended", ()), ("update", "updated", ("--owner", "x"))]
    for token, (verb, done, more) in zip(tokens, waits):
        terminal = Terminal(tollgate, "token", verb, token, *more, "--wait", columns=80, NO_COLOR="1")
        until("it has rewritten its lines", lambda terminal=terminal: terminal.shown().count("\x1b[J") >= 2)
        terminal.process.send_signal(signal.SIGINT)
        shown, err = terminal.end(code=6)
        left = screen(shown, 80)
        assert left[0].startswith(done) and len(left) == 3, left
        assert left[1].startswith("enforced     0 of 1 edges") and left[2].startswith("waiting      edge-1"), left
        revision = re.search(r"revision (\d+)", left[0]).group(1)
        assert f"It stays {done}, in revision {revision}" in err and f"tollgate events wait {revision} --epoch" in err
    # Without a terminal nothing is rewritten, and the answer is there all the same.
    for form in ("table", "json"):
        waiting = subprocess.Popen(
            [os.path.join(BIN, "tollgate"), "-o", form, "events", "wait", revision], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "TOLLGATE_SERVICE": tollgate.address, "TOLLGATE_CONFIG": ""})
        if form == "table":
            assert waiting.stdout.readline().startswith("enforced     0 of 1 edges")
        else:
            until("its wait is under way",
                  lambda: metric(tollgate.metrics(tollgate.service), "tollgate_enforcement_waits") == 1)
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=30)
        assert waiting.returncode == 6 and "\x1b" not in out, err
        assert "tollgate events wait" in err
    # Once it goes on, the lines give way to what has come.
    terminal = Terminal(tollgate, "events", "wait", revision, columns=80, NO_COLOR="1")
    until("it waits", lambda: "waiting" in terminal.shown())
    edge.signal(signal.SIGCONT)
    shown, _ = terminal.end()
    left = screen(shown, 80)
    assert len(left) == 1 and left[0].startswith("enforced     everywhere: 1 acknowledged"), left

