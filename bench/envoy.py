#!/usr/bin/env python3
"""envoy.py [--seconds N] [--rounds N] [--connections N] [--bin BUILD]: what a check costs through the real Envoy.

Four Envoys on the recipe's own file (examples/envoy), each answering by itself in place of the service, so that nothing
else is measured:
  tollgate   asks tollgate-validator, which admits a token from memory
  same       asks yes_ext_authz, a server like ours that gives the same answer, made once, without reading what it is asked
  yes        asks one that says nothing but yes: no identity, nothing for the proxy to change
  none       asks nobody
They take turns, round by round, under the same load (wrk); the table of docs/performance.md goes to stdout: medians,
with their spread, and ratios within a round. Needs scripts/install-packages build test bench, and a build with
TOLLGATE_BUILD_BENCH=ON of tollgated, tollgate-validator, tollgate and yes_ext_authz.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "..")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="of one run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--bin", default=os.path.join(SOURCE, "build", "release"), help="the build's folder")
    return parser.parse_args()


def load(port, token, asked):
    """(requests a second, p99 in ms) of one run. Fails where an answer was not 2xx."""
    done = subprocess.run(
        ["wrk", "-t", "1", "-c", str(asked.connections), "-d", f"{asked.seconds}s", "--latency",
         "-H", f"authorization: Bearer {token}", f"http://127.0.0.1:{port}/v1/acme/items"],
        capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in done or "Socket errors" in done:
        sys.exit(f"not every request was admitted:\n{done}")
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", done).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1]), float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


def cpu_seconds(pid):
    """What a process has used so far; 0 where there is none."""
    if pid is None:
        return 0
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    asked = arguments()
    os.environ["TOLLGATE_BIN"] = os.path.join(asked.bin, "bin")
    os.environ["TOLLGATE_SOURCE"] = SOURCE
    sys.path.insert(0, os.path.join(SOURCE, "tests", "e2e"))
    from installation import Installation  # pylint: disable=import-error,import-outside-toplevel
    from real_envoy import FILTER, RECIPE, Envoy, recipe, replaced  # pylint: disable=import-error,import-outside-toplevel

    def answering(socket, *changes):
        text = recipe(socket, 1, *changes)
        route = 'match: {prefix: "/"}\n                route: {cluster: service}'
        return replaced(text, (route, route.replace("route: {cluster: service}", "direct_response: {status: 200}")))

    with tempfile.TemporaryDirectory(prefix="tg.", dir="/tmp") as home:
        tollgate = Installation(home)
        peers = {name: subprocess.Popen(
            [os.path.join(asked.bin, "bench", "yes_ext_authz"), f"unix:{home}/{name}.sock", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name, words in (("same", ["same"]), ("yes", []))}
        envoys = {}
        try:
            for peer in peers.values():
                assert peer.stdout.readline() == "ready\n"
            tollgate.start_service()
            edge = tollgate.start_validator("edge-1", "--policy", os.path.join(RECIPE, "policy.yaml"))
            _, token = tollgate.create("bench", "--scope", "items:read")
            for name, text in (("tollgate", answering(edge.socket)), ("same", answering(f"{home}/same.sock")),
                               ("yes", answering(f"{home}/yes.sock")),
                               ("none", FILTER.sub("", answering(edge.socket), count=1))):
                envoys[name] = Envoy(home, name, text, "--concurrency", "1").start()
            servers = {"tollgate": edge.process.pid, **{name: peer.pid for name, peer in peers.items()}, "none": None}
            runs = {name: [] for name in envoys}
            for envoy in envoys.values():
                load(envoy.port, token, argparse.Namespace(connections=asked.connections, seconds=1))
            for _ in range(asked.rounds):
                for name, envoy in envoys.items():
                    pids = (envoy.process.pid, servers[name])
                    before = [cpu_seconds(pid) for pid in pids]
                    rate, p99 = load(envoy.port, token, asked)
                    cpu = [(cpu_seconds(pid) - was) / (rate * asked.seconds) * 1e6 for pid, was in zip(pids, before)]
                    runs[name].append((rate, p99, *cpu))
        finally:
            for envoy in envoys.values():
                envoy.close()
            for peer in peers.values():
                peer.kill()
                peer.wait()
            tollgate.close()

    print(f"{asked.connections} connections, {asked.rounds} rounds of {asked.seconds} s, {os.cpu_count()} processors")
    print("| Envoy asks | requests/s | p99 | of `same` | of `yes` | of `none` | CPU of Envoy | of who is asked |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, seen in runs.items():
        rates = [run[0] for run in seen]
        ratios = [statistics.median(rate / other[0] for rate, other in zip(rates, runs[peer]))
                  for peer in ("same", "yes", "none")]
        print(f"| {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) "
              f"| {statistics.median(run[1] for run in seen):.2f} ms | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} "
              f"| {statistics.median(run[2] for run in seen):.0f} µs | {statistics.median(run[3] for run in seen):.0f} µs |")


if __name__ == "__main__":
    main()
