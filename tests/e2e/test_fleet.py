"""The fleet as its operators see it: list, watch, metrics, and what a waiting revoke shows."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

from installation import ADMIT, BIN, REVOKED, metric, until

SHORT = ("--lease", "3s", "--ping-interval", "500ms", "--ack-limit", "1s")


def listed(tollgate, *arguments):
    """Validator id -> status."""
    answer = tollgate.cli("validators", "list", *arguments)
    return {validator["validator_id"]: validator for validator in answer.get("validators", [])}


def state(tollgate, edge, *arguments):
    return listed(tollgate, *arguments).get(edge, {}).get("state", "").upper().replace("-", "_")


def text(tollgate, *arguments):
    return tollgate.cli("validators", "list", *arguments, as_json=False).stdout


def test_a_fleet_in_sync_and_one_that_leaves(tollgate):
    tollgate.start_service()
    assert text(tollgate).startswith("No validators yet.")
    assert text(tollgate, "--problems").startswith("No validators yet.")
    stays = tollgate.start_validator("payments/edge-1")
    goes = tollgate.start_validator("search/edge-2", "--stale-policy", "fail-closed")
    token, secret = tollgate.create("used at one edge")
    assert tollgate.check(stays, secret) == ADMIT
    until("both are in sync", lambda: text(tollgate, "--problems") == "No problems: 2 validators in sync.\n")
    lines = text(tollgate).splitlines()
    assert re.split(r"\s{2,}", lines[0]) == [
        "VALIDATOR", "STATE", "BEHIND", "LAST HEARD", "LEASE LEFT", "POLICY", "VERSION"]
    assert [line.split()[0] for line in lines[1:]] == ["payments/edge-1", "search/edge-2"]
    assert all("in sync" in line and "fail-closed" in line for line in lines[1:])
    edge = listed(tollgate)["payments/edge-1"]
    assert len(edge["instance"]) == 32 and edge["connect_time"] and edge["lease_left"] and edge["address"]
    # What it is told by its pings.
    until("its decisions are told", lambda: listed(tollgate)["payments/edge-1"].get("decisions") == 1)
    assert listed(tollgate)["payments/edge-1"]["cached_tokens"] == 1
    for word in ("INSTANCE", "ADDRESS", "DECISIONS/S", edge["instance"][:8], edge["address"]):
        assert word in text(tollgate, "--wide")
    # A goodbye: gone from the list, and no problem.
    assert goes.stop() == 0
    until("it is gone", lambda: "search/edge-2" not in listed(tollgate))
    assert text(tollgate, "--problems") == "No problems: 1 validator in sync.\n"
    assert state(tollgate, "search/edge-2", "--all") == "RELEASED"
    figures = tollgate.metrics(tollgate.service)
    assert metric(figures, "tollgate_validators", state="in_sync") == 1
    assert metric(figures, "tollgate_validators", state="lapsed") == 0
    tollgate.cli("token", "revoke", token, "--yes", "--wait")
    assert tollgate.check(stays, secret) == REVOKED
    figures = tollgate.metrics(tollgate.service)
    assert metric(figures, "tollgate_enforced_revision") == metric(figures, "tollgate_head_revision")
    assert metric(figures, "tollgate_enforced_seconds_count") >= 1


def test_a_stopped_validator_is_pending_then_lapsed_then_back(tollgate):
    tollgate.start_service(*SHORT)
    tollgate.start_validator("awake")
    asleep = tollgate.start_validator("asleep")
    token, _ = tollgate.create("revoked while one sleeps")
    asleep.signal(signal.SIGSTOP)
    tollgate.cli("token", "revoke", token, "--yes")
    pending = until("it is pending, and a problem", lambda: listed(tollgate, "--problems").get("asleep"))
    assert pending["state"] == "pending", pending
    assert int(pending["revisions_behind"]) >= 1 and pending["lag"] and pending["lease_left"], pending
    assert metric(tollgate.metrics(tollgate.service), "tollgate_validators", state="pending") == 1
    until("it has lapsed", lambda: state(tollgate, "asleep", "--problems") == "LAPSED", patience=10)
    rows = text(tollgate, "--problems").splitlines()
    assert len(rows) == 2 and re.match(r"asleep +lapsed +\d+ rev +\d+ s ago +0 +fail-closed", rows[1]), rows
    assert metric(tollgate.metrics(tollgate.service), "tollgate_leases_lapsed_total") == 1
    asleep.signal(signal.SIGCONT)
    until("it is back", lambda: text(tollgate, "--problems") == "No problems: 2 validators in sync.\n", patience=20)


def test_a_crashed_validator_that_is_started_again_is_listed_once(tollgate):
    tollgate.start_service(*SHORT)
    edge = tollgate.start_validator("edge-1")
    first = listed(tollgate)["edge-1"]["instance"]
    edge.kill()
    until("it is a problem", lambda: state(tollgate, "edge-1", "--problems") in ("AWAY", "LAPSED"), patience=10)
    edge.start()
    tollgate.wait_in_sync(edge)
    until("one is left", lambda: text(tollgate, "--problems") == "No problems: 1 validator in sync.\n", patience=10)
    assert listed(tollgate)["edge-1"]["instance"] != first


def test_a_restarted_service_knows_whom_it_waits_for(tollgate):
    tollgate.start_service(*SHORT)
    edge = tollgate.start_validator("edge-1")
    edge.signal(signal.SIGSTOP)
    tollgate.service.kill()
    tollgate.restart_service()
    waiting = listed(tollgate)["edge-1"]
    assert "last_heard" not in waiting and waiting["lease_left"], waiting
    assert "not since start" in text(tollgate)
    edge.signal(signal.SIGCONT)
    until("it is back", lambda: state(tollgate, "edge-1") == "IN_SYNC", patience=20)


def test_a_waiting_revoke_shows_how_far_it_has_come(tollgate):
    tollgate.start_service(*SHORT)
    awake = tollgate.start_validator("awake")
    asleep = tollgate.start_validator("asleep")
    token, secret = tollgate.create("in a public gist")
    assert tollgate.check(awake, secret) == ADMIT and tollgate.check(asleep, secret) == ADMIT
    asleep.signal(signal.SIGSTOP)
    shown = tollgate.cli("token", "revoke", token, "--yes", "--reason", "in a public gist", "--wait",
                         as_json=False).stdout.splitlines()
    assert re.fullmatch(r"revoked +revision \d+", shown[0]), shown
    assert re.fullmatch(r"enforced +1 of 2 edges +\d.*", shown[1]), shown
    assert re.fullmatch(r"waiting +asleep: not heard from for .*, admit nothing after .* more", shown[2]), shown
    assert re.fullmatch(r"enforced +everywhere: 1 acknowledged, 1 lapsed \(asleep\) +\d\.\d s", shown[-2]), shown
    assert re.fullmatch(r"last admitted .* at awake; unknown for asleep", shown[-1]), shown


def test_a_receipt_says_when_the_token_was_last_admitted(tollgate):
    tollgate.start_service(*SHORT)
    edges = [tollgate.start_validator(f"edge-{number}") for number in (1, 2, 3)]
    token, secret = tollgate.create("used at two of three")
    before = time.time()
    assert tollgate.check(edges[0], secret) == ADMIT
    until("one use is reported", lambda: tollgate.cli("token", "get", token).get("edge_uses"))
    assert tollgate.check(edges[1], secret) == ADMIT  # too late for a report, most likely
    after = time.time()
    # By the change's own call, and by a later question.
    client = tollgate.client()
    name = f"workspaces/acme/tokens/{token}"
    receipt = client.call("TokenService/RevokeToken", name=name, wait_enforced="5s").receipt
    again = client.call("OperationsService/GetEnforcement", revision=receipt.revision, token=name)
    for admits in (receipt.last_admits, again.last_admits):
        # The one that never saw the token has nothing to say, and is not unknown for it.
        assert {admit.edge for admit in admits} == {"edge-1", "edge-2"} and not any(a.unknown for a in admits), admits
        # Stamps are of the edge's coarse clock.
        for admit in admits:
            assert before - 1.5 <= admit.last_admit_time.ToMicroseconds() / 1e6 <= after + 0.5
    assert not client.call("OperationsService/GetEnforcement", revision=receipt.revision).last_admits


def test_watch_for_scripts_and_at_a_terminal(tollgate):
    tollgate.start_service()
    tollgate.start_validator("edge-1")
    shown = tollgate.cli("validators", "watch", "--count", "2", "--interval", "50ms", as_json=False).stdout
    blocks = shown.strip().split("\n\n")
    assert len(blocks) == 2 and "\x1b" not in shown, shown
    for block in blocks:
        heading, header, row = block.splitlines()
        assert "1 validator: 1 in sync" in heading and header.startswith("VALIDATOR") and row.startswith("edge-1")
    lines = subprocess.run(
        [os.path.join(BIN, "tollgate"), "--service", tollgate.address, "-o", "json", "validators", "watch",
         "--count", "2", "--interval", "50ms"], capture_output=True, text=True, timeout=30, check=True).stdout
    assert [json.loads(line)["total_count"] for line in lines.splitlines()] == [1, 1]

    process, terminal = pty.fork()
    if process == 0:
        os.execv(os.path.join(BIN, "tollgate"), ["tollgate", "--service", tollgate.address, "validators", "watch",
                                                 "--interval", "50ms"])
    seen = b""
    deadline = time.monotonic() + 20
    while seen.count(b"\x1b[H") < 3:
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 65536)
    os.write(terminal, b"\x03")  # Ctrl-C, as a terminal sends it
    until("it ends", lambda: ended(process, terminal), patience=10)
    assert b"edge-1" in seen and b"in sync" in seen


def ended(process, terminal):
    if select.select([terminal], [], [], 0)[0]:
        try:
            os.read(terminal, 65536)
        except OSError:  # its other end is closed
            pass
    pid, status = os.waitpid(process, os.WNOHANG)
    if pid == 0:
        return False
    assert os.waitstatus_to_exitcode(status) == 0
    return True


def names(tollgate, *arguments):
    return [line.split()[0] for line in text(tollgate, *arguments).splitlines()[1:]]


def test_processes_under_one_id_are_told_apart(tollgate):
    tollgate.start_service(*SHORT)
    tollgate.start_validator("edge-1")
    assert "INSTANCE" not in text(tollgate)
    first = tollgate.start_validator("twin")
    second = tollgate.prepare_validator("second")
    second.arguments[second.arguments.index("--id") + 1] = "twin"
    second.start()
    rows = until("both are there", lambda: [r for r in text(tollgate).splitlines() if r.startswith("twin ")][1:] and
                 text(tollgate).splitlines())
    assert re.split(r"\s{2,}", rows[0])[-2:] == ["INSTANCE", "ADDRESS"], rows
    twins = [re.split(r"\s{2,}", row)[-2:] for row in rows if row.startswith("twin ")]
    assert len(twins) == 2 and twins[0][0] != twins[1][0] and twins[0][1] != twins[1][1], rows
    known = {(v["instance"][:8], v["address"]) for v in tollgate.cli("validators", "list")["validators"]
             if v["validator_id"] == "twin"}
    assert {tuple(twin) for twin in twins} == known
    # The list says of the other nothing more than it did.
    assert [row for row in rows if row.startswith("edge-1")][0].rstrip().endswith(listed(tollgate)["edge-1"]["version"])
    # One of them goes without a word: the other is there, so nobody is missing.
    first.kill()
    until("one is left", lambda: text(tollgate, "--problems") == "No problems: 2 validators in sync.\n", patience=20)


def test_a_lapsed_validator_stays_until_it_is_back_or_forgotten(tollgate):
    tollgate.start_service(*SHORT)
    tollgate.start_validator("stays")
    gone = tollgate.start_validator("search/edge-9")
    back = tollgate.start_validator("search/edge-10")
    token, _ = tollgate.create("revoked when two have lapsed")
    # A validator that may hold a lease is not forgotten.
    refused = tollgate.cli("validators", "forget", "search/edge-9", code=4, as_json=False)
    assert "VALIDATOR_MAY_ADMIT" in json.dumps(json.loads(
        tollgate.cli("-o", "json", "validators", "forget", "search/edge-9", code=4, as_json=False).stderr))
    assert refused.stderr.startswith("refused: search/edge-9 is not forgotten: it is connected"), refused
    gone.kill()
    back.kill()
    until("both have lapsed", lambda: state(tollgate, "search/edge-9") == state(tollgate, "search/edge-10") == "LAPSED",
          patience=20)
    address = listed(tollgate)["search/edge-9"]["address"]
    for restart in range(2):
        # What is remembered holds up no receipt, and is named in it.
        receipt = tollgate.cli("token", "revoke", token, "--yes", "--wait", "--reason", str(restart))["receipt"]
        assert receipt["state"] == "enforced", receipt
        assert receipt["missing_count"] == 2, receipt
        assert sorted(receipt["missing_validators"]) == ["search/edge-10", "search/edge-9"], receipt
        shown = tollgate.cli("events", "wait", str(receipt["revision"]), as_json=False).stdout
        assert re.search(r"enforced +everywhere: \d acknowledged, 2 lapsed \(search/edge-\d+, search/edge-\d+\) ", shown), shown
        # Killed and stopped in order alike.
        if restart == 0:
            tollgate.service.kill()
        else:
            assert tollgate.service.stop() == 0
        tollgate.restart_service()
        assert listed(tollgate)["search/edge-9"]["state"] == "lapsed"
        assert listed(tollgate)["search/edge-9"]["address"] == address
        until("the other is back", lambda: sorted(names(tollgate, "--problems")) == ["search/edge-10", "search/edge-9"],
              patience=20)
        assert re.search(r"search/edge-9 +lapsed .* over \d+ ", text(tollgate)), text(tollgate)
        token, _ = tollgate.create(f"revoked after restart {restart}")
    figures = tollgate.metrics(tollgate.service)
    assert metric(figures, "tollgate_validators", state="lapsed") == 2
    # One comes back under its id, with another process; the other is forgotten.
    back.start()
    tollgate.wait_in_sync(back)
    until("one is left", lambda: names(tollgate, "--problems") == ["search/edge-9"], patience=20)
    assert "VALIDATOR_UNKNOWN" in tollgate.cli(
        "-o", "json", "validators", "forget", "search/edge-9", "--instance", "zz", code=3, as_json=False).stderr
    forgotten = tollgate.cli("validators", "forget", "search/edge-9", as_json=False).stdout
    assert re.fullmatch(r"forgotten +search/edge-9 +revision \d+\n", forgotten), forgotten
    assert sorted(names(tollgate)) == ["search/edge-10", "stays"]
    tollgate.cli("validators", "forget", "search/edge-9", code=3)
    audit = tollgate.cli("audit", "list", as_json=False).stdout
    assert re.search(r"local \(127.0.0.1\) +validator.forget +validators/search/edge-9", audit), audit
    tollgate.service.kill()
    tollgate.restart_service()
    until("nobody is missing", lambda: text(tollgate, "--problems") == "No problems: 2 validators in sync.\n", patience=20)
    receipt = tollgate.cli("token", "revoke", token, "--yes", "--wait")["receipt"]
    assert not receipt.get("missing_count") and not receipt.get("missing_validators"), receipt
