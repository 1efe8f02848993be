"""The proxy of a mesh, or of a gateway: a real Envoy, with the configuration that follows from a recipe's resources.

A controller would make that configuration. Here it is made by us, from what the controllers' own documents and code
say; a proxy of theirs does more than this one, in matters that admit nobody.
"""
import json

import proxies
from real_envoy import Envoy

HTTP_FILTERS = "envoy.filters.http."


def typed(kind, **fields):
    return {"@type": f"type.googleapis.com/envoy.{kind}", **fields}


def http_filter(name, kind, **fields):
    """`kind` as in rbac.v3.RBAC."""
    return {"name": HTTP_FILTERS + name, "typed_config": typed(f"extensions.filters.http.{kind}", **fields)}


def ext_authz(**fields):
    return http_filter("ext_authz", "ext_authz.v3.ExtAuthz", transport_api_version="V3", **fields)


def exactly(headers):
    """A list of header names, as ext_authz takes it."""
    return {"patterns": [{"exact": name, "ignore_case": True} for name in headers]}


def cluster(name, address, http2=False, tls=None):
    """`tls`: who signs the other side (a path), and the name that its certificate bears."""
    host, port = proxies.address_of(address)
    made = {
        "name": name, "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
            "socket_address": {"address": host, "port_value": port}}}}]}]}}
    if http2:
        made["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
            "extensions.upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http2_protocol_options": {}})}
    if tls is not None:
        authority, server = tls
        made["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": typed(
            "extensions.transport_sockets.tls.v3.UpstreamTlsContext", sni=server, common_tls_context={
                "alpn_protocols": ["h2"] if http2 else ["http/1.1"],
                "validation_context": {
                    "trusted_ca": {"filename": authority},
                    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": server}}]}})}
    return made


def configuration(filters, clusters, manager, **route):
    """One listener; everything goes through these filters, and then to the cluster `service`."""
    everything = {"match": {"prefix": "/"}, "route": {"cluster": "service"}, **route}
    return json.dumps({"static_resources": {
        "listeners": [{
            "name": "door", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": typed(
                    "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", stat_prefix="door",
                    route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [everything]}]},
                    http_filters=[*filters, http_filter("router", "router.v3.Router")],
                    upgrade_configs=[{"upgrade_type": "websocket"}], stream_idle_timeout="0s", **manager)}]}]}],
        "clusters": clusters}})


def play(recipe, text):
    """Starts it in front of a recipe."""
    recipe.envoy = Envoy(recipe.tollgate.home, "envoy", text).start()
    recipe.address = f"127.0.0.1:{recipe.envoy.port}"
