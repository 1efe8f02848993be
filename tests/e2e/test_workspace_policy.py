"""What a workspace's policy does to new, old and rotated tokens, and its dry run; through the real programs."""
from installation import until


def state(tollgate, token):
    return tollgate.cli("token", "get", token)["state"]


def test_a_replacement_keeps_to_the_policy_as_it_is(tollgate):
    tollgate.start_service()
    token, _ = tollgate.create("Old key", "--scope", "deploy:write", "--scope", "admin")
    other, _ = tollgate.create("other-key", "--scope", "deploy:read")
    change = ("workspace", "set-policy", "acme", "--grantable-scope", "deploy:*", "--label-pattern", "[a-z-]+")

    shown = tollgate.cli(*change, "--dry-run", as_json=False).stdout
    assert token in shown and other not in shown, shown
    assert "rotation refused: admin; rotation refused: label" in shown and "never" in shown, shown
    assert "Dry run, nothing is changed. Of 2 live tokens: 0 would expire unless used, 1 could not be rotated" in shown
    impacts = tollgate.cli(*change, "--dry-run")["impacts"]
    assert [(i["token"]["token_id"], i["ungrantable_scopes"], i["label_mismatch"]) for i in impacts] == [
        (token, ["admin"], True)]
    assert tollgate.cli(*change, "--dry-run", "-q", as_json=False).stdout == f"workspaces/acme/tokens/{token}\n"
    assert "policy" not in tollgate.cli("workspace", "get", "acme")

    tollgate.cli(*change)
    refused = tollgate.cli("token", "rotate", token, code=4, as_json=False).stderr
    assert "LABEL_PATTERN_MISMATCH" in refused and "tollgate token update" in refused, refused
    tollgate.cli("token", "update", token, "--label", "old-key")
    refused = tollgate.cli("token", "rotate", token, code=4, as_json=False).stderr
    assert "SCOPE_NOT_GRANTABLE" in refused and "--drop-ungrantable-scopes" in refused, refused
    made = tollgate.cli("token", "rotate", token, "--drop-ungrantable-scopes")
    assert made["token"]["scopes"] == ["deploy:write"] and made["replaced"]["scopes"] == ["deploy:write", "admin"]


def test_an_unused_token_ends_by_the_policy_as_it_is_and_says_why(tollgate):
    tollgate.start_service()
    old, _ = tollgate.create("old")
    tollgate.cli("workspace", "set-policy", "acme", "--max-unused", "1h")
    spared, _ = tollgate.create("spared")
    assert tollgate.cli("workspace", "set-policy", "acme", "--max-unused", "1s", "--dry-run")["examined_count"] == 2
    tollgate.cli("workspace", "set-policy", "acme", "--max-unused", "1s")
    until("the old one has ended", lambda: state(tollgate, old) == "expired")
    until("and the one that was made under another limit", lambda: state(tollgate, spared) == "expired")
    shown = tollgate.cli("token", "get", old, as_json=False).stdout
    assert "not used for 1s (max_unused of the workspace's policy)" in shown, shown
