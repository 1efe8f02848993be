"""The main job over real processes, by the operators' command."""
import json
import threading

from installation import ADMIT, REVOKED, SUSPENDED, metric, until


def test_create_use_revoke(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator("demo/edge-1")
    token, secret = tollgate.create("CI deploy key", "--scope", "deploy:write", "--expires-in", "90d")
    assert tollgate.check(edge, secret, any_scopes=["deploy:write"]) == ADMIT
    assert tollgate.check(edge, secret, any_scopes=["deploy:write"]) == ADMIT
    assert tollgate.check(edge, secret, any_scopes=["billing:read"]) == ("DENY", "INSUFFICIENT_SCOPE")

    revoked = tollgate.cli("token", "revoke", token, "--yes", "--reason", "in a public gist", "--wait")
    assert revoked["receipt"]["state"] == "enforced"
    assert revoked["receipt"]["acknowledged"] == 1
    # The call returned, so it is off: no wait, no retry.
    assert tollgate.check(edge, secret) == REVOKED
    # Revoking it again answers with the first revocation.
    assert tollgate.cli("token", "revoke", token, "--yes")["revision"] == revoked["revision"]


def test_who_still_tries_a_dead_token(tollgate):
    service = tollgate.start_service()
    edge, other = tollgate.start_validator("payments/edge-3"), tollgate.start_validator("staging/edge-1")
    token, secret = tollgate.create("forgotten copy", "--scope", "deploy:write")
    quiet, _ = tollgate.create("nobody tries it")
    assert tollgate.check(edge, secret) == ADMIT
    assert tollgate.check(edge, secret, any_scopes=["billing:read"]) == ("DENY", "INSUFFICIENT_SCOPE")
    for name in (token, quiet):
        tollgate.cli("token", "revoke", name, "--yes", "--wait")
    for _ in range(3):
        assert tollgate.check(edge, secret) == REVOKED

    def tried(name=token):
        rows = tollgate.cli("token", "attempts", name).get("attempts", [])
        return {(row["edge"], row["reason"].upper().replace("-", "_")): int(row["count"]) for row in rows}

    at_first = {("payments/edge-3", "REVOKED"): 3, ("payments/edge-3", "INSUFFICIENT_SCOPE"): 1}
    until("the attempts are told", lambda: tried() == at_first)
    # The thief's edge.
    assert tollgate.check(other, secret) == REVOKED
    until("the other edge tells too", lambda: tried() == {**at_first, ("staging/edge-1", "REVOKED"): 1})
    assert tried(quiet) == {}
    shown = tollgate.cli("token", "attempts", token, as_json=False).stdout
    assert '"forgotten copy", revoked ' in shown and "staging/edge-1" in shown and "insufficient scope" in shown, shown
    shown = tollgate.cli("token", "attempts", quiet, as_json=False).stdout
    assert shown.startswith('No edge has reported a refused attempt on "nobody tries it", revoked '), shown

    listed = tollgate.cli("token", "list", "--still-tried")["tokens"]
    assert [row["token_id"] for row in listed] == [token]
    assert "LAST TRIED" in tollgate.cli("token", "list", "--still-tried", as_json=False).stdout
    assert tollgate.cli("token", "get", token)["last_tried_time"] == listed[0]["last_tried_time"]
    # Being tried is no use: nothing says that the token was used since.
    assert {use["edge"] for use in tollgate.cli("token", "get", token).get("edge_uses", [])} <= {"payments/edge-3"}
    # Revoked again: the answer says at once who tries it.
    again = tollgate.cli("token", "revoke", token, "--yes", "--wait", as_json=False).stdout
    assert "still tried  4 times since, last " in again and "at staging/edge-1" in again, again
    assert metric(tollgate.metrics(service), "tollgate_refused_attempts_total", reason="revoked") == 4
    until("the edge knows that it has told",
          lambda: metric(tollgate.metrics(edge), "tollgate_validator_attempts_reported_total") == 4)


def test_suspend_resume_suspend_while_traffic_runs(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    token, secret = tollgate.create("on and off")
    seen, stop = [], threading.Event()

    def traffic():
        while not stop.is_set():
            now = tollgate.check(edge, secret)
            if not seen or seen[-1] != now:
                seen.append(now)

    assert tollgate.check(edge, secret) == ADMIT
    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        for verb, want in (("suspend", SUSPENDED), ("resume", ADMIT), ("suspend", SUSPENDED)):
            wait = ["--wait"] if verb == "suspend" else []
            tollgate.cli("token", verb, token, *wait)
            # Within a second: an event, not a timer (the lease is 30 s, a ping 5 s).
            until(f"{verb} is seen by the traffic", lambda: seen and seen[-1] == want, patience=2)
    finally:
        stop.set()
        thread.join()
    assert seen == [ADMIT, SUSPENDED, ADMIT, SUSPENDED]


def test_retries_return_the_first_answer_also_after_a_crash(tollgate):
    tollgate.start_service()
    first = tollgate.cli("token", "create", "--label", "once", "--request-id", "r-1")
    tollgate.service.kill()
    tollgate.restart_service()
    # The same token, whose value is not told twice: no success, and nothing to take for a secret.
    again = tollgate.cli("token", "create", "--label", "once", "--request-id", "r-1", code=4)
    assert again.stdout == ""
    error = json.loads(again.stderr)["error"]
    assert error["reason"] == "SECRET_WITHHELD" and error["metadata"]["token"] == first["token"]["name"]
    tollgate.cli("token", "create", "--label", "another", "--request-id", "r-1", code=4)
    assert len(tollgate.cli("token", "list")["tokens"]) == 1


def test_a_leaked_token_is_revoked_by_its_string(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    token, secret = tollgate.create("leaky")
    assert tollgate.check(edge, secret) == ADMIT
    found = tollgate.cli("token", "revoke", "--leaked", "--yes", "--wait", secret=secret + "\n")
    assert found["token"]["token_id"] == token
    assert tollgate.check(edge, secret) == REVOKED
    tollgate.cli("token", "revoke", "--leaked", "--yes", secret="tgw_" + "A" * 65, code=2)


def test_the_table_for_people(tollgate):
    tollgate.start_service()
    nothing = tollgate.cli("token", "list", as_json=False, code=3)
    assert nothing.stderr.startswith("not found: there is no workspace acme")
    tollgate.cli("workspace", "set-policy", "acme", "--rotation-period", "60d", as_json=False)
    assert "No tokens in workspaces/acme" in tollgate.cli("token", "list", as_json=False).stderr
    token, secret = tollgate.create("Zapier import", "--scope", "items:read", "--expires-in", "12d")
    table = tollgate.cli("token", "list", as_json=False).stdout
    assert table.splitlines()[0].split() == ["TOKEN", "LABEL", "STATE", "OWNER", "SCOPES", "CREATED", "LAST", "USED",
                                             "EXPIRES", "ROTATION"]
    assert token in table and "never" in table and "in 12 days" in table
    assert secret not in table and secret[20:] not in table
    shown = tollgate.cli("token", "create", "--label", "quiet", "--quiet", as_json=False).stdout
    assert len(shown.splitlines()) == 1 and shown.startswith("tgw_")
    assert "audit" not in table
    assert "verified" in tollgate.cli("audit", "verify", as_json=False).stdout


def test_audit_tells_who_did_what(tollgate):
    tollgate.start_service()
    token, _ = tollgate.create("audited")
    tollgate.cli("token", "revoke", token, "--yes", "--reason", "why not")
    lines = tollgate.cli("audit", "list", "-w", "acme", as_json=False).stdout
    assert "token.create" in lines and "token.revoke" in lines and "why not" in lines


def test_what_did_nothing_says_so(tollgate):
    tollgate.start_service()
    token, _ = tollgate.create("busy")

    def told(*words):
        return tollgate.cli("token", *words, as_json=False).stdout

    assert "no change" in told("resume", token) and "was not suspended: it is active" in told("resume", token)
    assert told("suspend", token, "--reason", "under attack").startswith("suspended ")
    again = told("suspend", token, "--reason", "the runbook says so")
    assert "was suspended already, " in again and ": under attack\n" in again and "noted " in again, again
    assert told("resume", token).startswith("resumed ")
    assert "it was so already" in told("update", token, "--label", "busy")
    assert told("revoke", token, "--yes", "--reason", "in a gist").startswith("revoked ")
    first = tollgate.cli("token", "get", token)
    again = told("revoke", token, "--yes", "--reason", "in a log, too", "--wait")
    assert "was revoked already, " in again and ", by local" in again and ": in a gist\n" in again, again
    assert not again.startswith("revoked") and "enforced " in again, again
    assert tollgate.cli("token", "revoke", token, "--yes")["unchanged"] is True
    assert tollgate.cli("token", "get", token) == first
    lines = tollgate.cli("audit", "list", "-w", "acme", as_json=False).stdout
    assert "token.revoke_again" in lines and "in a log, too" in lines and "the runbook says so" in lines, lines
    short, _ = tollgate.create("short", "--expires-in", "1s")
    until("it has expired", lambda: tollgate.cli("token", "get", short)["state"] == "expired")
    again = told("revoke", short, "--yes")
    assert "had expired already" in again and "revoked" not in again, again


def test_events_watch_shows_what_happens(tollgate):
    tollgate.start_service()
    token, _ = tollgate.create("watched")
    done = tollgate.cli("events", "watch", "--after", "1", "--count", "1", as_json=False)
    assert "created" in done.stdout and token in done.stdout
