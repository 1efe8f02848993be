"""A Tollgate of real processes under load, whose every decision and receipt is written down."""
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from google.protobuf import json_format  # noqa: E402
from google.protobuf.descriptor_pool import DescriptorPool  # noqa: E402
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (  # noqa: E402
    ProtoReflectionDescriptorDatabase)
from installation import BIN, Client, Installation, Program, metric, until  # noqa: E402

import judge  # noqa: E402

PARENT = "workspaces/acme"
DURATION_LIMIT = 60  # seconds, for whatever is waited for


def boot_us():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class QuickClient(Client):
    """Finds a service that came back soon after it did."""

    def __init__(self, target):  # pylint: disable=super-init-not-called
        self.channel = grpc.insecure_channel(target, options=[
            ("grpc.max_receive_message_length", 64 << 20), ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 3000), ("grpc.max_reconnect_backoff_ms", 200)])
        self.pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        self.methods = {}

    def ask(self, path, fields, deadline=40):
        """As call, for requests that have a field named timeout."""
        stub, request = self.method(path)
        return stub(json_format.ParseDict(fields, request()), timeout=deadline)


class Tool:
    """A child that takes a JSON command a line and answers with one."""

    def __init__(self, program, log):
        with open(log, "ab") as errors:
            self.process = subprocess.Popen([os.path.join(BIN, program)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=errors, text=True)
        self.lock = threading.Lock()

    def do(self, what, **fields):
        with self.lock:
            self.process.stdin.write(json.dumps({"do": what, **fields}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        assert line, f"the tool ended: {what}"
        answer = json.loads(line)
        assert "error" not in answer, f"{what} {fields}: {answer['error']}"
        return answer

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class World(Installation):
    """Use as a context; `verdict` is set when it ends."""

    def __init__(self, name, lease="3s", ping="500ms", ack_limit="1s", service_flags=(), prepare=None):
        super().__init__(tempfile.mkdtemp(prefix=f"tollgate-faults-{name}.", dir="/tmp"))
        self.name = name
        self.validators = []
        self.tools = []
        self.tokens = []      # {"name", "token_string"}, by number
        self.fresh = []       # numbers nobody has touched yet
        self.receipts_ms = []
        self.verdict = None
        self.lock = threading.Lock()
        self.facts_path = os.path.join(self.home, "facts.jsonl")
        self.decisions_path = os.path.join(self.home, "decisions.jsonl")
        self.facts = open(self.facts_path, "a", encoding="utf-8")  # pylint: disable=consider-using-with
        self.traffic = None
        try:
            self.begin(lease, ping, ack_limit, service_flags, prepare)
        except BaseException:
            self.end()
            raise

    def begin(self, lease, ping, ack_limit, service_flags, prepare):
        self.prepare_service("--lease", lease, "--ping-interval", ping, "--ack-limit", ack_limit,
                             "--log-level", "warning", *service_flags)
        if prepare is not None:
            prepare(self.service, self.home)
        self.service.start()
        self.operator = QuickClient(self.address)
        self.clients.append(self.operator)
        # The contracts, while the service is surely there.
        for method in ("TokenService/RevokeToken", "TokenService/SuspendToken", "TokenService/ResumeToken",
                       "OperationsService/WaitEnforced", "OperationsService/ListValidators"):
            self.operator.method(method)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None and self.traffic is not None:
                self.judge()
        finally:
            self.end()
            if kind is not None:
                print(f"{self.name}: logs and history are kept in {self.home}", flush=True)

    # ---- processes

    def tool(self, program):
        tool = Tool(program, os.path.join(self.home, f"{program}.log"))
        self.tools.append(tool)
        return tool

    def validator(self, edge, service=None, *flags):
        name = edge.replace("/", "-")
        socket = f"unix:{self.home}/{name}.sock"
        program = Program(self.home, name, "tollgate-validator", [
            "--service", service or self.address, "--id", edge, "--listen", socket, "--metrics-listen", "127.0.0.1:0",
            "--cache-entries", "1024", "--unknown-entries", "256", "--log-level", "warning",
            "--resolve-timeout", "1s", *flags])
        program.edge, program.socket = edge, socket
        self.programs.append(program)
        self.validators.append(program)
        return program

    def start_validators(self, validators):
        """All at once; returns when each is in sync."""
        for validator in validators:
            validator.launch()
        for validator in validators:
            validator.wait_ready()
        self.until_in_sync({validator.edge for validator in validators})

    def fleet_view(self):
        page, token = [], ""
        while True:
            answer = self.operator.call("OperationsService/ListValidators", page_size=1000, page_token=token)
            page += answer.validators
            token = answer.next_page_token
            if not token:
                return page

    def in_sync(self):
        IN_SYNC = 1
        return {v.validator_id for v in self.fleet_view() if v.state == IN_SYNC}

    def until_in_sync(self, edges, patience=DURATION_LIMIT):
        """Both sides say so: behind a half-open connection one of them may be wrong for a while."""
        def all_there():
            try:
                if not edges <= self.in_sync():
                    return False
            except grpc.RpcError:
                return False
            return all(holds_lease(self, validator) for validator in self.validators
                       if validator.edge in edges)

        until(f"{len(edges)} validators are in sync", all_there, patience=patience)

    # ---- traffic

    def begin_traffic(self, tokens=200, per_second=250, deadline_ms=2000):
        self.traffic = self.tool("tollgate-traffic")
        self.traffic.do("record", path=self.decisions_path)
        self.add_tokens(tokens)
        for number, token in enumerate(self.tokens):
            self.traffic.do("token", number=number, token_string=token["token_string"])
        for validator in self.validators:
            self.traffic.do("edge", name=validator.edge, address=validator.socket, per_second=per_second,
                            deadline_ms=deadline_ms)
        until("every edge answers", lambda: self.counts()["admits"] > 20 * len(self.validators))

    def add_tokens(self, count):
        maker = self.traffic or self.tool("tollgate-traffic")
        made = maker.do("create", service=self.address, parent=PARENT, count=count)["tokens"]
        assert len(made) == count, f"{len(made)} of {count} tokens could be made"
        self.fresh += range(len(self.tokens), len(self.tokens) + count)
        self.tokens += made

    def counts(self):
        return self.traffic.do("counts")

    def take(self):
        with self.lock:
            return self.fresh.pop(0)

    # ---- changes, each with its facts

    def write(self, **fact):
        with self.lock:
            self.facts.write(json.dumps(fact) + "\n")
            self.facts.flush()

    def change(self, number, kind, wait=20.0, patience=DURATION_LIMIT):
        """Asks until it is done, and enforced where it takes something away; the receipt."""
        if self.traffic is not None:
            self.traffic.do("focus", numbers=[number])
        self.write(kind="request", token=number, change=kind, at_us=boot_us())
        method = {"revoke": "RevokeToken", "suspend": "SuspendToken", "resume": "ResumeToken"}[kind]
        fields = {"name": self.tokens[number]["name"], "request_id": str(uuid.uuid4())}
        if kind != "resume":
            fields.update(wait_enforced=f"{wait}s", reason="fault run")
        begun = time.monotonic()
        answer = self.insist(f"TokenService/{method}", patience, **fields)
        receipt = answer.receipt if kind != "resume" else None
        if receipt is not None:
            self.write_receipt(receipt)
            epoch = receipt.epoch
        else:
            epoch = self.epoch
        self.epoch = epoch
        self.write(kind="done", token=number, change=kind, epoch=epoch, revision=answer.revision)
        while receipt is None or receipt.state != 2:  # ENFORCED
            assert time.monotonic() - begun < patience, f"{kind} of {answer.revision} is not enforced: {receipt}"
            receipt = self.insist("OperationsService/WaitEnforced", patience, revision=answer.revision,
                                  epoch=epoch, timeout="10s")
            self.write_receipt(receipt)
        took = (time.monotonic() - begun) * 1000
        with self.lock:
            self.receipts_ms.append(took)
        return receipt, took

    epoch = ""

    def write_receipt(self, receipt):
        at = boot_us()
        self.write(kind="receipt", epoch=receipt.epoch, revision=receipt.revision,
                   state={1: "PENDING", 2: "ENFORCED"}[receipt.state], at_us=at,
                   acknowledged=receipt.acknowledged, lapsed=receipt.lapsed, released=receipt.released,
                   lapsed_validators=list(receipt.lapsed_validators), not_covered=list(receipt.not_covered))

    def insist(self, method, patience, **fields):
        deadline = time.monotonic() + patience
        while True:
            try:
                return self.operator.ask(method, fields)
            except grpc.RpcError as error:
                again = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED,
                         grpc.StatusCode.CANCELLED)
                if error.code() not in again or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def revoke(self, number=None, **options):
        return self.change(self.take() if number is None else number, "revoke", **options)

    def revoke_many(self, count, **options):
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return [job.result() for job in [pool.submit(self.revoke, **options) for _ in range(count)]]

    # ---- the end

    def judge(self):
        for tool in self.tools:
            tool.close()
        self.tools = []
        self.facts.close()
        self.verdict = judge.judge_files([self.facts_path, self.decisions_path])

    def end(self):
        self.facts.close()
        for tool in self.tools:
            tool.process.kill()
            tool.close()
        self.close()


class Changer:
    """Takes away, and gives back, in the background: revocations, and every third time a suspension."""

    def __init__(self, world, threads=2, pause=0.05):
        self.world, self.pause = world, pause
        self.stopped = threading.Event()
        self.failure = None
        self.done = 0
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        try:
            while not self.stopped.is_set() and len(self.world.fresh) > len(self.world.tokens) // 4:
                number = self.world.take()
                if self.done % 3 == 2:
                    self.world.change(number, "suspend")
                    self.world.change(number, "resume")
                else:
                    self.world.change(number, "revoke")
                self.done += 1
                self.stopped.wait(self.pause)
        except Exception as failure:  # told by stop(), on the scenario's own thread
            self.failure = failure

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        if self.failure is not None:
            raise self.failure


def sleep(seconds):
    """A fault's length: the one thing that is waited for by time."""
    time.sleep(seconds)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


def holds_lease(world, validator):
    text = world.metrics(validator)
    return (metric(text, "tollgate_validator_lease_live") == 1 and
            metric(text, "tollgate_validator_following") == 1)


def service_metric(world, name, **labels):
    return metric(world.metrics(world.service), name, **labels) or 0.0


__all__ = ["Changer", "World", "boot_us", "cpu_seconds", "memory_mb", "service_metric", "signal", "sleep", "until"]
