#!/usr/bin/env python3
"""nginx.py [--seconds N] [--rounds N] [--connections N] [--bin BUILD]: what a check costs through the real nginx.

Three nginx on the recipe's own file (examples/nginx), each serving a small file in place of the service, so that
nothing else is measured:
  tollgate   asks tollgate-validator, which admits a token from memory
  static     asks another nginx, on a Unix socket too, which says 200 to everything
  none       asks nobody
They take turns, round by round, under the same load (wrk); the table of docs/performance.md goes to stdout: medians,
with their spread, and ratios within a round. Needs scripts/install-packages build test bench, and a build of tollgated,
tollgate-validator and tollgate.
"""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "..")
STATIC = """\
worker_processes 1;
events {{}}
http {{
    access_log off;
    server {{ listen unix:{socket}; keepalive_requests 100000000; location / {{ return 200; }} }}
}}
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="of one run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--bin", default=os.path.join(SOURCE, "build", "release"), help="the build's folder")
    return parser.parse_args()


def load(address, token, asked, seconds):
    """(requests a second, p99 in ms) of one run. Fails where an answer was not 2xx."""
    done = subprocess.run(
        ["wrk", "-t", "1", "-c", str(asked.connections), "-d", f"{seconds}s", "--latency",
         "-H", f"authorization: Bearer {token}", f"http://{address}/v1/x"],
        capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in done or "Socket errors" in done:
        sys.exit(f"not every request was admitted:\n{done}")
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", done).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1]), float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


def cpu_seconds(pids):
    """What these processes have used so far."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def workers(pid):
    """The processes of an nginx."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [pid, *map(int, file.read().split())]


class Nginx:
    """A real one, on this configuration."""

    def __init__(self, folder, text):
        os.makedirs(folder)
        with open(os.path.join(folder, "nginx.conf"), "w", encoding="utf-8") as file:
            file.write(text)
        user = "user root;" if os.geteuid() == 0 else ""
        self.process = subprocess.Popen(
            ["nginx", "-p", folder, "-e", os.path.join(folder, "error"), "-c", "nginx.conf",
             "-g", f"daemon off; pid {folder}/pid; {user}"], stdin=subprocess.DEVNULL)

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=30)


def recipe(folder, address, changes):
    """The recipe, with a file in place of the service."""
    with open(os.path.join(SOURCE, "examples", "nginx", "nginx.conf"), encoding="utf-8") as file:
        text = file.read()
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                         ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    changes = {"127.0.0.1:8080": address, "proxy_pass http://service;": f"root {os.path.dirname(folder)}; try_files /ok =404;",
               "http {": f"http {{ access_log off; keepalive_requests 100000000; {temporary}", **changes}
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def main():
    asked = arguments()
    os.environ["TOLLGATE_BIN"] = os.path.join(asked.bin, "bin")
    sys.path.insert(0, os.path.join(SOURCE, "tests", "e2e"))
    from installation import Installation, until  # pylint: disable=import-error,import-outside-toplevel
    from proxies import Connection, free_port, request  # pylint: disable=import-error,import-outside-toplevel

    with tempfile.TemporaryDirectory(prefix="tg.", dir="/tmp") as home:
        tollgate = Installation(home)
        programs, addresses = [], {}
        try:
            with open(os.path.join(home, "ok"), "w", encoding="utf-8") as file:
                file.write("ok\n")
            policy = shutil.copy(os.path.join(SOURCE, "examples", "nginx", "policy.yaml"), home)
            tollgate.start_service()
            edge = tollgate.start_validator("edge-1", "--policy", policy, "--http-listen", f"unix:{home}/http.sock")
            _, token = tollgate.create("bench")
            programs.append(Nginx(f"{home}/yes", STATIC.format(socket=f"{home}/yes.sock")))
            for name, changes in (("tollgate", {"unix:/run/tollgate/http.sock": edge.ready["http"][0]}),
                                  ("static", {"unix:/run/tollgate/http.sock": f"unix:{home}/yes.sock"}),
                                  ("none", {"auth_request /_tollgate;": ""})):
                addresses[name] = f"127.0.0.1:{free_port()}"
                programs.append(Nginx(f"{home}/{name}", recipe(f"{home}/{name}", addresses[name], changes)))

            def serves(address):
                try:
                    with Connection(address) as connection:
                        return connection.ask(request("GET /v1/x", "api", token=token)).status == 200
                except OSError:
                    return False

            for name, address in addresses.items():
                until(f"{name} serves", lambda address=address: serves(address))
                load(address, token, asked, 1)
            asks = {"tollgate": [edge.process.pid], "static": workers(programs[0].process.pid), "none": []}
            measured = {name: [] for name in addresses}
            for _ in range(asked.rounds):
                for name, address in addresses.items():
                    before = cpu_seconds(asks[name])
                    rate, p99 = load(address, token, asked, asked.seconds)
                    cost = (cpu_seconds(asks[name]) - before) / (rate * asked.seconds)
                    measured[name].append((rate, p99, cost))
        finally:
            for program in programs:
                program.close()
            tollgate.close()

    print("| nginx asks | requests/s | spread | p99 | of static | of none | CPU of whom it asks, a request |\n"
          "| --- | --- | --- | --- | --- | --- | --- |")
    for name, runs in measured.items():
        rates = [rate for rate, _, _ in runs]
        ratio = {other: statistics.median(mine / theirs for (mine, _, _), (theirs, _, _) in zip(runs, measured[other]))
                 for other in ("static", "none")}
        print(f"| {name} | {statistics.median(rates):,.0f} | {min(rates):,.0f} to {max(rates):,.0f} "
              f"| {statistics.median(p99 for _, p99, _ in runs):.1f} ms | {ratio['static']:.2f} | {ratio['none']:.2f} "
              f"| {statistics.median(cost for _, _, cost in runs) * 1e6:.0f} µs |")


if __name__ == "__main__":
    main()
