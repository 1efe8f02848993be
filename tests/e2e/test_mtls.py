"""Certificates on every side: service, validator, its callers and the operators' command."""
import json
import os
import subprocess

import grpc
import pytest
from authority import Authority
from installation import ADMIT, BIN, PATIENCE_SECONDS, REVOKED, until

LOOPBACK = "IP:127.0.0.1"


class Secured:
    """A service and a validator that speak TLS to everybody, and what a caller needs to reach them."""

    def __init__(self, tollgate, home):
        self.tollgate = tollgate
        self.authority = Authority(home)
        self.operator = self.authority.issue("operator", "URI:spiffe://tollgate.test/operator")
        service = self.authority.issue("tollgated", "URI:spiffe://tollgate.test/tollgated", LOOPBACK)
        tollgate.start_service("--tls-cert", service[0], "--tls-key", service[1], "--client-ca", self.authority.ca,
                               "--admin", "spiffe://tollgate.test/operator")
        self.cli("access", "grant", "validator", "spiffe://tollgate.test/*")

    def start_validator(self, *arguments):
        edge = self.authority.issue("edge-1", "URI:spiffe://tollgate.test/edge-1", LOOPBACK)
        self.edge = self.tollgate.start_validator(
            "edge-1", "--listen", "127.0.0.1:0", "--service-ca", self.authority.ca, "--service-cert", edge[0],
            "--service-key", edge[1], "--tls-cert", edge[0], "--tls-key", edge[1], "--client-ca", self.authority.ca,
            *arguments)
        self.edge_address = next(a for a in self.edge.ready["listen"] if not a.startswith("unix:"))
        return self.edge

    def flags(self, certificate=None, ca=None):
        certificate = certificate or self.operator
        return ["--tls-ca", ca or self.authority.ca, "--tls-cert", certificate[0], "--tls-key", certificate[1]]

    def cli(self, *arguments, **how):
        return self.tollgate.cli(*arguments, *self.flags(), **how)

    def check(self, secret, flags=None, code=0):
        """`tollgate token check` at the validator's TLS port."""
        return self.tollgate.cli("token", "check", "--edge", self.edge_address, *(flags or self.flags()),
                                 secret=secret + "\n", code=code)


@pytest.fixture
def secured(tollgate, home):
    return Secured(tollgate, home)


def refused(secured, *flags, code, reason):
    """What the command says to a caller with these flags."""
    done = secured.tollgate.cli("token", "create", "--label", "by a stranger", *flags, as_json=False, code=code)
    assert done.stdout == ""
    assert done.stderr.startswith("unavailable: " if code == 5 else "refused: "), done.stderr
    assert f"(reason {reason})" in done.stderr, done.stderr
    return done.stderr


def test_create_admit_revoke_with_certificates_everywhere(secured):
    edge = secured.start_validator()
    made = secured.cli("token", "create", "--label", "CI deploy key", "--scope", "deploy:write")
    token, secret = made["token"]["token_id"], made["token_string"]
    assert secured.check(secret)["verdict"] == "admit"
    assert secured.tollgate.check(edge, secret) == ADMIT, "the Unix socket needs no certificate"
    # Whoever changed something is known by the name in the certificate.
    assert made["token"]["creator"] == "spiffe://tollgate.test/operator", made
    audit = secured.cli("audit", "list", "-w", "acme", as_json=False).stdout
    assert "spiffe://tollgate.test/operator" in audit

    revoked = secured.cli("token", "revoke", token, "--yes", "--wait")
    assert revoked["receipt"]["state"] == "enforced"
    assert revoked["receipt"]["acknowledged"] == 1
    assert secured.check(secret, code=10)["verdict"] == "deny"
    assert secured.tollgate.check(edge, secret) == REVOKED
    assert edge.stop() == 0
    assert secured.tollgate.service.stop() == 0


def one_pem(pair):
    """Key and certificate in one file, the key first: what Pod Certificates and cert-manager's CSI driver write."""
    path = pair[1] + ".pem"
    with open(path, "w", encoding="utf-8") as out:
        for part in (pair[1], pair[0]):
            with open(part, encoding="utf-8") as file:
                out.write(file.read())
    os.chmod(path, 0o600)
    return path, path


def test_certificate_and_key_may_be_one_file(tollgate, home):
    authority = Authority(home)
    service = one_pem(authority.issue("tollgated", "URI:spiffe://tollgate.test/tollgated", LOOPBACK))
    operator = one_pem(authority.issue("operator", "URI:spiffe://tollgate.test/operator"))
    pem = one_pem(authority.issue("edge-1", "URI:spiffe://tollgate.test/edge-1", LOOPBACK))
    tollgate.start_service("--tls-cert", service[0], "--tls-key", service[1], "--client-ca", authority.ca,
                           "--admin", "spiffe://tollgate.test/operator", "--validator", "spiffe://tollgate.test/*")
    flags = ["--tls-ca", authority.ca, "--tls-cert", operator[0], "--tls-key", operator[1]]
    made = tollgate.cli("token", "create", "--label", "x", *flags)
    edge = tollgate.start_validator(
        "edge-1", "--listen", "127.0.0.1:0", "--service-ca", authority.ca, "--service-cert", pem[0], "--service-key",
        pem[1], "--tls-cert", pem[0], "--tls-key", pem[1], "--client-ca", authority.ca)
    address = next(a for a in edge.ready["listen"] if not a.startswith("unix:"))
    assert tollgate.cli("token", "check", "--edge", address, *flags, secret=made["token_string"] + "\n")["verdict"] == "admit"


def test_strangers_are_refused_by_the_service(secured, home):
    other = Authority(home, "other-ca")
    stranger = other.issue("stranger", "URI:spiffe://tollgate.test/operator")
    service = secured.tollgate.address
    # Without a certificate, with one that somebody else signed, in plaintext: the door is shut before a word is
    # said, and the command says which.
    for flags, reason, advice in (
            (["--tls-ca", secured.authority.ca], "CERTIFICATE_WANTED", "--tls-cert FILE"),
            (secured.flags(certificate=stranger), "CERTIFICATE_REFUSED", "--client-ca"),
            ([], "TLS_WANTED", "--tls-ca FILE")):
        said = refused(secured, *flags, code=4, reason=reason)
        assert f"cannot reach the service at {service}: " in said and advice in said
    # The service's own log says what each of them lacked, a JSON object a line.
    for lacked in ("peer did not return a certificate", "certificate verify failed", "wrong version number"):
        until(f"the log says '{lacked}'", lambda: any(
            record["level"] == "warning" and lacked in record["message"]
            for record in secured.tollgate.service.records()))
    with open(secured.tollgate.service.log, encoding="utf-8") as file:
        assert len(list(file)) == len(secured.tollgate.service.records())
    # Nor does the command speak to a service that somebody else vouches for, or that has another name.
    said = refused(secured, *secured.flags(ca=other.ca), code=4, reason="PEER_NOT_TRUSTED")
    assert "its certificate is not signed by the authority given" in said
    elsewhere = "localhost:" + service.rsplit(":", 1)[1]
    said = refused(secured, *secured.flags(), "--service", elsewhere, code=4, reason="PEER_NAME_DIFFERS")
    assert f"at {elsewhere}: its certificate bears another name: 127.0.0.1" in said
    # A certificate of the right authority that names nobody is shaken hands with, and then refused.
    nameless = secured.authority.issue("nameless", LOOPBACK)
    said = refused(secured, *secured.flags(certificate=nameless), code=4, reason="CERTIFICATE_WITHOUT_SPIFFE_ID")
    assert "spiffe://" in said
    # A key that is not the certificate's is found before anything is sent.
    mixed = (secured.operator[0], nameless[1])
    refused(secured, *secured.flags(certificate=mixed), code=4, reason="TLS_FILES_INVALID")
    # None of them has made anything.
    secured.cli("token", "list", code=3)
    secured.cli("token", "create", "--label", "by the operator")
    assert len(secured.cli("token", "list")["tokens"]) == 1


def test_strangers_are_refused_by_the_validator(secured, home):
    secured.start_validator()
    secret = secured.cli("token", "create", "--label", "good")["token_string"]
    assert secured.check(secret)["verdict"] == "admit"
    stranger = Authority(home, "other-ca").issue("stranger", "URI:spiffe://tollgate.test/operator")
    for flags, reason in ((["--tls-ca", secured.authority.ca], "CERTIFICATE_WANTED"),
                          (secured.flags(certificate=stranger), "CERTIFICATE_REFUSED")):
        done = secured.tollgate.cli("token", "check", "--edge", secured.edge_address, *flags, secret=secret + "\n",
                                    as_json=False, code=4)
        assert f"cannot reach a validator at {secured.edge_address}: " in done.stderr, done.stderr
        assert f"(reason {reason})" in done.stderr, done.stderr
        assert secret not in done.stdout + done.stderr
    with grpc.insecure_channel(secured.edge_address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/tollgate.v1.ValidationService/Validate")(b"", timeout=10)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_validator_without_a_right_certificate_follows_nothing(secured, home):
    secret = secured.cli("token", "create", "--label", "good")["token_string"]
    stranger = Authority(home, "other-ca").issue("stranger", "URI:spiffe://tollgate.test/edge-1")
    program = secured.tollgate.prepare_validator("stranger", "--service-ca", secured.authority.ca, "--service-cert",
                                                 stranger[0], "--service-key", stranger[1])
    program.start()
    # It serves, says why it follows nobody, and blames no token.
    until("it says that it cannot follow",
          lambda: any(record.get("reason") == "CERTIFICATE_REFUSED" for record in program.records()))
    assert secured.tollgate.check(program, secret)[0] == "UNAVAILABLE"
    assert secured.cli("validators", "list").get("validators", []) == []


def test_half_a_configuration_is_refused_at_the_start(home):
    authority = Authority(home)
    certificate, key = authority.issue("tollgated", LOOPBACK)
    done = subprocess.run(
        [os.path.join(BIN, "tollgated"), "--store", os.path.join(home, "store"), "--listen", "127.0.0.1:0",
         "--metrics-listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 2 and "--client-ca" in done.stderr, done.stderr
    assert not os.path.exists(os.path.join(home, "store"))
