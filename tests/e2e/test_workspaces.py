"""Workspaces are made on purpose, renamed, and deleted when empty; through the real programs."""
import json
import os
import subprocess

import grpc
import pytest

from installation import ADMIT, BIN, REVOKED, until


def tollgate_in(tollgate, *arguments, code=0):
    """The command without a usual workspace: its standard output and standard error."""
    environment = {name: value for name, value in os.environ.items() if name != "TOLLGATE_WORKSPACE"}
    done = subprocess.run([os.path.join(BIN, "tollgate"), *arguments], input="", capture_output=True, text=True,
                          timeout=60, check=False,
                          env={**environment, "TOLLGATE_SERVICE": tollgate.address, "TOLLGATE_CONFIG": ""})
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


def names(tollgate):
    return [w["name"] for w in tollgate.cli("workspace", "list")["workspaces"]]


def audited(tollgate, workspace):
    printed = tollgate.cli("-o", "json", "audit", "list", "-w", workspace, "--oldest-first", as_json=False).stdout
    return [json.loads(line)["action"] for line in printed.splitlines()]


def test_a_typing_error_makes_no_workspace(tollgate):
    tollgate.start_service()
    tollgate_in(tollgate, "token", "create", "-w", "acme", "--label", "first")  # of an empty store: no error
    out, err = tollgate_in(tollgate, "token", "create", "-w", "acmee", "--label", "x", code=4)
    assert out == ""
    assert err.startswith("refused: there is no workspace acmee. Did you mean acme?\n  To make it: --create-workspace\n")
    assert names(tollgate) == ["workspaces/acme"]
    _, err = tollgate_in(tollgate, "token", "list", "-w", "acmee", code=3)
    assert "there is no workspace acmee. Did you mean acme?" in err, err
    _, err = tollgate_in(tollgate, "workspace", "set-policy", "acmee", "--unique-labels", code=3)
    assert "Did you mean acme?\n  To make it: tollgate workspace create acmee\n" in err, err
    assert names(tollgate) == ["workspaces/acme"]

    tollgate_in(tollgate, "token", "create", "-w", "acmee", "--label", "x", "--create-workspace")
    assert names(tollgate) == ["workspaces/acme", "workspaces/acmee"]
    assert audited(tollgate, "acmee") == ["workspace.create", "token.create"]


def test_made_renamed_listed_and_deleted(tollgate):
    tollgate.start_service()
    assert tollgate.cli("workspace", "list", as_json=False).stdout.startswith("No workspaces yet.")
    made = tollgate.cli("workspace", "create", "globex", "--display-name", "Globex", "--request-id", "r")
    assert made["workspace"]["name"] == "workspaces/globex" and made["workspace"]["display_name"] == "Globex"
    assert tollgate.cli("workspace", "create", "globex", "--display-name", "Globex", "--request-id", "r") == made
    refused = tollgate.cli("workspace", "create", "globex", code=4, as_json=False).stderr
    assert "WORKSPACE_EXISTS" in refused, refused
    assert tollgate.cli("-q", "workspace", "create", "acme", as_json=False).stdout == "workspaces/acme\n"
    token, _ = tollgate.create("x", "-w", "acme")
    assert "A new name" in tollgate.cli("workspace", "rename", "globex", "--to", "A new name", as_json=False).stdout
    again = tollgate.cli("workspace", "rename", "globex", "--to", "A new name", as_json=False)
    assert "nothing was changed" in again.stderr, again.stderr
    assert tollgate.cli("workspace", "rename", "globex", "--to", "A new name")["unchanged"]

    assert not tollgate.cli("workspace", "rename", "acme", "--to", "Acme")["unchanged"]
    assert tollgate.cli("workspace", "rename", "acme", "--no-display-name")["workspace"]["display_name"] == ""
    # The usual workspace is not one that somebody named.
    for verb in ("create", "delete"):
        assert "which workspace?" in tollgate.cli("workspace", verb, code=2, as_json=False).stderr
    listed = tollgate.cli("workspace", "list", as_json=False).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["WORKSPACE", "acme", "globex"], listed
    assert listed[1].split()[1:3] == ["-", "1"] and "A new name" in listed[2], listed
    counts = {w["name"]: w["live_token_count"] for w in tollgate.cli("workspace", "list")["workspaces"]}
    assert counts == {"workspaces/acme": 1, "workspaces/globex": 0}

    refused = tollgate.cli("workspace", "delete", "acme", "--yes", code=4, as_json=False).stderr
    assert "acme has 1 live token. Nothing was deleted" in refused and "WORKSPACE_NOT_EMPTY" in refused, refused
    tollgate.cli("token", "revoke", token, "--yes")
    refused = tollgate.cli("workspace", "delete", "acme", "--yes", code=4, as_json=False).stderr
    assert "acme has ended tokens" in refused, refused
    # Nobody is there to be asked.
    refused = tollgate.cli("workspace", "delete", "globex", code=2, as_json=False).stderr
    assert "--yes" in refused, refused
    assert "deleted" in tollgate.cli("workspace", "delete", "globex", "--yes", as_json=False).stdout
    assert names(tollgate) == ["workspaces/acme"]
    tollgate.cli("workspace", "delete", "globex", "--yes", code=3)
    assert audited(tollgate, "globex") == ["workspace.create", "workspace.update", "workspace.delete"]

    # The same name again is another workspace.
    made_again = tollgate.cli("workspace", "create", "globex")["workspace"]
    assert made_again["create_revision"] > made["workspace"]["create_revision"]
    assert made_again["display_name"] == ""
    assert tollgate.cli("workspace", "get", "globex")["etag"] == made_again["etag"]


def test_what_a_person_is_asked_is_what_is_deleted(tollgate):
    tollgate.start_service()
    tollgate.cli("workspace", "create", "globex", "--display-name", "Globex")
    client = tollgate.client()
    read = client.call("WorkspaceService/GetWorkspace", name="workspaces/globex")
    client.call("WorkspaceService/UpdateWorkspacePolicy", name="workspaces/globex", policy={"unique_labels": True},
                update_mask="uniqueLabels")
    with pytest.raises(grpc.RpcError) as refused:
        client.call("WorkspaceService/DeleteWorkspace", name="workspaces/globex", etag=read.etag)
    assert refused.value.code() == grpc.StatusCode.ABORTED
    read = client.call("WorkspaceService/GetWorkspace", name="workspaces/globex")
    client.call("WorkspaceService/DeleteWorkspace", name="workspaces/globex", etag=read.etag)
    assert names(tollgate) == []


def test_an_ended_token_is_purged_and_still_no_unknown_one(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    token, secret = tollgate.create("old", "--owner", "team-a")
    live, alive = tollgate.create("live")
    assert tollgate.check(edge, secret) == ADMIT
    tollgate.cli("token", "revoke", token, "--yes", "--wait", "--reason", "in a gist")
    assert tollgate.cli("workspace", "set-policy", "acme", "--ended-retention", "never", as_json=False).stdout.endswith(
        "ended tokens kept for ever\n")
    until("a second has passed", lambda: "1 ended token would be purged at once" in tollgate.cli(
        "workspace", "set-policy", "acme", "--ended-retention", "1s", "--dry-run", as_json=False).stdout)
    asked = tollgate.cli("workspace", "set-policy", "acme", "--ended-retention", "1s", code=2, as_json=False).stderr
    assert "Purge the records of 1 ended token now" in asked and "--yes" in asked, asked
    policy = tollgate.cli("workspace", "set-policy", "acme", "--ended-retention", "1s", "--yes")["workspace"]["policy"]
    assert policy["ended_retention"] == "1s", policy

    until("it is purged", lambda: tollgate.cli("doctor", "store")["purged_tokens"] == 1)
    tollgate.cli("token", "get", token, code=3)
    assert [t["token_id"] for t in tollgate.cli("token", "list")["tokens"]] == [live]
    shown = tollgate.cli("doctor", "store", as_json=False).stdout
    assert "sound" in shown and "1 token of 1 workspace, 1 of them live, 1 more purged" in shown, shown
    assert token in tollgate.cli("audit", "list", "-w", "acme", as_json=False).stdout
    told = tollgate.cli("token", "history", token, as_json=False).stdout
    assert "created" in told and "in a gist" in told, told
    # One that has never heard of it asks, and is told.
    assert tollgate.check(edge, secret) == REVOKED
    fresh = tollgate.start_validator("edge-2")
    assert tollgate.check(fresh, secret) == REVOKED and tollgate.check(fresh, alive) == ADMIT
    leaked = tollgate.cli("token", "revoke", "--leaked", "--yes", secret=secret)
    assert leaked["unchanged"] and leaked["token"]["state"] == "revoked", leaked

    # So it is when its workspace is gone, and after a restart.
    tollgate.cli("token", "revoke", "--all", "--yes", "--reason", "the house is closed")
    until("the other is purged", lambda: tollgate.cli("doctor", "store")["purged_tokens"] == 2)
    tollgate.cli("workspace", "delete", "acme", "--yes")
    tollgate.service.stop()
    tollgate.restart_service()
    last = tollgate.start_validator("edge-3")
    assert tollgate.check(last, secret) == REVOKED and tollgate.check(last, alive) == REVOKED
    assert tollgate.cli("doctor", "store")["fault_count"] == 0
    told = tollgate.cli("token", "history", live, as_json=False).stdout
    assert "revoked, with all" in told and "the house is closed" in told, told

def test_a_workspaces_live_tokens_are_capped(tollgate):
    tollgate.start_service()
    tollgate.create("a")
    policy = tollgate.cli("workspace", "set-policy", "acme", "--max-live-tokens", "2")["workspace"]["policy"]
    assert policy["max_live_tokens"] == 2
    b, _ = tollgate.create("b")
    refused = tollgate.cli("token", "create", "--label", "c", code=4, as_json=False).stderr
    assert refused.startswith("refused: acme has 2 live tokens, and its policy lets it have 2. Revoke"), refused
    assert "(reason TOO_MANY_TOKENS)" in refused
    tollgate.cli("token", "rotate", b)
    assert "at most 2 live tokens" in tollgate.cli("workspace", "get", "acme", as_json=False).stdout
    tollgate.cli("workspace", "set-policy", "acme", "--unset", "max_live_tokens")
    tollgate.create("c")
