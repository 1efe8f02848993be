"""Forward-auth over TLS: the real validator, asked by the real nginx that verifies it, and by whom it is to refuse."""
import os
import signal
import ssl

import pytest

from authority import Authority
from installation import metric, until
from proxies import Connection, nginx as as_nginx, write_policy
from recipe import nginx

NAME = "tollgate.test"


class Pem:
    """Certificate and key in one file, which is replaced at once."""

    def __init__(self, authority):
        self.authority, self.count = authority, 0
        self.path = os.path.join(authority.folder, "both.pem")
        self.renew()

    def flags(self):
        return "--tls-cert", self.path, "--tls-key", self.path

    def renew(self):
        self.count += 1
        self.put(*self.authority.issue(f"edge-{self.count}", f"DNS:{NAME}"))

    def put(self, certificate, key):
        with open(self.path + ".new", "wb") as both:
            for path in (certificate, key):
                with open(path, "rb") as one:
                    both.write(one.read())
        os.rename(self.path + ".new", self.path)


class Secure(Connection):
    """As Connection, over TLS."""

    def __init__(self, to, authority, certificate=None):
        super().__init__(to)
        context = ssl.create_default_context(cafile=authority.ca)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        self.socket = context.wrap_socket(self.socket, server_hostname=NAME)

    def more(self):
        try:
            return super().more()
        except ssl.SSLError:
            return False

    def server(self):
        return dict(part[0] for part in self.socket.getpeercert()["subject"])["commonName"]


def failed(tollgate, edge, reason):
    return metric(tollgate.metrics(edge), "tollgate_http_handshakes_failed_total", reason=reason)


def logged(edge, words):
    """The records of its log that say this."""
    return [record for record in edge.records() if words in record["message"]]


def test_a_real_nginx_verifies_the_validator_and_is_verified(tollgate, home):
    authority, other = Authority(home), Authority(home, "other-ca")
    pem = Pem(authority)
    proxy = authority.issue("nginx", "DNS:nginx.test")
    says = (f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {authority.ca}; proxy_ssl_name {NAME}; "
            f"proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_certificate {proxy[0]}; "
            f"proxy_ssl_certificate_key {proxy[1]};")
    recipe = nginx(tollgate, validator=(*pem.flags(), "--client-ca", authority.ca), tls=says)

    def reads_anew(**changes):
        recipe.put("nginx.conf", **changes)
        recipe.process.send_signal(signal.SIGHUP)

    try:
        recipe.shows_who_passes()
        recipe.shows_who_does_not()
        recipe.shows_that_revoked_is_refused_on_the_next_request()
        _, secret = tollgate.create("CI")
        passes = lambda: recipe.ask("GET /v1/x", token=secret).status == 200  # noqa: E731
        assert passes()
        # nginx does not believe a validator that somebody else vouches for, nor one of another name, and passes nobody.
        for was, wrong in ((authority.ca, other.ca), (f"proxy_ssl_name {NAME}", "proxy_ssl_name other.test")):
            reads_anew(**{was: wrong})
            until("nobody passes", lambda: recipe.ask("GET /v1/x", token=secret).status == 503)
            reads_anew(**{wrong: was})
            until("they pass again", passes)
        # Nor does the validator answer a proxy that is not of its authority.
        before = failed(tollgate, recipe.edge, "certificate")
        stranger = other.issue("stranger", "DNS:nginx.test")
        reads_anew(**{proxy[0]: stranger[0], proxy[1]: stranger[1]})
        # Asked until it is counted: a worker of nginx's with the wrong configuration of before may answer first.
        until("nobody passes, and it is counted", lambda: recipe.ask("GET /v1/x", token=secret).status == 503 and
              failed(tollgate, recipe.edge, "certificate") > before)
        until("it is logged", lambda: logged(recipe.edge, "it has no certificate that the authority given has signed"))
    finally:
        recipe.close()


@pytest.fixture
def authority(home):
    return Authority(home)


@pytest.fixture
def edge(tollgate, authority):
    tollgate.start_service()
    pem = Pem(authority)
    program = tollgate.start_validator("edge-1", "--policy", write_policy(tollgate.home), "--http-listen", "127.0.0.1:0",
                                       "--http-listen", f"unix:{tollgate.home}/http.sock", *pem.flags())
    program.pem = pem
    return program


def test_a_certificate_is_replaced_without_a_restart(tollgate, edge, authority):
    _, secret = tollgate.create("CI")
    address = edge.ready["http"][0]
    question = as_nginx("GET", "/v1/x", token=secret)

    def who_answers():
        with Secure(address, authority) as connection:
            assert connection.ask(question).status == 200
            return connection.server()

    with Secure(address, authority) as kept:
        assert kept.ask(question).status == 200 and kept.server() == "edge-1"
        edge.pem.renew()
        until("the new certificate is shown", lambda: who_answers() == "edge-2")
        assert kept.ask(question).status == 200, "no connection is cut"
        # A key that is not the certificate's changes nothing, and shows.
        certificate, _ = authority.issue("third", f"DNS:{NAME}")
        _, key = authority.issue("fourth", f"DNS:{NAME}")
        edge.pem.put(certificate, key)
        ok = lambda: metric(tollgate.metrics(edge), "tollgate_http_tls_files_ok")  # noqa: E731
        until("it shows", lambda: ok() == 0)
        assert who_answers() == "edge-2" and kept.ask(question).status == 200
        told = until("it is told", lambda: logged(edge, "the files of TLS are refused"))
        assert [r["reason"] for r in told] == ["TLS_FILES_INVALID"]
        edge.pem.renew()
        until("it is mended", lambda: ok() == 1)
        assert who_answers() == "edge-3"


def test_who_speaks_the_other_of_tls_and_plaintext_is_told(tollgate, edge, authority):
    _, secret = tollgate.create("CI")
    secure, socket = edge.ready["http"]
    question = as_nginx("GET", "/v1/x", token=secret)
    for _ in range(3):
        with Connection(secure) as connection:
            answer = connection.ask(question)
            assert answer.status == 400 and b"this port speaks TLS" in answer.body, answer
    assert failed(tollgate, edge, "plaintext") == 3
    told = until("it is told", lambda: logged(edge, "plaintext came to a port that speaks TLS"))
    assert len(told) == 1 and told[0]["peer"] == "127.0.0.1" and told[0]["address"] == secure, told
    with Connection(socket) as connection:
        assert connection.ask(question).status == 200, "a Unix socket needs no TLS"
    with Connection(socket) as connection:
        answer = connection.ask(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert answer.status == 400 and b"without TLS" in answer.body, answer
    until("it is told", lambda: logged(edge, "TLS came to a port that speaks plaintext"))
    # Whoever does not trust it is told apart, and so is one that only looks whether the port is open.
    with pytest.raises(ssl.SSLError):
        Secure(secure, Authority(tollgate.home, "other-ca"))
    Connection(secure).close()
    until("both are counted", lambda: failed(tollgate, edge, "other") == 1 and failed(tollgate, edge, "gone") == 1)
    with Secure(secure, authority) as connection:
        assert connection.ask(question).status == 200
    assert not any(secret in line for line in open(edge.log, encoding="utf-8"))


def test_metrics_and_probes_over_tls_for_whom_the_authority_knows(tollgate, authority):
    pem = Pem(authority)
    flags = ("--metrics-tls-cert", pem.path, "--metrics-tls-key", pem.path, "--metrics-client-ca", authority.ca)
    scraper = authority.issue("prometheus", "DNS:prometheus.test")

    def asked(program, path, certificate):
        with Secure(program.ready["metrics"], authority, certificate) as to:
            return to.ask(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())

    for program in (tollgate.start_service(*flags), tollgate.prepare_validator("edge-1", *flags).start()):
        until("it is ready", lambda program=program: asked(program, "/readyz", scraper).status == 200)
        answer = asked(program, "/metrics", scraper)
        assert answer.status == 200 and b"tollgate_http_tls_files_ok{" in answer.body
        with Secure(program.ready["metrics"], authority) as stranger:
            stranger.socket.sendall(f"GET /metrics HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            assert not stranger.more(), "it is told nothing"
