"""What stays open because a token was admitted ends with it, and by itself when nobody can say so any more."""
import queue
import signal
import threading
import time

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc_status_details import error_info

from installation import metric, until


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Holder:
    """A holder as docs/holds.md has it. `open` is what it keeps open: until when, by hold."""

    def __init__(self, client, answers=True, name=None):
        self.answers = answers
        method = client.pool.FindServiceByName("tollgate.v1.ValidationService").methods_by_name["Hold"]
        self.request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        self.reasons = {value.number: value.name.removeprefix("VERDICT_REASON_") for value in
                        client.pool.FindEnumTypeByName("tollgate.v1.VerdictReason").values}
        self.lock = threading.Lock()
        self.up = queue.Queue()
        self.last_id = self.sequence = 0
        self.sent = {}  # when what was asked
        self.open, self.ended, self.refused = {}, {}, {}
        self.status = None
        self.call = client.channel.stream_stream(
            "/tollgate.v1.ValidationService/Hold", request_serializer=self.request.SerializeToString,
            response_deserializer=response.FromString)(iter(self.up.get, None))
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        if name:
            self.say(hello={"holder": name})

    def say(self, **fields):
        self.up.put(self.request(**fields))

    def hold(self, token, **requirement):
        with self.lock:
            self.last_id += 1
            self.sent["open", self.last_id] = now()  # before it is written
            self.say(open={"hold_id": self.last_id, "token_string": token, "requirement": requirement})
            return self.last_id

    def renew(self):
        with self.lock:
            self.sequence += 1
            self.sent["renew", self.sequence] = now()
            self.say(renew={"sequence": self.sequence})
            return self.sequence

    def read(self):
        try:
            for message in self.call:
                with self.lock:
                    self.take(message)
        except grpc.RpcError as error:
            self.status = error

    def take(self, message):
        kind = message.WhichOneof("message")
        if kind == "opened":
            hold = message.opened.hold_id
            sent = self.sent.pop(("open", hold))
            if message.opened.verdict.verdict == 1:
                self.open[hold] = sent + message.opened.good_for.ToNanoseconds() / 1e9
            else:
                self.refused[hold] = self.reasons[message.opened.verdict.reason]
        elif kind == "good_for":
            until_then = self.sent.pop(("renew", message.good_for.sequence)) + message.good_for.length.ToNanoseconds() / 1e9
            self.open = {hold: until_then for hold in self.open}
        elif message.ended.hold_id in self.open:
            del self.open[message.ended.hold_id]
            self.ended[message.ended.hold_id] = self.reasons[message.ended.reason]
            if self.answers:
                self.say(closed={"hold_id": message.ended.hold_id})

    def good(self, hold):
        with self.lock:
            return self.open.get(hold, 0) > now()

    def close(self):
        self.up.put(None)
        self.reader.join(timeout=30)


@pytest.fixture
def holder(tollgate):
    """Makes holders at an edge."""
    made = []

    def make(edge, **options):
        made.append(Holder(tollgate.client(edge.socket), **options))
        return made[-1]

    yield make
    for one in made:
        one.call.cancel()
        one.close()


def test_a_revocation_ends_what_the_token_opened(tollgate, holder):
    tollgate.start_service()
    edge = tollgate.start_validator("edge-1", "--max-holds", "1000")
    token, secret = tollgate.create("socket", "--scope", "items:read")
    _, other_secret = tollgate.create("another")
    client = holder(edge)
    first = client.hold(secret, any_scopes=["items:read"])
    second = client.hold(secret)
    other = client.hold(other_secret)
    refused = client.hold(secret, all_scopes=["items:write"])
    until("all are open", lambda: len(client.open) == 3)
    until("one is refused", lambda: client.refused == {refused: "INSUFFICIENT_SCOPE"})
    tollgate.cli("token", "update", token, "--label", "renamed")
    client.renew()
    until("the word came", lambda: not client.sent)
    receipt = tollgate.cli("token", "revoke", token, "--yes", "--wait")["receipt"]
    assert receipt["state"] == "enforced"
    until("both have ended", lambda: client.ended == {first: "REVOKED", second: "REVOKED"})
    assert client.good(other)
    page = tollgate.metrics(edge)
    assert metric(page, "tollgate_validator_holds_open") == 1
    assert metric(page, "tollgate_validator_holders") == 1
    assert metric(page, "tollgate_validator_holds_ended_total", reason="revoked") == 2
    assert secret not in edge.tail()


def test_a_frozen_validator_holds_nothing_open(tollgate, holder):
    tollgate.start_service("--lease", "3s", "--ping-interval", "300ms")
    edge = tollgate.start_validator("edge-1", "--max-holds", "1000")
    token, secret = tollgate.create("socket")
    client = holder(edge)
    hold = client.hold(secret)
    until("it is open", lambda: client.good(hold))
    for _ in range(3):
        client.renew()
        until("the word came", lambda: not client.sent)
        assert client.good(hold)
    edge.signal(signal.SIGSTOP)
    client.renew()  # nobody answers
    receipt = tollgate.cli("token", "revoke", token, "--yes", "--wait")["receipt"]
    # It was told to nobody: the service waited for the lease to run out, and the word had run out before.
    assert receipt["state"] == "enforced" and int(receipt["lapsed"]) == 1
    assert not client.good(hold) and not client.ended
    edge.signal(signal.SIGCONT)
    until("then it is told, too", lambda: client.ended)


def test_a_validator_that_stops_ends_what_it_held(tollgate, holder):
    tollgate.start_service()
    edge = tollgate.start_validator("edge-1", "--max-holds", "1000")
    _, secret = tollgate.create("socket")
    client = holder(edge)
    hold = client.hold(secret)
    until("it is open", lambda: client.good(hold))
    assert edge.stop() == 0
    until("the stream has ended", lambda: client.status)
    assert client.ended == {hold: "SERVICE_UNAVAILABLE"}
    assert client.status.code() == grpc.StatusCode.UNAVAILABLE
    assert error_info(client.status)[0] == "DRAINING"
    assert "said goodbye" in edge.tail()


def test_without_an_answer_no_goodbye_is_said(tollgate, holder):
    tollgate.start_service("--lease", "4s", "--ping-interval", "300ms")
    edge = tollgate.start_validator("edge-1", "--max-holds", "1000")
    token, secret = tollgate.create("socket")
    client = holder(edge, answers=False, name="chat/web-7")
    hold = client.hold(secret)
    until("it is open", lambda: client.good(hold))
    assert edge.stop() == 0
    assert client.ended == {hold: "SERVICE_UNAVAILABLE"}  # and it holds on all the same
    assert "said goodbye" not in edge.tail() and "chat/web-7" in edge.tail()
    # Its word runs out with the lease, and the receipt waits for that.
    receipt = tollgate.cli("token", "revoke", token, "--yes", "--wait")["receipt"]
    assert receipt["state"] == "enforced" and int(receipt["lapsed"]) == 1


def test_without_the_service_everything_ends_with_the_lease(tollgate, holder):
    tollgate.start_service("--lease", "2s", "--ping-interval", "300ms")
    edge = tollgate.start_validator("edge-1", "--max-holds", "1000")
    _, secret = tollgate.create("socket")
    client = holder(edge)
    hold = client.hold(secret)
    until("it is open", lambda: client.good(hold))
    tollgate.service.kill()
    until("it has ended", lambda: client.ended == {hold: "NO_LEASE"})
    again = client.hold(secret)
    until("no other is opened", lambda: client.refused == {again: "NO_LEASE"})
