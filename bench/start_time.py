#!/usr/bin/env python3
"""How long a start takes on a store: from the process's beginning until it serves, and until its first answer.

  KEEP=/tmp/large TOKENS=10000000 build/release/bench/large_store_bench --benchmark_filter=Resolves/10000000
  start_time.py /tmp/large/store [RUNS]

Prints the median of RUNS starts (5), and what the process held then. The files stay in the page cache between them.
"""
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BIN = os.environ.get("TOLLGATE_BIN", os.path.join(os.path.dirname(__file__), "..", "build", "release", "bin"))


def start(store, home):
    """(seconds until it serves, megabytes that it holds then)"""
    ready = os.path.join(home, "ready")
    begun = time.monotonic()
    with open(os.path.join(home, "log"), "w", encoding="utf-8") as log:
        process = subprocess.Popen([os.path.join(BIN, "tollgated"), "--store", store, "--listen", "127.0.0.1:0",
                                    "--drain-pause", "0s", "--ready-file", ready], stderr=log)
    try:
        while not os.path.exists(ready):
            if process.poll() is not None:
                with open(os.path.join(home, "log"), encoding="utf-8") as log:
                    sys.exit(log.read())
            time.sleep(0.001)
        took = time.monotonic() - begun
        with open(ready, encoding="utf-8") as file:
            assert json.load(file)["listen"]
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as status:
            held = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
        return took, held / 1024
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def main():
    store, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as home:
        found = [start(store, home) for _ in range(runs)]
    took = [seconds for seconds, _ in found]
    print(f"start until it serves: median {statistics.median(took):.2f} s ({min(took):.2f} to {max(took):.2f}), "
          f"{statistics.median(held for _, held in found):.0f} MB resident then")


if __name__ == "__main__":
    main()
