#!/usr/bin/env python3
"""weight.py [BIN]: what both programs weigh while they do nothing. BIN is build/release/bin, unless it is named.

A service with an empty store and one validator that follows it, both as their flags leave them, on free ports and in a
folder of their own; the table of docs/performance.md goes to stdout.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE_SECONDS = 30


def start(binary, home, name, *arguments):
    ready = os.path.join(home, f"{name}.ready")
    with open(os.path.join(home, f"{name}.log"), "wb") as log:
        process = subprocess.Popen([binary, *arguments, "--ready-file", ready], stderr=log)
    for _ in range(PATIENCE_SECONDS * 100):
        if os.path.exists(ready):
            with open(ready, encoding="utf-8") as file:
                return process, json.load(file)
        if process.poll() is not None:
            break
        time.sleep(0.01)
    with open(os.path.join(home, f"{name}.log"), encoding="utf-8") as log:
        sys.exit(f"{name} did not start:\n{log.read()}")


def has_joined(home):
    with open(os.path.join(home, "validator.log"), encoding="utf-8") as log:
        return "in sync" in log.read()


def weight(process):
    """(threads, resident kB, open descriptors)"""
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        status = dict(line.split(":", 1) for line in file)
    return (int(status["Threads"]), int(status["VmRSS"].split()[0]), len(os.listdir(f"/proc/{process.pid}/fd")))


def folder_bytes(path):
    """(apparent, allocated)"""
    files = [os.lstat(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names]
    return sum(file.st_size for file in files), sum(file.st_blocks * 512 for file in files)


def main(arguments):
    here = os.path.dirname(os.path.abspath(__file__))
    binaries = arguments[0] if arguments else os.path.join(here, "..", "build", "release", "bin")
    with tempfile.TemporaryDirectory(prefix="tg.") as home:
        store = os.path.join(home, "store")
        service, ready = start(os.path.join(binaries, "tollgated"), home, "service", "--store", store,
                               "--listen", "127.0.0.1:0", "--admin", "local", "--metrics-listen", "127.0.0.1:0")
        validator, _ = start(os.path.join(binaries, "tollgate-validator"), home, "validator",
                             "--service", ready["listen"][0], "--id", "weight", "--listen", "127.0.0.1:0",
                             "--metrics-listen", "127.0.0.1:0")
        for _ in range(PATIENCE_SECONDS * 100):
            if has_joined(home):
                break
            time.sleep(0.01)
        rows = [("`tollgated`", weight(service)), ("`tollgate-validator`", weight(validator))]
        apparent, allocated = folder_bytes(store)
        for process in (validator, service):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=PATIENCE_SECONDS)
    print(f"on {os.cpu_count()} processors")
    print("| program | threads | resident | open descriptors |\n| --- | ---: | ---: | ---: |")
    for name, (threads, resident, descriptors) in rows:
        print(f"| {name} | {threads} | {resident / 1024:.0f} MB | {descriptors} |")
    print(f"an empty store: {allocated / 1e6:.1f} MB on disk, {apparent / 1e6:.2f} MB of files")


if __name__ == "__main__":
    main(sys.argv[1:])
