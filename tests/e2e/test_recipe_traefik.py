"""examples/traefik: Traefik cannot be had here, so its files are read, and a client plays its part on them."""
import os
import re

import proxies
from proxies import Connection, request
from recipe import SOURCE

FOLDER = os.path.join(SOURCE, "examples", "traefik")
# Of the client's, what reaches no service: other spellings, other paths, and what an upgrade to HTTP/2 needs.
SPELT = ("x_tollgate_workspace", "x_tollgate_token", "x_tollgate_owner", "x_tollgate_scopes", "x_tollgate_expires",
         "x-original-url", "x-rewrite-url", "x_forwarded_host", "forwarded", "http2-settings", "connection", "upgrade")


def read(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return "\n".join(line for line in file.read().splitlines() if not line.lstrip().startswith("#"))


def test_nobody_but_traefik_says_what_is_asked():
    assert re.search(r"^ +trustForwardHeader: false$", read("dynamic.yaml"), re.M)
    assert "insecure" not in read("traefik.yaml") and "trustedIPs" not in read("traefik.yaml")


def test_every_identity_header_and_the_token_are_replaced(tollgate):
    """As Traefik does it: what customRequestHeaders has empty is deleted, and each of authResponseHeaders is set from the answer."""
    tollgate.start_service()
    edge = tollgate.start_validator("edge-1", "--policy", os.path.join(FOLDER, "policy.yaml"), "--http-listen", "127.0.0.1:0")
    deleted = [name.lower() for name in re.findall(r'^ {10}([\w-]+): ""$', read("dynamic.yaml"), re.M)]
    assert "middlewares: [cleaned, tollgate]" in read("dynamic.yaml")
    listed = [name.lower() for name in re.findall(r"^ +- ([\w-]+)$", read("dynamic.yaml"), re.M)]
    address = re.search(r"address: http://[\d.:]+(/\S+)", read("dynamic.yaml"))[1]
    token_id, secret = tollgate.create("CI", "--owner", "team-a")
    for line, identity in (("GET /v1/x", {"x-tollgate-token": token_id, "x-tollgate-owner": "team-a"}), ("GET /healthz", {})):
        method, target = line.split(" ")
        client = {"authorization": f"Bearer {secret}", "x-tollgate-owner": "root", "x-tollgate-scopes": "admin",
                  **{name: "evil" for name in SPELT}}
        client = {name: value for name, value in client.items() if name not in deleted}
        question = request(f"GET {address}", "tollgate", f"X-Forwarded-Method: {method}", f"X-Forwarded-Uri: {target}",
                           "X-Forwarded-Host: api.example", "X-Forwarded-Proto: http",
                           *(f"{name}: {value}" for name, value in client.items()))
        with Connection(edge.ready["http"][0]) as connection:
            answer = connection.ask(question)
        assert answer.status == 200, answer
        upstream = {**client, **{name: answer.header(name) or "" for name in listed}}
        assert upstream["authorization"] == "" and "evil" not in str(upstream), upstream
        for name in ("owner", "token", "scopes"):
            assert upstream[f"x-tollgate-{name}"] == identity.get(f"x-tollgate-{name}", ""), name
        assert set(name for name, _ in answer.headers if name.lower().startswith("x-tollgate-")) <= set(listed)
    # A spelling that the file does not name is refused here, because no answer could take it away.
    for name in ("X-Tollgate_Owner", "x_tollgate-scopes"):
        with Connection(edge.ready["http"][0]) as connection:
            assert connection.ask(proxies.traefik("GET", "/healthz", f"{name}: evil")).status == 400
    with Connection(edge.ready["http"][0]) as connection:
        assert connection.ask(proxies.traefik("POST", "/v1/deploys")).status == 401
