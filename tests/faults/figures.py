"""The figures that the promise rests on, measured against real processes. Each returns its World."""
import concurrent.futures
import json
import os
import signal
import statistics
import subprocess
import threading
import time

from world import BIN, PARENT, World, boot_us, cpu_seconds, memory_mb, sleep, until

SMALL_WAIT_MS = 1000


def cli_revoke(world, timeout="60s"):
    """`tollgate token revoke --wait`, as an operator runs it: its receipt, and the time it took."""
    number = world.take()
    world.traffic.do("focus", numbers=[number])
    world.write(kind="request", token=number, change="revoke", at_us=boot_us())
    begun = time.monotonic()
    done = subprocess.run(
        [os.path.join(BIN, "tollgate"), "-o", "json", "token", "revoke", world.tokens[number]["name"], "--yes",
         "--reason", "fault run", "--wait", "--wait-timeout", timeout],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "TOLLGATE_SERVICE": world.address, "TOLLGATE_CONFIG": ""})
    took = (time.monotonic() - begun) * 1000
    at = boot_us()
    assert done.returncode == 0, f"{done.returncode}: {done.stdout} {done.stderr}"
    answer = json.loads(done.stdout)
    receipt = answer["receipt"]
    assert receipt["state"] == "enforced", receipt
    world.write(kind="done", token=number, change="revoke", epoch=receipt["epoch"], revision=int(answer["revision"]))
    world.write(kind="receipt", epoch=receipt["epoch"], revision=int(receipt["revision"]), state="ENFORCED", at_us=at)
    return receipt, took


def stop_some(world, edges, count, lease, rows):
    """A revocation with some of the validators stopped: one lease, and who lapsed by name."""
    asleep = edges[:count]
    for edge in asleep:
        edge.signal(signal.SIGSTOP)
    receipt, took = cli_revoke(world)
    sleep(0.3)  # requests that begin after the receipt wait in the sockets of those asleep
    for edge in asleep:
        edge.signal(signal.SIGCONT)
    assert receipt.get("acknowledged", 0) == len(edges) - count, receipt
    assert receipt.get("lapsed", 0) == count, receipt
    assert sorted(receipt["lapsed_validators"]) == sorted(edge.edge for edge in asleep), receipt
    assert took <= (lease + 1) * 1000, f"took {took:.0f} ms with a lease of {lease} s"
    rows.append((f"revoke --wait, {count} of {len(edges)} stopped, lease {lease} s", f"{took:.0f} ms",
                 f"ENFORCED: {receipt['acknowledged']} acknowledged, {count} lapsed, by name"))
    world.until_in_sync({edge.edge for edge in edges})


def revoke_and_note(world, count):
    times = [world.revoke()[1] for _ in range(count)]
    return statistics.median(times), max(times)


class Receipts:
    """One revocation after another in the background, each with its receipt's time."""

    def __init__(self, world, pause=0.1):
        self.world, self.pause, self.times, self.failure = world, pause, [], None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.stopped.wait(self.pause) and len(self.world.fresh) > 5:
                self.times.append(self.world.revoke()[1])
        except Exception as failure:  # told by stop(), on the caller's thread
            self.failure = failure

    def stop(self):
        self.stopped.set()
        self.thread.join()
        if self.failure is not None:
            raise self.failure
        return self.times


def fleet(short):
    """200 real validator processes: stopped, restarted, rolled; how long a receipt takes."""
    count, stopped = (24, 3) if short else (200, 5)
    rows = []
    with World("fleet", lease="5s", ping="1s", ack_limit="2s") as world:
        edges = [world.validator(f"fleet/edge-{i:03d}") for i in range(count)]
        names = {edge.edge for edge in edges}
        begun = time.monotonic()
        world.start_validators(edges)
        rows.append((f"{count} real validator processes", f"{time.monotonic() - begun:.1f} s to start",
                     f"{statistics.mean(memory_mb(edge.process.pid) for edge in edges):.0f} MB resident each, "
                     f"the service {memory_mb(world.service.process.pid):.0f} MB"))
        others, world.validators = world.validators, edges[:2] + edges[-2:]
        world.begin_traffic(tokens=200 if short else 1500, per_second=100)
        world.validators = others

        median, longest = revoke_and_note(world, 20)
        rows.append(("revoke and receipt, none stopped", f"{median:.1f} ms", f"of 20; the longest {longest:.1f} ms"))
        receipt, took = cli_revoke(world)
        assert receipt["acknowledged"] == count, receipt
        rows.append(("tollgate token revoke --wait, none stopped", f"{took:.0f} ms",
                     f"the whole command; {count} acknowledged"))

        world.service.kill()
        begun = time.monotonic()
        world.restart_service()
        ready = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            at_once = pool.submit(world.revoke)
            world.until_in_sync(names)
            back = time.monotonic()
            _, after = world.revoke()
            first_receipt, first = at_once.result()
        assert first_receipt.lapsed == 0 and first_receipt.acknowledged == count, first_receipt
        assert after < SMALL_WAIT_MS, after
        rows.append(("restart of the service (SIGKILL)", f"{(ready - begun) * 1000:.0f} ms until it serves",
                     f"all {count} back after {(back - ready) * 1000:.0f} ms more"))
        rows.append(("a receipt asked for as soon as it serves", f"{first:.0f} ms",
                     "waits for the roster to be back; none lapsed"))
        rows.append((f"a receipt with all {count} back", f"{after:.1f} ms", ""))

        receipts = Receipts(world)
        begun = time.monotonic()

        def roll(edge):
            assert edge.stop() == 0, edge.tail()
            edge.start()

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(roll, edges))
        rolled = time.monotonic() - begun
        world.until_in_sync(names)
        times = receipts.stop()
        assert max(times) < 2500, f"a receipt took {max(times):.0f} ms while the fleet was rolled"
        rows.append((f"rolling restart of all {count}, a goodbye each", f"{rolled:.1f} s",
                     f"{len(times)} receipts meanwhile: median {statistics.median(times):.1f} ms, "
                     f"the longest {max(times):.0f} ms"))
        stop_some(world, edges, stopped, 5, rows)
        if not short:
            world.service.stop()
            arguments = world.service.arguments
            for flag, value in (("--lease", "30s"), ("--ping-interval", "5s"), ("--ack-limit", "10s")):
                arguments[arguments.index(flag) + 1] = value
            world.restart_service()
            world.until_in_sync(names)
            # For its first seconds a service holds out for longer than a lease: what its predecessor
            # may have granted up to the write window's end (R16).
            sleep(6)
            stop_some(world, edges, stopped, 30, rows)
    world.figures = rows
    return world, f"{count} real validators"


class Sampler:
    """The service's memory and its view of how far the fleet lags, twice a second."""

    def __init__(self, world, prefix):
        self.world, self.prefix = world, prefix
        self.memory, self.lags, self.behind = [], [], []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while True:
            self.memory.append(memory_mb(self.world.service.process.pid))
            for validator in self.world.fleet_view():
                if validator.validator_id.startswith(self.prefix):
                    self.lags.append(validator.lag.seconds * 1000 + validator.lag.nanos / 1e6)
                    self.behind.append(validator.revisions_behind)
            if self.stopped.wait(0.5):
                return

    def stop(self):
        self.stopped.set()
        self.thread.join()


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def churn(world, fleet_tool, driver, tokens, events):
    """So many events, and what the others saw of them."""
    cpu = cpu_seconds(world.service.process.pid)
    sampler = Sampler(world, "fleet/")
    receipts = Receipts(world, pause=0.2)
    driver.do("churn", service=world.address, tokens=[token["name"] for token in tokens], events=events)
    spreads, lapsed = [], 0
    while True:
        track = fleet_tool.do("track", ms=500)
        spreads.append(track["spread_p99"])
        lapsed += track["lapsed_samples"]
        status = driver.do("churn_status")
        if not status["running"]:
            break
    times = receipts.stop()
    sampler.stop()
    assert status["done"] >= events * 0.999, status
    return {"seconds": status["took_ms"] / 1000, "events": status["done"], "memory": sampler.memory,
            "lag_p99": quantile(sampler.lags, 0.99), "lag_max": max(sampler.lags), "lapsed": lapsed,
            "spread": quantile(spreads, 0.99), "receipts": times,
            "cpu": cpu_seconds(world.service.process.pid) - cpu}


def slow(short):
    """Followers that never read while a million events pass: the service's memory, the others' delay."""
    events = 50_000 if short else 1_000_000
    others = 20
    with World("slow", lease="5s", ping="1s", ack_limit="2s") as world:
        sleeper, edge = world.validator("slow/stopped"), world.validator("slow/edge")
        world.start_validators([sleeper, edge])
        world.validators = [edge]
        world.begin_traffic(tokens=3000 if not short else 300, per_second=100)
        fleet_tool, driver = world.tool("tollgate-fleet"), world.tool("tollgate-traffic")
        fleet_tool.do("start", service=world.address, prefix="fleet/edge-", count=others)
        fleet_tool.do("await", count=others)
        tokens = driver.do("create", service=world.address, parent=PARENT, count=512)["tokens"]
        without = churn(world, fleet_tool, driver, tokens, events // 2)
        # Now three that never read: stopped, pinging but deaf, and silent and deaf.
        sleeper.signal(signal.SIGSTOP)
        fleet_tool.do("deaf", service=world.address, id="deaf/pings", pings=True)
        fleet_tool.do("deaf", service=world.address, id="deaf/silent", pings=False)
        until("the deaf have said hello", lambda: fleet_tool.do("status")["deaf_streams"] >= 2)
        with_slow = churn(world, fleet_tool, driver, tokens, events)
        sleeper.signal(signal.SIGCONT)
        world.until_in_sync({"slow/stopped"})
        world.revoke()
        status = fleet_tool.do("status")
        memory = with_slow["memory"]
        early, late = memory[len(memory) // 4], memory[-1]
        world.figures = []
        for name, run in (("without a slow follower", without), ("with three that never read", with_slow)):
            world.figures += [
                (f"{run['events']} events {name}", f"{run['events'] / run['seconds']:.0f}/s",
                 f"{run['seconds']:.0f} s, {run['cpu'] * 1e6 / run['events']:.0f} us of the service's CPU each"),
                ("  the service's memory", f"{run['memory'][-1]:.0f} MB",
                 f"at the start {run['memory'][0]:.0f}, at a quarter {run['memory'][len(run['memory']) // 4]:.0f}, "
                 f"at half {run['memory'][len(run['memory']) // 2]:.0f}, at most {max(run['memory']):.0f} MB"),
                (f"  lag of the {others} others, p99", f"{run['lag_p99']:.0f} ms",
                 f"at most {run['lag_max']:.0f} ms; the hindmost {run['spread']} revisions behind the foremost"),
                ("  receipts meanwhile, median", f"{statistics.median(run['receipts']):.0f} ms",
                 f"of {len(run['receipts'])}; the longest {max(run['receipts']):.0f} ms"),
            ]
        grown = {name: max(run["memory"]) - run["memory"][0] for name, run in (("without", without), ("with", with_slow))}
        assert grown["with"] <= grown["without"] + 40, f"the service grew by {grown} MB"
        assert with_slow["lapsed"] == 0, "one of the others lost its lease"
        assert status["resets"] == others, f"{status['resets']} resets of {others} followers: one was cut"
    return world, f"{events} events past followers that never read; memory {early:.0f} MB at a quarter, {late:.0f} at the end"


ALL = {"fleet": fleet, "slow": slow}
