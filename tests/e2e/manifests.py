"""The Kubernetes resources of a recipe: read, and held against the schemas that their makers publish."""
import functools
import glob
import os
import re
import subprocess

import jsonschema
import kubernetes_validate
import yaml
from google.protobuf import descriptor_pb2, json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from installation import BIN
from recipe import SOURCE

KUBERNETES = "1.37"
# What a test gives a validator in its own way: where its service is, where it listens, what its pod mounts.
GIVEN = {"--service", "--service-ca", "--service-cert", "--service-key", "--id", "--listen", "--policy", "--metrics-listen",
         "--allow-plaintext-metrics"}
# What a recipe's kustomization.yaml says: of this file there is no published schema to be had.
KUSTOMIZATION = {"apiVersion", "kind", "namespace", "resources", "configMapGenerator", "generatorOptions"}


def published(module):
    """The folder of a Go module of which packages.txt wants the files."""
    with open(os.path.join(SOURCE, "packages.txt"), encoding="utf-8") as file:
        listed = re.search(rf"^\w+ +gofiles +({re.escape(module)}@\S+)", file.read(), re.M)[1]
    folder = os.path.join(SOURCE, ".cache", "modules", listed)
    assert os.path.isdir(folder), f"{folder} is missing: scripts/install-packages test"
    return folder


def documents(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.load_all(file, yaml.CSafeLoader) if document is not None]


def strict(schema):
    """As the API server reads a file when asked to be strict: what a schema does not name is an error."""
    made = dict(schema)
    if "properties" in made:
        made["properties"] = {name: strict(of) for name, of in made["properties"].items()}
        if not made.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    for inside in ("items", "additionalProperties"):
        if isinstance(made.get(inside), dict):
            made[inside] = strict(made[inside])
    return made


@functools.lru_cache
def custom_schemas():
    """Of each custom kind, by (apiVersion, kind): Istio's, and the Gateway API's experimental ones."""
    files = [os.path.join(published("istio.io/api"), "kubernetes", "customresourcedefinitions.gen.yaml"),
             *(os.path.join(published("sigs.k8s.io/gateway-api"), "config", "crd", "experimental",
                            f"gateway.networking.k8s.io_{kind}.yaml")
               for kind in ("gateways", "httproutes", "backendtlspolicies"))]
    return {(f"{definition['spec']['group']}/{version['name']}", definition["spec"]["names"]["kind"]):
            version["schema"]["openAPIV3Schema"]
            for file in files for definition in documents(file) for version in definition["spec"]["versions"]}


def check(document):
    """Fails where the schema of its kind says so, and at a name that it does not know. Not looked at: the schemas' rules in CEL."""
    kind = document["apiVersion"], document["kind"]
    try:
        if kind in custom_schemas():
            # What every object has, no schema of a kind says.
            body = {name: value for name, value in document.items() if name not in ("apiVersion", "kind", "metadata")}
            jsonschema.validate(body, strict(custom_schemas()[kind]))
            assert set(document["metadata"]) <= {"name", "labels", "annotations"}, document["metadata"]
        else:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except jsonschema.ValidationError as wrong:
        raise AssertionError(f"{' '.join(kind)}: {wrong.json_path}: {wrong.message}") from None


class Manifests:
    """All of one recipe."""

    def __init__(self, folder, *more):
        (kustomization,) = documents(os.path.join(folder, "kustomization.yaml"))
        assert set(kustomization) <= KUSTOMIZATION, kustomization
        self.namespace = kustomization["namespace"]
        self.config_maps = {made["name"]: made["files"] for made in kustomization["configMapGenerator"]}
        beside = {os.path.basename(path) for path in glob.glob(os.path.join(folder, "*"))}
        assert {*kustomization["resources"], *more, *sum(self.config_maps.values(), [])} <= beside
        self.all = [document for name in (*kustomization["resources"], *more)
                    for document in documents(os.path.join(folder, name))]

    def check(self):
        """Against the published schemas, and that what pods mount and Deployments select is there."""
        for document in self.all:
            check(document)
        self._check_references()

    def one(self, kind, name=None):
        """The one of that kind, and name."""
        (found,) = (document for document in self.all
                    if document["kind"] == kind and name in (None, document["metadata"]["name"]))
        return found

    def behind(self, service):
        """The pod's template that a Service selects, which must be one."""
        wanted = self.one("Service", service)["spec"]["selector"]
        (found,) = (document["spec"]["template"] for document in self.all if document["kind"] == "Deployment"
                    and wanted.items() <= document["spec"]["template"]["metadata"]["labels"].items())
        return found

    def target(self, service, port):
        """The port of the pod's container that a port of a Service leads to."""
        (entry,) = (entry for entry in self.one("Service", service)["spec"]["ports"] if entry["port"] == port)
        wanted = entry.get("targetPort", port)
        if isinstance(wanted, int):
            return wanted
        (found,) = (entry["containerPort"] for container in self.behind(service)["spec"]["containers"]
                    for entry in container.get("ports", []) if entry["name"] == wanted)
        return found

    def _check_references(self):
        for deployment in (document["spec"] for document in self.all if document["kind"] == "Deployment"):
            template = deployment["template"]
            assert deployment["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
            volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
            for volume in volumes.values():
                assert "configMap" not in volume or volume["configMap"]["name"] in self.config_maps, volume
            for container in (*template["spec"].get("initContainers", []), *template["spec"]["containers"]):
                mounts = container.get("volumeMounts", [])
                assert {mount["name"] for mount in mounts} <= set(volumes), container["name"]
                flags = container.get("args", [])
                named = {variable["name"] for variable in container.get("env", [])}
                assert set(re.findall(r"\$\((\w+)\)", " ".join(flags))) <= named
                for path in re.findall(r"=(/\S+)", " ".join(flags)):
                    assert any(path.startswith(mount["mountPath"] + "/") for mount in mounts), path


def flags_of(container, *more):
    """What a validator is started with: values by flag, None where there is none. The program knows each, and so does the test."""
    assert container["command"] == ["tollgate-validator"], container
    flags = {}
    for argument in container["args"]:
        name, _, value = argument.partition("=")
        assert name not in flags, argument
        flags[name] = value or None
    told = subprocess.run([os.path.join(BIN, "tollgate-validator"), "--help"], capture_output=True, text=True, check=True)
    unknown = [name for name in flags if not re.search(rf"{name}\b", told.stdout)]
    assert not unknown, unknown
    assert set(flags) <= GIVEN | set(more), flags
    return flags


def mesh_config(home, values):
    """Istio's MeshConfig as its own contract reads it: an unknown name, or a value of another kind, fails."""
    folder = published("istio.io/api")
    compiled = os.path.join(home, "mesh.pb")
    subprocess.run(["protoc", "-I", folder, "-I", os.path.join(folder, "common-protos"), "--include_imports",
                    "-o", compiled, os.path.join("mesh", "v1alpha1", "config.proto")], cwd=folder, check=True)
    with open(compiled, "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = DescriptorPool()
    for file in files.file:
        pool.Add(file)
    message = GetMessageClass(pool.FindMessageTypeByName("istio.mesh.v1alpha1.MeshConfig"))
    return json_format.ParseDict(values, message())
