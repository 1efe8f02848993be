"""Faults under load. Each returns its World, judged, and a line of figures."""
import json
import signal
import socket
import struct
import threading
import time

import judge
from cut import Cut
from world import Changer, World, cpu_seconds, service_metric, sleep, until

LEASE_SECONDS = 3


def let_traffic_pass(world, seconds=0.3):
    """Requests that begin after what was just told; a stopped edge has them in its socket."""
    sleep(seconds)


def stopped(short):
    """SIGSTOP validators past their lease, take tokens away meanwhile, and wake them."""
    with World("stopped") as world:
        edges = [world.validator(f"stop/edge-{i}") for i in range(4)]
        world.start_validators(edges)
        world.begin_traffic(tokens=160)
        rounds = 2 if short else 8
        waits = []
        for turn in range(rounds):
            asleep = edges[turn % 4:turn % 4 + 1 + turn % 2]
            awake = {edge.edge for edge in edges} - {edge.edge for edge in asleep}
            for edge in asleep:
                edge.signal(signal.SIGSTOP)
            if turn % 4 == 3:
                # Woken before its lease has run out: it owes the receipt an acknowledgement.
                changer = Changer(world, threads=3)
                sleep(LEASE_SECONDS / 3)
                for edge in asleep:
                    edge.signal(signal.SIGCONT)
                changer.stop()
            else:
                for receipt, took in world.revoke_many(6):
                    waits.append(took)
                    assert {e.edge for e in asleep} <= set(receipt.lapsed_validators), receipt
                    assert receipt.acknowledged >= len(awake), receipt
                # The requests that wait in the sockets of those asleep began after the receipt.
                let_traffic_pass(world)
                for edge in asleep:
                    edge.signal(signal.SIGCONT)
            world.until_in_sync({edge.edge for edge in edges})
            let_traffic_pass(world)
    return world, f"{rounds} rounds; receipts past a stopped validator took {min(waits):.0f} to {max(waits):.0f} ms"


def killed(short):
    """SIGKILL service and validators in a loop, under load, with changes going on."""
    with World("killed") as world:
        edges = [world.validator(f"kill/edge-{i}") for i in range(4)]
        world.start_validators(edges)
        world.begin_traffic(tokens=300 if short else 900)
        changer = Changer(world, threads=3)
        kills = 5 if short else 30
        for turn in range(kills):
            sleep(0.5 + 0.13 * (turn % 5))
            if turn % 2 == 0:
                world.service.kill()
                world.restart_service()
            else:
                edge = edges[turn // 2 % 4]
                edge.kill()
                edge.start()
            if turn % 7 == 6:  # both at once
                edges[0].kill()
                world.service.kill()
                edges[0].launch()
                world.restart_service()
                edges[0].wait_ready()
        changer.stop()
        world.until_in_sync({edge.edge for edge in edges})
        world.revoke_many(4)
        let_traffic_pass(world, 0.5)
        done = changer.done
    return world, f"{kills} kills; {done} changes meanwhile, each enforced in the end"


def cut(short):
    """Cut and heal the connection between some validators and the service, in every way."""
    with World("cut") as world:
        proxy = Cut(world.address)
        try:
            behind = [world.validator(f"cut/behind-{i}", proxy.address) for i in range(2)]
            direct = [world.validator(f"cut/direct-{i}") for i in range(2)]
            world.start_validators(behind + direct)
            world.begin_traffic(tokens=300 if short else 700)
            ways = [("pass", "hold", 0.4), ("hold", "pass", 1.3), ("drop", "drop", 1.3)]
            if not short:
                ways += [("drop", "pass", 1.6), ("hold", "hold", 1.6), ("drop", "pass", 0.3), ("hold", "hold", 0.4),
                         ("pass", "hold", 1.6), ("pass", "drop", 1.6), ("pass", "drop", 0.3), ("drop", "hold", 1.2),
                         ("hold", "drop", 1.2)]
            resets = 3 if short else 15
            changer = Changer(world, threads=3, pause=0.1)
            slowest = 0.0
            for up, down, leases in ways:
                proxy.set(up=up, down=down)
                sleep(leases * LEASE_SECONDS)
                proxy.set()
                begun = time.monotonic()
                world.until_in_sync({edge.edge for edge in behind})
                slowest = max(slowest, time.monotonic() - begun)
            for _ in range(resets):
                proxy.reset()
                sleep(0.15)
            world.until_in_sync({edge.edge for edge in behind})
            changer.stop()
            # Where only the way up is dead and events still come down, it is the service that finds out:
            # its keepalive of 30 s, and 10 s for the answer.
            assert slowest < 45, f"{slowest:.1f} s until a healed edge was in sync"
            # One with the rest cut off: the receipt waits for their leases and names them.
            proxy.set(up="hold", down="hold")
            receipt, took = world.revoke()
            assert {edge.edge for edge in behind} <= set(receipt.lapsed_validators), receipt
            let_traffic_pass(world)
            proxy.set()
            world.until_in_sync({edge.edge for edge in behind})
            let_traffic_pass(world)
        finally:
            proxy.close()
    return world, (f"{len(ways) + 1} cuts, {resets} resets; {changer.done} changes meanwhile; "
                   f"in sync again {slowest:.1f} s after a heal at most; with half cut off a receipt took "
                   f"{took:.0f} ms")


def away(short):
    """The service is away for longer than the lease: nobody is admitted, and nobody is blamed."""
    with World("away") as world:
        edges = [world.validator(f"away/edge-{i}") for i in range(4)]
        world.start_validators(edges)
        world.begin_traffic(tokens=120)
        back_ms = []
        for turn in range(1 if short else 4):
            world.revoke_many(4)
            world.service.kill()
            sleep(LEASE_SECONDS + 0.3)  # nothing was granted after the kill
            lapsed = world.counts()
            let_traffic_pass(world, 1.0)
            after = world.counts()
            assert after["admits"] == lapsed["admits"], "an edge admitted although every lease had run out"
            if turn % 2 == 1:  # one of them is not there when it returns
                edges[turn % 4].signal(signal.SIGSTOP)
            world.restart_service()
            _, took = world.revoke()
            back_ms.append(took)
            let_traffic_pass(world)
            for edge in edges:
                edge.signal(signal.SIGCONT)
            world.until_in_sync({edge.edge for edge in edges})
            until("they admit again", lambda seen=world.counts()["admits"]: world.counts()["admits"] > seen + 100)
    return world, f"{len(back_ms)} outages; the first receipt after each took {max(back_ms):.0f} ms at most"


def teeth(_):
    """A validator that may break I1, kept secret from the judge: it must be found."""
    with World("teeth") as world:
        proxy = Cut(world.address)
        try:
            loose = world.validator("teeth/loose", proxy.address, "--stale-policy", "fail-open", "--fail-open-for", "60s")
            tight = world.validator("teeth/tight")
            world.start_validators([loose, tight])
            world.begin_traffic(tokens=40)
            let_traffic_pass(world, 1)  # every token is held at both
            # Cut off, it goes on from what it holds: what is revoked now it admits, also after the receipt.
            proxy.set(up="hold", down="hold")
            for receipt, _ in world.revoke_many(10):
                assert loose.edge in receipt.not_covered, receipt
            let_traffic_pass(world, 1)
        finally:
            proxy.close()
    found = world.verdict.violations
    assert found and all(f"I1: {loose.edge} " in violation for violation in found), found
    with open(world.facts_path, "a", encoding="utf-8") as facts:
        facts.write(json.dumps({"kind": "edge", "edge": loose.edge, "stale_policy": "fail-open"}) + "\n")
    world.verdict = judge.judge_files([world.facts_path, world.decisions_path])
    return world, f"{len(found)} admits after a receipt at a fail-open edge, each found; told of the edge, none"


class Knocks:
    """Stands in for a service that is away: takes each connection, counts it, and ends it."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.count = 0
        self.socket = socket.create_server((host, int(port)), backlog=4096)
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            # An abort: the service's port must not be left in TIME_WAIT.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


def stampede(short):
    """A fleet that starts at once, loses its service for longer than the lease, and finds it again."""
    count = 200 if short else 1000
    with World("stampede", lease="5s", ping="1s", ack_limit="2s") as world:
        fleet = world.tool("tollgate-fleet")
        service = world.service.process
        edge = world.validator("stampede/traffic")
        world.start_validators([edge])
        world.begin_traffic(tokens=20, per_second=100)
        cpu = cpu_seconds(service.pid)
        started = fleet.do("start", service=world.address, prefix="fleet/edge-", count=count)
        cold = fleet.do("await", count=count)
        assert cold["ready"] == count, cold
        cold_ms = started["took_ms"] + cold["took_ms"]
        cold_cpu = cpu_seconds(service.pid) - cpu
        world.revoke()
        world.service.kill()
        with Knocks(world.address) as knocks:
            sleep(4)  # their backoff has grown
            begin = knocks.count
            window = 6  # and by now their leases have run out
            sleep(window)
            away_rate = (knocks.count - begin) / window
        assert fleet.do("status")["live"] == 0
        before = fleet.do("status")["streams"]
        world.restart_service()
        begun = time.monotonic()
        service = world.service.process
        cpu, peak, seen = cpu_seconds(service.pid), 0, 0
        while True:
            followers = service_metric(world, "tollgate_followers")
            peak, seen = max(peak, followers - seen), followers
            now = fleet.do("status")
            if now["live"] == count and now["following"] == count:
                break
            assert time.monotonic() - begun < 60, now
            sleep(0.1)
        back_ms = (time.monotonic() - begun) * 1000
        opened = now["streams"] - before
        back_cpu = cpu_seconds(service.pid) - cpu
        receipt, took = world.revoke()
        assert receipt.acknowledged >= count, receipt
        world.figures = [
            ("followers that start at once", f"{count}", f"all in sync after {cold_ms:.0f} ms, "
             f"{cold_cpu * 1000 / count:.2f} ms of the service's CPU each"),
            ("their knocks while the service is away", f"{away_rate:.0f}/s",
             f"{away_rate / count:.2f}/s each"),
            ("after its return", f"{back_ms:.0f} ms until all are in sync",
             f"at most {peak:.0f} came in a tenth of a second; "
             f"{back_cpu * 1000 / count:.2f} ms of CPU each"),
            (f"a receipt with {receipt.acknowledged} acknowledgements", f"{took:.0f} ms", ""),
        ]
        # The longest pause is 5 s, and gRPC makes it up to a fifth longer.
        assert back_ms < 8500, f"{back_ms:.0f} ms until all were back"
        assert opened <= 2 * count, f"{opened} streams opened for {count} followers: a stampede"
        assert away_rate <= count, f"{away_rate} connections a second from {count} followers: a stampede"
        let_traffic_pass(world)
    return world, (f"{count} followers: {away_rate:.0f} knocks/s while away, all back in {back_ms:.0f} ms, "
                   f"at most {peak:.0f} in a tenth of a second")


ALL = {"stopped": stopped, "killed": killed, "cut": cut, "away": away, "teeth": teeth, "stampede": stampede}
# They need no quiet machine: nothing in them is a figure.
BESIDE = ("stopped", "killed", "cut", "away", "teeth")
