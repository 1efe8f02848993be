"""examples/gateway-api: its files against the published schemas, and a real Envoy, as many gateways are, set up by its routes."""
import os

import pytest

from authority import Authority
from derived_envoy import cluster, configuration, exactly, ext_authz, play
from manifests import Manifests, documents, flags_of
from proxies import free_port
from recipe import SOURCE, Recipe

FOLDER = os.path.join(SOURCE, "examples", "gateway-api")
# The controller's to choose: the Gateway API does not say how long a gateway waits.
TIMEOUT = "10s"


def judged_by(route):
    """(headers that go before, the filter ExternalAuth) of the route's one rule."""
    (rule,) = route["spec"]["rules"]
    removed, asks = rule["filters"]
    assert (removed["type"], asks["type"]) == ("RequestHeaderModifier", "ExternalAuth")
    assert set(removed["requestHeaderModifier"]) == {"remove"}
    return removed["requestHeaderModifier"]["remove"], asks["externalAuth"]


def asking(auth):
    """The filter of Envoy's that does what an ExternalAuth asks for, of the cluster `tollgate`."""
    assert "forwardBody" not in auth, "a body is not looked at"
    fields = {"failure_mode_allow": False}  # the API knows no other
    more = auth[auth["protocol"].lower()].get("allowedHeaders", [])
    if more:
        fields["allowed_headers"] = exactly(more)
    if auth["protocol"] == "GRPC":
        return ext_authz(grpc_service={"envoy_grpc": {"cluster_name": "tollgate"}, "timeout": TIMEOUT}, **fields)
    return ext_authz(http_service={
        "server_uri": {"uri": "http://tollgate", "cluster": "tollgate", "timeout": TIMEOUT},
        "path_prefix": auth["http"]["path"],
        "authorization_response": {"allowed_upstream_headers": exactly(auth["http"]["allowedResponseHeaders"])}}, **fields)


def in_front_of(made, route, tollgate):
    """Starts the gateway's part."""
    removed, auth = judged_by(route)
    play(made, configuration([asking(auth)], [tollgate, cluster("service", made.upstream.address)],
                             {"normalize_path": True, "merge_slashes": True, "use_remote_address": True},
                             request_headers_to_remove=removed))
    return made


def http_route():
    (route,) = (document for document in documents(os.path.join(FOLDER, "http-form.yaml")) if document["kind"] == "HTTPRoute")
    return route


@pytest.fixture
def over_grpc(tollgate):
    """route.yaml: over TLS, as the BackendTLSPolicy says."""
    manifests = Manifests(FOLDER)
    trusts = manifests.one("BackendTLSPolicy")["spec"]["validation"]["hostname"]
    authority = Authority(tollgate.home)
    certificate, key = authority.issue("validator", f"DNS:{trusts}")
    address = f"127.0.0.1:{free_port()}"
    made = Recipe(tollgate, "gateway-api", "--listen", address, "--tls-cert", certificate, "--tls-key", key)
    yield in_front_of(made, manifests.one("HTTPRoute"), cluster("tollgate", address, http2=True, tls=(authority.ca, trusts)))
    made.close()


@pytest.fixture
def over_http(tollgate):
    """http-form.yaml: over TLS too, by the certificate of tollgate.yaml."""
    trusts = Manifests(FOLDER, "http-form.yaml").one("BackendTLSPolicy", "tollgate-http")["spec"]["validation"]["hostname"]
    authority = Authority(tollgate.home)
    certificate, key = authority.issue("validator", f"DNS:{trusts}")
    made = Recipe(tollgate, "gateway-api", "--tls-cert", certificate, "--tls-key", key)
    yield in_front_of(made, http_route(), cluster("tollgate", made.tcp, tls=(authority.ca, trusts)))
    made.close()


def test_the_files_are_what_is_published_and_agree():
    manifests = Manifests(FOLDER)
    manifests.check()
    flags = flags_of(manifests.behind("tollgate")["spec"]["containers"][0], "--tls-cert", "--tls-key")
    route, tls = manifests.one("HTTPRoute"), manifests.one("BackendTLSPolicy")
    assert route["spec"]["parentRefs"] == [{"name": manifests.one("Gateway")["metadata"]["name"]}]
    # The schema's own rules: a setting for each protocol, and for no other.
    _, auth = judged_by(route)
    assert set(auth) == {"protocol", "backendRef", "grpc"} and auth["protocol"] == "GRPC"
    assert auth["grpc"] == {}, "what the validator is not shown it cannot refuse"
    # It leads to the validator, and to it alone, over TLS.
    service, port = auth["backendRef"]["name"], auth["backendRef"]["port"]
    assert manifests.target(service, port) == int(flags["--listen"].rpartition(":")[2])
    assert flags["--listen"].startswith("0.0.0.0:") and "--tls-cert" in flags and "--allow-plaintext" not in flags
    (entry,) = manifests.one("Service", service)["spec"]["ports"]
    assert tls["spec"]["targetRefs"] == [{"group": "", "kind": "Service", "name": service, "sectionName": entry["name"]}]
    assert tls["spec"]["validation"]["hostname"] == f"{service}.{manifests.namespace}.svc.cluster.local"
    # Only the gateway reaches the service that believes it.
    (backend,) = route["spec"]["rules"][0]["backendRefs"]
    assert manifests.target(backend["name"], backend["port"]) == 9000
    wall = manifests.one("NetworkPolicy")["spec"]
    assert wall["podSelector"]["matchLabels"].items() <= manifests.behind(backend["name"])["metadata"]["labels"].items()
    (way,) = wall["ingress"]
    (source,) = way["from"]
    assert source["podSelector"]["matchLabels"] == {"gateway.networking.k8s.io/gateway-name": "door"}


def test_the_file_of_the_http_form_is_what_is_published_and_agrees():
    manifests = Manifests(FOLDER, "http-form.yaml")
    manifests.check()
    _, auth = judged_by(http_route())
    assert set(auth) == {"protocol", "backendRef", "http"} and auth["protocol"] == "HTTP"
    assert manifests.target(auth["backendRef"]["name"], auth["backendRef"]["port"]) == 7415
    assert auth["http"]["path"] == "/auth/request"
    # Over TLS, by the certificate that the validator of tollgate.yaml has.
    tls, of_grpc = manifests.one("BackendTLSPolicy", "tollgate-http"), Manifests(FOLDER).one("BackendTLSPolicy")
    assert tls["spec"]["validation"] == of_grpc["spec"]["validation"]
    (entry,) = manifests.one("Service", auth["backendRef"]["name"])["spec"]["ports"]
    assert tls["spec"]["targetRefs"] == [{"group": "", "kind": "Service", "name": auth["backendRef"]["name"],
                                          "sectionName": entry["name"]}]


def test_grpc_form_who_passes(over_grpc):
    over_grpc.shows_who_passes()
    over_grpc.shows_that_no_spelling_of_an_identity_passes()
    over_grpc.shows_that_only_websockets_are_upgraded(connection="keep-alive, upgrade")


def test_grpc_form_who_does_not(over_grpc):
    over_grpc.shows_who_does_not(normalizes=True)
    over_grpc.shows_what_the_caller_is_told()


def test_grpc_form_a_revoked_token(over_grpc):
    over_grpc.shows_that_revoked_is_refused_on_the_next_request()
    over_grpc.shows_that_nobody_passes_after_the_receipt()
    over_grpc.shows_that_no_answer_is_replayed()
    over_grpc.shows_that_without_a_validator_nobody_passes(403)


def test_http_form(over_http):
    over_http.shows_who_passes(tells_the_caller=False)
    over_http.shows_that_no_spelling_of_an_identity_passes(statuses=(200, 400))
    over_http.shows_that_only_websockets_are_upgraded(connection="keep-alive, upgrade")
    over_http.shows_who_does_not(normalizes=True)
    _, secret = over_http.tollgate.create("deployer", "--scope", "deploy:write")
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        over_http.refused(400, "POST /v1/deploys", f"{name}: DELETE", "Content-Length: 0", token=secret,
                          reason="METHOD_AMBIGUOUS")


def test_http_form_a_revoked_token(over_http):
    over_http.shows_that_revoked_is_refused_on_the_next_request()
    over_http.shows_that_nobody_passes_after_the_receipt()
    over_http.shows_that_without_a_validator_nobody_passes(403)
