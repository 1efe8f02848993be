"""One Tollgate of real processes in a temporary folder, and clients to drive it with."""
import http.client
import json
import os
import signal
import subprocess
import threading
import time

# An idle channel looks at its socket so often: a server that drains waits for it to have seen that.
os.environ.setdefault("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "50")
import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

BIN = os.environ["TOLLGATE_BIN"]
PATIENCE_SECONDS = 30


def until(what, condition, patience=PATIENCE_SECONDS):
    """Waits for a condition, and returns its true value; fails the test when it does not come."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {patience} s"
        time.sleep(0.01)


class Program:
    """A process of ours with a ready file and a log."""

    def __init__(self, home, name, program, arguments):
        self.name, self.program, self.arguments, self.home = name, program, arguments, home
        self.log = os.path.join(home, f"{name}.log")
        self.ready_file = os.path.join(home, f"{name}.ready")
        self.process = None
        self.ready = None
        self.output = None  # a descriptor for both its outputs, in place of the log
        self.environment = {}  # besides ours
        self.prefix = []  # a command that runs the program, with its flags

    def launch(self):
        if os.path.exists(self.ready_file):
            os.unlink(self.ready_file)
        with open(self.log, "ab") as log:
            output = log if self.output is None else self.output
            self.process = subprocess.Popen(
                [*self.prefix, os.path.join(BIN, self.program), *self.arguments, "--ready-file", self.ready_file],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **self.environment})
        return self

    def wait_ready(self):
        def ready():
            assert self.process.poll() is None, f"{self.name} ended: {self.tail()}"
            return os.path.exists(self.ready_file)

        until(f"{self.name} is ready", ready)
        with open(self.ready_file, encoding="utf-8") as file:
            self.ready = json.load(file)
        return self

    def start(self):
        return self.launch().wait_ready()

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-20:])

    def records(self):
        """Its log, a dictionary a line; what is no JSON is left out."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return [json.loads(line) for line in file if line.startswith("{") and line.endswith("}\n")]

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


class Client:
    """Calls by reflection: what an engineer without our protos sees."""

    def __init__(self, target):
        self.channel = grpc.insecure_channel(
            target, options=[("grpc.max_receive_message_length", 64 << 20), ("grpc.enable_http_proxy", 0),
                             ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100)])
        self.pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        self.methods = {}

    def method(self, path):
        if path not in self.methods:
            service, name = path.split("/")
            descriptor = self.pool.FindServiceByName(f"tollgate.v1.{service}").methods_by_name[name]
            request = GetMessageClass(descriptor.input_type)
            response = GetMessageClass(descriptor.output_type)
            stub = self.channel.unary_unary(
                f"/tollgate.v1.{service}/{name}", request_serializer=request.SerializeToString,
                response_deserializer=response.FromString)
            self.methods[path] = (stub, request)
        return self.methods[path]

    def call(self, path, timeout=30, **fields):
        stub, request = self.method(path)
        return stub(json_format.ParseDict(fields, request()), timeout=timeout)

    def serving(self, name):
        """What grpc.health.v1 says of a name."""
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        return check(bytes([10, len(name)]) + name.encode(), timeout=30) == b"\x08\x01"

    def future(self, path, timeout=60, **fields):
        stub, request = self.method(path)
        return stub.future(json_format.ParseDict(fields, request()), timeout=timeout)

    def stream(self, path, *messages, timeout=30):
        """A bidirectional stream on which these go up, and no more until the service has ended it."""
        service, name = path.split("/")
        descriptor = self.pool.FindServiceByName(f"tollgate.v1.{service}").methods_by_name[name]
        request, response = GetMessageClass(descriptor.input_type), GetMessageClass(descriptor.output_type)
        ended = threading.Event()

        def up():
            for fields in messages:
                yield json_format.ParseDict(fields, request())
            ended.wait(timeout)

        call = self.channel.stream_stream(
            f"/tollgate.v1.{service}/{name}", request_serializer=request.SerializeToString,
            response_deserializer=response.FromString)(up(), timeout=timeout)
        call.add_callback(ended.set)
        return call

    def close(self):
        self.channel.close()


class Installation:
    def __init__(self, home):
        self.home = str(home)
        self.programs = []
        self.clients = []
        self.service = None
        self.secrets = []  # every token string that was shown

    def prepare_service(self, *arguments, port=0, environment=None, admin="local"):
        """A service that is still to be started. `admin`: the member that may do everything; None: nobody is named, so a
        first start makes an operator token."""
        self.service = Program(self.home, "tollgated", "tollgated", [
            "--store", os.path.join(self.home, "store"), "--listen", f"127.0.0.1:{port}",
            "--metrics-listen", "127.0.0.1:0", "--usage-interval", "200ms", "--sweep-interval", "100ms",
            *(["--admin", admin] if admin else []), *arguments])
        self.service.environment = environment or {}
        self.programs.append(self.service)
        return self.service

    def start_service(self, *arguments, **how):
        return self.prepare_service(*arguments, **how).start()

    @property
    def address(self):
        return self.service.ready["listen"][0]

    def restart_service(self):
        """The same service on the same port: what a supervisor does after a crash."""
        port = self.address.rsplit(":", 1)[1]
        arguments = self.service.arguments
        arguments[arguments.index("--listen") + 1] = f"127.0.0.1:{port}"
        return self.service.start()

    def prepare_validator(self, edge="edge-1", *arguments):
        """A validator that is still to be started."""
        name = edge.replace("/", "-")
        socket = f"unix:{self.home}/{name}.sock"
        program = Program(self.home, name, "tollgate-validator", [
            "--service", self.address, "--id", edge, "--listen", socket, "--metrics-listen", "127.0.0.1:0",
            *arguments])
        program.edge = edge
        program.socket = socket
        self.programs.append(program)
        return program

    def start_validator(self, edge="edge-1", *arguments):
        program = self.prepare_validator(edge, *arguments)
        program.start()
        self.wait_in_sync(program)
        return program

    def wait_in_sync(self, validator):
        def live():
            with open_url(f"http://{validator.ready['metrics']}/metrics") as text:
                return metric(text, "tollgate_validator_lease_live") == 1

        until(f"{validator.name} is in sync", live)

    def client(self, target=None):
        client = Client(target or self.address)
        self.clients.append(client)
        return client

    def cli(self, *arguments, secret=None, code=0, as_json=True):
        done = subprocess.run(
            [os.path.join(BIN, "tollgate"), *(["-o", "json"] if as_json else []), *map(str, arguments)],
            input=secret or "", capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "TOLLGATE_SERVICE": self.address, "TOLLGATE_WORKSPACE": "acme",
                 "TOLLGATE_CONFIG": ""})
        assert done.returncode == code, f"tollgate {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        if as_json and done.stdout.strip().startswith("{"):
            answer = json.loads(done.stdout)
            if answer.get("token_string"):
                self.secrets.append(answer["token_string"])
            return answer
        return done

    def create(self, label, *arguments):
        """(token id, token string)"""
        made = self.cli("token", "create", "--label", label, *arguments)
        return made["token"]["token_id"], made["token_string"]

    def check(self, validator, secret, **requirement):
        """(verdict, reason) at one edge, as short words."""
        client = next((c for c in self.clients if getattr(c, "edge", None) == validator.socket), None)
        if client is None:
            client = self.client(validator.socket)
            client.edge = validator.socket
        answer = client.call("ValidationService/Validate", token_string=secret, requirement=requirement)
        return verdict(answer)

    def metrics(self, program):
        with open_url(f"http://{program.ready['metrics']}/metrics") as text:
            return text

    def probe(self, program, path):
        """The status of /livez or /readyz."""
        host, _, port = program.ready["metrics"].rpartition(":")
        asked = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=PATIENCE_SECONDS)
        asked.request("GET", path)
        status = asked.getresponse().status
        asked.close()
        return status

    def close(self):
        for client in self.clients:
            client.close()
        for program in self.programs:
            if program.process is not None and program.process.poll() is None:
                program.process.send_signal(signal.SIGCONT)
                program.process.kill()
                program.process.wait()


def verdict(answer):
    names = answer.DESCRIPTOR.fields_by_name
    word = names["verdict"].enum_type.values_by_number[answer.verdict].name.removeprefix("VERDICT_")
    reason = names["reason"].enum_type.values_by_number[answer.reason].name.removeprefix("VERDICT_REASON_")
    return word, reason


class open_url:
    """The text behind a URL on this machine; never through a proxy."""

    def __init__(self, url):
        self.url = url

    def __enter__(self):
        import urllib.request
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url, timeout=10) as answer:
            return answer.read().decode()

    def __exit__(self, *_):
        return False


def metric(text, name, **labels):
    """The value of one series; None where there is none."""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        series, _, value = line.rpartition(" ")
        if series.split("{")[0] == name and all(f'{key}="{want}"' in series for key, want in labels.items()):
            return float(value)
    return None


ADMIT = ("ADMIT", "UNSPECIFIED")
REVOKED = ("DENY", "REVOKED")
SUSPENDED = ("DENY", "SUSPENDED")
