"""Operator tokens, at the real programs: the first one, those that it makes, and where none of them goes."""
import os
import stat

from authority import Authority
from installation import until

LOOPBACK = "IP:127.0.0.1"


def first(tollgate, home):
    """A service whose first start has made an operator token; the file of it."""
    service = tollgate.start_service(admin=None)
    file = os.path.join(home, "store.operator")
    until("the log says so", lambda: [one for one in service.records() if one.get("file") == file])
    return file


def test_a_first_start_leaves_the_way_in(tollgate, home):
    file = first(tollgate, home)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    with open(file, encoding="ascii") as opened:
        secret = opened.read()
    assert secret.startswith("tgo_") and secret.endswith("\n")
    with open(tollgate.service.log, encoding="utf-8") as opened:
        assert secret.strip() not in opened.read()
    # The loopback alone is nobody.
    said = tollgate.cli("workspace", "list", code=4, as_json=False).stderr
    assert "local may not workspaces.read" in said and "--token-file FILE" in said, said
    tollgate.cli("workspace", "create", "acme", "--token-file", file)
    made = tollgate.cli("token", "create", "--label", "x", "--token-file", file)
    assert made["token"]["creator"] == "operator:admin"
    entry = tollgate.cli("audit", "list", "--action", "token.create", "--workspace", "acme", "--token-file", file)
    assert entry["actor"] == "operator:admin", entry

    # The next start makes none, also where the first was revoked.
    tollgate.cli("access", "grant", "admin", "local", "--everywhere", "--token-file", file)
    (own,) = [token for token in tollgate.cli("token", "list", "-w", "@operators")["tokens"]]
    assert (own["owner"], own["label"]) == ("admin", "Made at the first start")
    tollgate.cli("token", "revoke", own["name"], "--yes")
    said = tollgate.cli("workspace", "list", "--token-file", file, code=4, as_json=False).stderr
    assert "the operator token is revoked" in said and "OPERATOR_TOKEN_NOT_ACTIVE" in said, said
    os.unlink(file)
    assert tollgate.service.stop() == 0
    tollgate.restart_service()
    assert not os.path.exists(file)
    tollgate.cli("workspace", "list")


def test_operators_are_made_rotated_and_sent_away(tollgate, home):
    file = first(tollgate, home)
    os.environ["TOLLGATE_TOKEN_FILE"] = file
    try:
        tollgate.cli("workspace", "create", "acme")
        made = tollgate.cli("token", "create", "-w", "@operators", "--label", "Ada's laptop", "--owner", "ada",
                            "--expires-in", "90d")
        said = tollgate.cli("token", "create", "-w", "@operators", "--label", "nobody's", code=2, as_json=False).stderr
        assert "BAD_OPERATOR_NAME" in said, said
        adas = os.path.join(home, "ada")
        with open(adas, "w", encoding="ascii") as opened:
            opened.write(made["token_string"])
        said = tollgate.cli("token", "list", "--token-file", adas, code=4, as_json=False).stderr
        assert "TOKEN_FILE_PERMISSIONS" in said and "chmod 640" in said, said
        os.chmod(adas, 0o600)
        said = tollgate.cli("token", "list", "--token-file", adas, code=4, as_json=False).stderr
        assert "operator:ada may not tokens.read" in said, said
        tollgate.cli("access", "grant", "issuer", "operator:ada", "-w", "acme")
        tollgate.cli("token", "create", "--label", "x", "--token-file", adas)
        explained = tollgate.cli("access", "explain", "-w", "acme", "--token-file", adas, as_json=False).stdout
        assert explained.startswith("operator:ada, in workspaces/acme:\n"), explained

        rotated = tollgate.cli("token", "rotate", made["token"]["name"])
        assert rotated["token_string"].startswith("tgo_")
        tollgate.cli("token", "revoke", made["token"]["name"], "--yes", "--wait")
        said = tollgate.cli("token", "list", "--token-file", adas, code=4, as_json=False).stderr
        assert "OPERATOR_TOKEN_NOT_ACTIVE" in said, said
        with open(adas, "w", encoding="ascii") as opened:
            opened.write(rotated["token_string"] + "\n")
        tollgate.cli("token", "list", "--token-file", adas)
    finally:
        del os.environ["TOLLGATE_TOKEN_FILE"]


def test_it_goes_to_the_service_alone(tollgate, home):
    file = first(tollgate, home)
    # Not over a network in plaintext, however much that is asked for.
    for more in ([], ["--allow-plaintext"]):
        said = tollgate.cli("token", "list", "--service", "192.0.2.1:7411", *more, "--token-file", file, code=2,
                            as_json=False).stderr
        assert "plaintext" in said, said
    assert "TOKEN_IN_PLAINTEXT" in said and said.startswith("refused: --service: "), said
    # And no edge takes it for a token.
    tollgate.cli("access", "grant", "validator", "local", "--token-file", file)
    edge = tollgate.start_validator()
    with open(file, encoding="ascii") as opened:
        secret = opened.read().strip()
    assert tollgate.check(edge, secret)[0] == "DENY"
    for log in (tollgate.service.log, edge.log):
        with open(log, encoding="utf-8") as opened:
            assert secret not in opened.read()


def test_over_tls_it_stands_for_a_certificate(tollgate, home):
    authority = Authority(home)
    certificate, key = authority.issue("tollgated", LOOPBACK)
    ada = authority.issue("ada", "URI:spiffe://tollgate.test/ada")
    tollgate.start_service("--tls-cert", certificate, "--tls-key", key, "--client-ca", authority.ca,
                           "--client-cert-optional", "--listen", f"unix:{home}/admin.sock", admin=None)
    file = os.path.join(home, "store.operator")
    trust = ("--tls-ca", authority.ca)
    tollgate.cli("workspace", "list", *trust, "--token-file", file)
    # Over the loopback without one he is `local`; with both it is not clear who calls.
    tollgate.cli("workspace", "list", *trust, code=4)
    own = ("--tls-cert", ada[0], "--tls-key", ada[1])
    said = tollgate.cli("workspace", "list", *trust, *own, code=4, as_json=False).stderr
    assert "spiffe://tollgate.test/ada may not" in said, said
    said = tollgate.cli("workspace", "list", *trust, *own, "--token-file", file, code=4, as_json=False).stderr
    assert "CREDENTIALS_AMBIGUOUS" in said, said
    # A certificate that is shown must be good.
    stranger = Authority(home, "other-ca").issue("stranger", "URI:spiffe://tollgate.test/ada")
    said = tollgate.cli("workspace", "list", *trust, "--tls-cert", stranger[0], "--tls-key", stranger[1], code=4,
                        as_json=False).stderr
    assert "CERTIFICATE_REFUSED" in said, said
