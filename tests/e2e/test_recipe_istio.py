"""examples/istio: its files against the published schemas, and a real Envoy, which Istio's proxy is, set up by what they say."""
import os

import pytest

from derived_envoy import cluster, configuration, ext_authz, http_filter, play
from manifests import Manifests, documents, flags_of, mesh_config, published
from proxies import free_port
from recipe import SOURCE, Recipe

FOLDER = os.path.join(SOURCE, "examples", "istio")
METADATA = "istio_ext_authz_"


def provider_of(mesh, policy):
    (found,) = [one for one in mesh.extension_providers if one.name == policy["spec"]["provider"]["name"]]
    return found.envoy_ext_authz_grpc


def filters(mesh, policy, namespace):
    """For the action CUSTOM: rules that only leave a mark, and the question, where the mark is."""
    provider, name = provider_of(mesh, policy), f"istio-ext-authz-{policy['spec']['provider']['name']}"
    assert policy["spec"]["action"] == "CUSTOM"
    marks = {}
    for index, rule in enumerate(policy["spec"].get("rules", [])):
        assert rule == {}, "which request needs what is the policy's to say"
        marks[f"{name}-ns[{namespace}]-policy[{policy['metadata']['name']}]-rule[{index}]"] = {
            "permissions": [{"any": True}], "principals": [{"any": True}]}
    fields = {}
    if provider.status_on_error:
        fields["status_on_error"] = {"code": int(provider.status_on_error)}
    timeout = provider.timeout.ToJsonString() if provider.HasField("timeout") else "600s"
    host = provider.service.rpartition("/")[2]
    return [
        http_filter("rbac", "rbac.v3.RBAC", shadow_rules={"action": "DENY", "policies": marks},
                    shadow_rules_stat_prefix=METADATA),
        ext_authz(grpc_service={"envoy_grpc": {"cluster_name": f"outbound|{provider.port}||{host}", "authority": host},
                                "timeout": timeout},
                  failure_mode_allow=provider.fail_open, clear_route_cache=provider.clear_route_cache,
                  filter_enabled_metadata={
                      "filter": "envoy.filters.http.rbac", "path": [{"key": f"{METADATA}shadow_effective_policy_id"}],
                      "value": {"string_match": {"prefix": name}}}, **fields)]


def manager(mesh):
    """What the mesh says of paths, in Envoy's words."""
    normalization = mesh.path_normalization.NormalizationType.Name(mesh.path_normalization.normalization)
    merges = normalization in ("MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES")
    decodes = normalization == "DECODE_AND_MERGE_SLASHES"
    return {"normalize_path": normalization != "NONE", "merge_slashes": merges,
            "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD" if decodes else "KEEP_UNCHANGED"}


class Mesh:
    """The recipe's files, read."""

    def __init__(self, home, folder):
        self.manifests = Manifests(folder)
        (values,) = documents(os.path.join(folder, "meshconfig.yaml"))
        assert set(values) == {"meshConfig"}
        self.config = mesh_config(home, values["meshConfig"])
        self.policy = self.manifests.one("AuthorizationPolicy")
        self.pod = self.manifests.behind("items")
        (self.validator,) = self.pod["spec"]["initContainers"]


def started(tollgate, *change):
    """`change`: a file of the recipe's, what stands in it, and what shall stand there."""
    address = f"127.0.0.1:{free_port()}"
    made = Recipe(tollgate, "istio", "--listen", address)
    if change:
        made.put(change[0], **{change[1]: change[2]})
    mesh = Mesh(tollgate.home, made.folder)
    asks = filters(mesh.config, mesh.policy, mesh.manifests.namespace)
    door = asks[1]["typed_config"]["grpc_service"]["envoy_grpc"]["cluster_name"]
    play(made, configuration(asks, [cluster(door, address, http2=True), cluster("service", made.upstream.address)],
                             manager(mesh.config)))
    return made


@pytest.fixture
def recipe(tollgate):
    made = started(tollgate)
    yield made
    made.close()


def test_the_files_are_what_istio_and_kubernetes_publish_and_agree(home):
    mesh = Mesh(home, FOLDER)
    manifests, provider = mesh.manifests, provider_of(mesh.config, mesh.policy)
    manifests.check()
    # The provider's name leads to the validator in the pod of whoever asks, and in plaintext.
    entry, rule = manifests.one("ServiceEntry"), manifests.one("DestinationRule")
    (port,) = entry["spec"]["ports"]
    assert provider.service == f"{manifests.namespace}/{entry['spec']['hosts'][0]}"
    assert (provider.port, port["number"], port["protocol"]) == (7413, 7413, "GRPC")
    assert entry["spec"]["resolution"] == "STATIC" and entry["spec"]["endpoints"] == [{"address": "127.0.0.1"}]
    assert rule["spec"] == {"host": entry["spec"]["hosts"][0], "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    flags = flags_of(mesh.validator)
    assert flags["--listen"] == f"127.0.0.1:{provider.port}" and "--allow-plaintext" not in flags
    # No body is looked at, and nobody waits for long.
    assert not provider.HasField("include_request_body_in_check")
    assert 0 < provider.timeout.ToMilliseconds() <= 1000
    # A native sidecar, of the workload that the policy selects.
    assert mesh.validator["restartPolicy"] == "Always"
    assert mesh.policy["spec"]["selector"]["matchLabels"].items() <= mesh.pod["metadata"]["labels"].items()
    assert mesh.policy["spec"]["rules"] == [{}], "without a rule nobody is asked"
    (port,) = manifests.one("Service", "items")["spec"]["ports"]
    assert port["name"] == "http" and manifests.target("items", 80) == 9000
    # The mesh leads no probe through a proxy that comes after. Past the mesh go the validator's own calls, and Prometheus.
    around = mesh.pod["metadata"]["annotations"]
    (known,) = documents(os.path.join(published("istio.io/api"), "annotation", "annotations.yaml"))
    assert set(around) <= {one["name"] for one in known["annotations"]}
    assert around["sidecar.istio.io/nativeSidecar"] == "true"
    assert around["traffic.sidecar.istio.io/excludeOutboundPorts"] == flags["--service"].rpartition(":")[2]
    assert around["traffic.sidecar.istio.io/excludeInboundPorts"] == flags["--metrics-listen"].rpartition(":")[2]


def test_who_passes(recipe):
    recipe.shows_who_passes()
    # Envoy upgrades no connection to HTTP/2: the header by itself means nothing.
    recipe.shows_that_no_spelling_of_an_identity_passes(settings="X-Tollgate-Else: evil")
    recipe.shows_that_only_websockets_are_upgraded(connection="keep-alive, upgrade")


def test_who_does_not(recipe):
    recipe.shows_who_does_not(normalizes=True)
    recipe.shows_what_the_caller_is_told()


def test_a_revoked_token(recipe):
    recipe.shows_that_revoked_is_refused_on_the_next_request()
    recipe.shows_that_nobody_passes_after_the_receipt()


def test_no_replay_and_no_validator(recipe):
    recipe.shows_that_no_answer_is_replayed()
    recipe.shows_that_without_a_validator_nobody_passes(503)


@pytest.mark.parametrize("change", [("meshconfig.yaml", "failOpen: false", "failOpen: true"),
                                    ("tollgate.yaml", "  rules:\n    - {}\n", "")], ids=["fail open", "no rule"])
def test_what_the_files_must_not_say(tollgate, change):
    recipe = started(tollgate, *change)
    try:
        recipe.edge.stop()
        assert recipe.ask("GET /v1/x").status == 200, "this is why it is forbidden"
    finally:
        recipe.close()
