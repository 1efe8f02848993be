"""What happens, as it does: events watch says what, when and who, and lives through a service that goes away."""
import json
import os
import re
import signal
import subprocess
import threading

import pytest
from installation import BIN, until


class Watch:
    """One `tollgate events watch`, and what it has said so far."""

    def __init__(self, tollgate, *arguments, as_json=False):
        self.process = subprocess.Popen(
            [os.path.join(BIN, "tollgate"), "--service", tollgate.address, *(["-o", "json"] if as_json else []),
             "events", "watch", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TOLLGATE_CONFIG": ""})
        self.shown, self.remarks = [], []
        self.threads = [threading.Thread(target=self.read, args=pipe) for pipe in (
            (self.process.stdout, self.shown), (self.process.stderr, self.remarks))]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def read(pipe, lines):
        for line in pipe:
            lines.append(line.rstrip("\n"))

    def wait_for(self, what):
        return until(f"it shows {what}", lambda: [line for line in self.shown if what in line], patience=30)[0]

    def wait_for_remark(self, what):
        return until(f"it says {what}", lambda: [line for line in self.remarks if what in line], patience=30)[0]

    def interrupt(self):
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(20)
        self.end()
        return code

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(20)
        for thread in self.threads:
            thread.join()


@pytest.fixture
def watching():
    watches = []

    def watch(*arguments, **options):
        watches.append(Watch(*arguments, **options))
        return watches[-1]

    yield watch
    for one in watches:
        one.end()


def marked(tollgate, watch):
    """Until a token's making is shown: from here on everything is."""
    def made():
        tollgate.create("a mark")
        return watch.shown
    until("the watch has begun", made, patience=30)


def test_it_says_which_token_what_when_and_who(tollgate, watching):
    tollgate.start_service()
    first, _ = tollgate.create("before")
    revision = tollgate.cli("token", "suspend", first)["revision"]
    watch = watching(tollgate, "--after", str(int(revision) - 1))
    watch.wait_for("suspended")
    token, _ = tollgate.create("CI deploy key", "--owner", "team-a")
    tollgate.cli("token", "suspend", token)
    tollgate.cli("token", "resume", token)
    # A new label alone is nothing that edges must hear of, and no event.
    tollgate.cli("token", "update", token, "--label", "CI deploy key 2", "--add-scope", "deploy:read")
    made = tollgate.cli("token", "rotate", token, "--retire-in", "1h")["token"]["token_id"]
    tollgate.cli("token", "retire", token, "--force")
    tollgate.cli("token", "revoke", made, "--yes", "--reason", "in a public gist")
    tollgate.create("another", "--owner", "team-a")
    tollgate.cli("token", "revoke", "--all", "--owner", "team-a", "--yes")
    short, _ = tollgate.create("soon over", "--expires-in", "1s")
    watch.wait_for("expired")
    name = f"workspaces/acme/tokens/{token}"
    when = r"\d+  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  "
    expected = [
        rf'{when}suspended  workspaces/acme/tokens/{first}  "before"  by local',
        rf'{when}created    {name}  "CI deploy key"  by local',
        rf'{when}suspended  {name}  "CI deploy key"  by local',
        rf'{when}resumed    {name}  "CI deploy key"  by local',
        rf'{when}updated    {name}  "CI deploy key 2"  .*by local',
        rf'{when}rotated    {name}  "CI deploy key 2"  replaced by {made}  by local',
        rf'{when}retired    {name}  "CI deploy key 2"  by local',
        rf'{when}revoked    workspaces/acme/tokens/{made}  "CI deploy key 2"  by local: in a public gist',
        rf'{when}created    workspaces/acme/tokens/\w+  "another"  by local',
        rf'{when}all revoked  workspaces/acme  owner team-a, 1 token  by local',
        rf'{when}created    workspaces/acme/tokens/{short}  "soon over"  by local',
        rf'{when}expired    workspaces/acme/tokens/{short}  "soon over"  by tollgated',
    ]
    lines = list(watch.shown)
    for line in lines:
        if expected and re.fullmatch(expected[0], line):
            expected.pop(0)
    assert not expected, "\n".join([expected[0], *lines])
    assert watch.interrupt() == 0
    assert watch.remarks == []


def test_it_reconnects_shows_nothing_twice_and_skips_nothing(tollgate, watching):
    tollgate.start_service()
    words, lines = watching(tollgate), watching(tollgate, as_json=True)
    marked(tollgate, words)
    marked(tollgate, lines)
    made = []
    for round_ in range(3):
        made.append(tollgate.create(f"round {round_}")[0])
        words.wait_for(made[-1])
        lines.wait_for(made[-1])
        if round_ == 1:
            assert tollgate.service.stop() == 0
        else:
            tollgate.service.kill()
        until("both say so", lambda: len(words.remarks) == len(lines.remarks) == 2 * round_ + 1, patience=30)
        tollgate.restart_service()
        # Before they are back, most likely: told all the same.
        made.append(tollgate.create(f"round {round_}, while away")[0])
        until("both are back", lambda: len(words.remarks) == len(lines.remarks) == 2 * round_ + 2, patience=30)
        words.wait_for(made[-1])
        lines.wait_for(made[-1])
    for token in made:
        assert len([line for line in words.shown if token in line]) == 1, words.shown
    revisions = [json.loads(line) for line in lines.shown]
    numbers = [int(revision["revision"]) for revision in revisions]
    assert numbers == sorted(set(numbers))
    changes = [change for revision in revisions for change in revision["changes"]]
    assert [c["resource"].rsplit("/", 1)[1] for c in changes if c["resource"].rsplit("/", 1)[1] in made] == made
    # The first token's, where the watch had begun by then.
    assert [c["action"] for c in changes].count("workspace.create") <= 1
    for change in changes:
        if change["action"] == "workspace.create":
            continue
        assert change["action"] == "token.create" and change["actor"] == "local" and change["label"] and change["time"]
    assert len({revision["epoch"] for revision in revisions}) == 1
    # Once when it went, once when it was back, each time.
    assert ["away" in remark for remark in words.remarks] == [True, False] * 3, words.remarks
    assert all(json.loads(remark)["remark"] for remark in lines.remarks)
    assert words.interrupt() == 0 and lines.interrupt() == 0


def test_ctrl_c_ends_it_also_while_the_service_is_away(tollgate, watching):
    tollgate.start_service()
    watch = watching(tollgate)
    marked(tollgate, watch)
    tollgate.service.kill()
    watch.wait_for_remark("away")
    assert watch.interrupt() == 0


def test_whoever_stops_reading_ends_it(tollgate):
    tollgate.start_service()
    first, _ = tollgate.create("first")
    watch = subprocess.Popen([os.path.join(BIN, "tollgate"), "--service", tollgate.address, "events", "watch", "--after", "1"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env={**os.environ, "TOLLGATE_CONFIG": ""})
    assert "workspace made  workspaces/acme" in watch.stdout.readline()
    assert first in watch.stdout.readline()
    watch.stdout.close()

    def ended():
        tollgate.create("nobody reads of it")
        return watch.poll() is not None
    until("it ends", ended, patience=30)
    assert "service is away" not in watch.stderr.read(), "it is not the service that went"
    watch.stderr.close()


def test_a_service_that_was_never_there_is_a_failure(tollgate, watching):
    tollgate.start_service()
    tollgate.service.kill()
    watch = watching(tollgate)
    assert watch.process.wait(30) == 5
    watch.end()
    assert "cannot reach the service" in watch.remarks[0], watch.remarks


def test_so_many_and_from_a_revision_on(tollgate):
    tollgate.start_service()
    tollgate.cli("workspace", "create", "acme")
    first = tollgate.cli("token", "create", "--label", "a")
    second, _ = tollgate.create("b")
    shown = tollgate.cli("events", "watch", "--after", str(int(first["revision"]) - 1), "--count", "2",
                         as_json=False).stdout.splitlines()
    assert len(shown) == 2 and first["token"]["token_id"] in shown[0] and second in shown[1]
    tollgate.cli("events", "watch", "--after", "1000000", code=2)


def test_another_epoch_is_told_and_watched_on(tollgate, watching):
    tollgate.start_service()
    watch = watching(tollgate)
    marked(tollgate, watch)
    assert tollgate.service.stop() == 0
    watch.wait_for_remark("away")
    store = tollgate.service.arguments[tollgate.service.arguments.index("--store") + 1]
    subprocess.run([os.path.join(BIN, "tollgated"), "new-epoch", "--store", store], check=True, capture_output=True,
                   timeout=60)
    tollgate.restart_service()
    watch.wait_for_remark("new epoch")
    token, _ = tollgate.create("in the new epoch")
    watch.wait_for(token)
    assert len([line for line in watch.shown if token in line]) == 1
    assert watch.interrupt() == 0
