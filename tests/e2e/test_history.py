"""What happened to a token: who, when, from where, what, told by the command and by the audit log."""
import json
import os
import pwd

import grpc
import pytest

NOBODY = "0000000000000000"


def lines(done):
    """The documents of a stream, one a line."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def audit(tollgate, *arguments, code=0):
    return lines(tollgate.cli("-o", "json", "audit", "list", *arguments, as_json=False, code=code))


def history(tollgate, token):
    return tollgate.cli("token", "history", token)["entries"]


def actions(entries):
    return [entry["action"] for entry in entries]


def changes(entry):
    return {change["field"]: (change.get("before", "-"), change["after"]) for change in entry.get("changes", [])}


def test_over_a_unix_socket_the_user_is_told(tollgate, home):
    tollgate.start_service("--listen", f"unix:{home}/service.sock")
    made = tollgate.cli("--service", f"unix:{home}/service.sock", "token", "create", "--label", "a")["token"]
    me = f"unix:{pwd.getpwuid(os.getuid()).pw_name}"
    assert made["creator"] == me
    tollgate.cli("token", "update", made["token_id"], "--label", "b")
    assert [(entry["actor"], entry["origin"]) for entry in history(tollgate, made["token_id"])] == [
        (me, "unix"), ("local", "127.0.0.1")]


def test_the_whole_life_of_a_token(tollgate):
    tollgate.start_service()
    token, secret = tollgate.create("CI deploy key", "--scope", "deploy:write", "--owner", "team-a", "--expires-in", "90d",
                                    "--annotation", "env=prod")
    name = f"workspaces/acme/tokens/{token}"
    tollgate.cli("token", "update", token, "--add-scope", "deploy:read", "--label", "CI (GitHub Actions)",
                 "--annotation", "env=dev")
    tollgate.cli("token", "suspend", token, "--reason", "under attack")
    tollgate.cli("token", "resume", token)
    rotated = tollgate.cli("token", "rotate", token, "--retire-when-silent", "24h")
    replacement = rotated["token"]["token_id"]
    tollgate.cli("token", "retire", token, "--force")
    tollgate.cli("token", "revoke", replacement, "--yes", "--reason", "in a public gist")
    # Nothing is changed by a second revocation, and its reason is kept.
    tollgate.cli("token", "revoke", replacement, "--yes", "--reason", "in a chat, too")

    told = history(tollgate, token)
    assert actions(told) == ["token.create", "token.update", "token.suspend", "token.resume", "token.rotate",
                             "token.retire"]
    assert {(entry["actor"], entry["origin"]) for entry in told} == {("local", "127.0.0.1")}
    assert {entry["resource"] for entry in told} == {name}
    made, updated, suspended, resumed, replaced, retired = told
    made = changes(made)
    assert made.pop("expire_time")[1].endswith("Z")
    assert made == {"label": ("-", "CI deploy key"), "scopes": ("-", ["deploy:write"]), "owner": ("-", "team-a"),
                    "annotations.env": ("-", "prod")}
    assert changes(updated) == {"label": ("CI deploy key", "CI (GitHub Actions)"),
                                "scopes": (["deploy:write"], ["deploy:write", "deploy:read"]),
                                "annotations.env": ("prod", "dev")}
    assert suspended["reason"] == "under attack" and not resumed["reason"]
    assert replaced["details"]["replaced_by"] == f"workspaces/acme/tokens/{replacement}"
    assert changes(replaced) == {"retire_plan": (None, {"when_silent": "86400s"})}
    assert retired["details"]["forced"] == "true"
    assert [int(entry["revision"]) for entry in told] == sorted(int(entry["revision"]) for entry in told)

    # The replacement's begins with the rotation that made it.
    told = history(tollgate, replacement)
    assert actions(told) == ["token.rotate", "token.revoke", "token.revoke_again"]
    assert [entry["reason"] for entry in told] == ["", "in a public gist", "in a chat, too"]
    assert told[0]["resource"] == name

    shown = tollgate.cli("token", "history", token, as_json=False).stdout.splitlines()
    assert shown[0].startswith('"CI (GitHub Actions)", revoked '), shown
    assert shown[2].split() == ["WHEN", "WHO", "WHAT"]
    assert " UTC (" in shown[3] and "local (127.0.0.1)" in shown[3], shown
    assert 'created: label "CI deploy key"; scopes deploy:write; owner team-a; expires ' in shown[3], shown
    assert "scopes deploy:write -> deploy:write, deploy:read" in shown[4], shown
    assert shown[5].endswith("suspended: under attack")
    assert shown[7].endswith(f"rotated: replaced by {replacement}; retires when silent for 24h"), shown
    assert shown[8].endswith("retired, by force")
    shown = tollgate.cli("token", "history", replacement, as_json=False).stdout
    assert f"created, to replace {token}" in shown and "revoked: in a public gist" in shown, shown
    cut = tollgate.cli("token", "history", token, "--limit", "2", as_json=False)
    assert "rotated" in cut.stdout and "resumed" not in cut.stdout and "There is more" in cut.stderr
    assert secret not in json.dumps(audit(tollgate)) and secret[20:] not in json.dumps(audit(tollgate))
    unknown = tollgate.cli("token", "history", NOBODY, code=3)
    assert json.loads(unknown.stderr)["error"]["reason"] == "TOKEN_NOT_FOUND"


def test_the_revocation_that_ended_it_with_others(tollgate):
    tollgate.start_service()
    token, _ = tollgate.create("a", "--owner", "team-a")
    other, _ = tollgate.create("b", "--owner", "team-b")
    tollgate.cli("token", "revoke", "--all", "--owner", "team-b", "--yes")
    tollgate.cli("token", "revoke", "--all", "--owner", "team-a", "--yes", "--reason", "the team is gone")
    # What came later has not ended it.
    tollgate.create("c")
    tollgate.cli("token", "revoke", "--all", "--yes")
    for _ in range(2):
        told = history(tollgate, token)
        assert actions(told) == ["token.create", "cohort.revoke"]
        assert told[1]["reason"] == "the team is gone" and told[1]["details"] == {"owner": "team-a", "token_count": "1"}
        assert int(told[1]["revision"]) == int(tollgate.cli("token", "get", token)["end"]["revision"])
        assert audit(tollgate, "--token", token) == told[::-1]
        assert history(tollgate, other)[1]["details"]["owner"] == "team-b"
        # And so after a restart, and once the sweep has written the ends.
        tollgate.service.stop()
        tollgate.restart_service()
    shown = tollgate.cli("token", "history", token, as_json=False).stdout
    assert "revoked, with all 1 of owner team-a: the team is gone" in shown, shown
    verified = tollgate.cli("audit", "verify", as_json=False).stdout
    assert verified.startswith("verified "), verified


def test_the_audit_log_by_token_actor_action_and_time(tollgate):
    tollgate.start_service()
    token, _ = tollgate.create("a")
    tollgate.create("b")
    tollgate.cli("token", "suspend", token)
    tollgate.cli("token", "revoke", token, "--yes")
    tollgate.cli("workspace", "set-policy", "acme", "--max-lifetime", "90d", "--grantable-scope", "deploy:*")
    tollgate.cli("workspace", "set-policy", "acme", "--max-lifetime", "30d")

    everything = audit(tollgate)
    assert actions(everything)[-1] == "service.start", "the newest is first"
    assert audit(tollgate, "--oldest-first") == everything[::-1]
    assert actions(audit(tollgate, "--token", token)) == ["token.revoke", "token.suspend", "token.create"]
    # Details are values, and no debug text.
    policy = audit(tollgate, "--action", "policy.update")
    assert changes(policy[1]) == {"max_lifetime": (None, "7776000s"), "grantable_scopes": (None, ["deploy:*"])}
    assert changes(policy[0]) == {"max_lifetime": ("7776000s", "2592000s")}
    assert not policy[0]["details"]
    assert set(actions(audit(tollgate, "--action", "token.suspend", "--action", "policy.*"))) == {
        "token.suspend", "policy.update"}
    assert audit(tollgate, "--actor", "nobody") == []
    assert len(audit(tollgate, "--actor", "local", "--action", "token.create")) == 2
    assert audit(tollgate, "--since", "1h") == everything
    assert audit(tollgate, "--until", "1h") == []
    assert audit(tollgate, "--since", "2020-01-01", "--until", "2020-01-02") == []
    at = everything[2]["time"]
    assert audit(tollgate, "--since", at) + audit(tollgate, "--until", at) == everything
    assert audit(tollgate, "--limit", "3") == everything[:3]
    table = tollgate.cli("audit", "list", "--token", token, as_json=False).stdout
    assert table.splitlines()[0].split()[:4] == ["REVISION", "TIME", "(UTC)", "ACTOR"] and "token.revoke" in table

    client = tollgate.client()
    page = client.call("OperationsService/ListAuditEntries", page_size=1, newest_first=True)
    assert page.entries[0].action == "policy.update"
    for refused in ({"newest_first": False}, {"newest_first": True, "filter": {"actor": "local"}}):
        with pytest.raises(grpc.RpcError, match="belongs to a list of something else or with another filter"):
            client.call("OperationsService/ListAuditEntries", page_token=page.next_page_token, **refused)
    for words, reason in ((["--action", "Revoke"], "ACTION_MALFORMED"),
                          (["--since", "2026-01-02", "--until", "2026-01-01"], "TIMES_REVERSED"),
                          (["-w", "globex", "--token", f"workspaces/acme/tokens/{token}"], "INVALID_ARGUMENT")):
        refused = tollgate.cli("audit", "list", *words, code=2)
        assert json.loads(refused.stderr)["error"]["reason"] == reason


def test_words_are_completed(tollgate):
    tollgate.start_service()
    script = tollgate.cli("completion", "bash", as_json=False).stdout
    assert "history" in script and "token.revoke_leaked" in script and "--oldest-first" in script
