#!/usr/bin/env python3
"""What one workspace with many tokens costs its owner: lists, filters, counted revocation, and the purge of what ended.

  many_tokens.py [--tokens 100000] [--rounds 5] [--bin build/release/bin]

Fills a store of its own through the real service, and times the real command as a person runs it: medians, and beside
each the ratio to the floor of the same minute, a gRPC client that only reads the same pages and prints nothing. With
--bin of another build the same is measured there (what that build does not know is left out).
"""
import argparse
import collections
import os
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
OWNERS = 10


def fill(client, tokens):
    begun = time.monotonic()
    under_way = collections.deque()
    for i in range(tokens):
        if len(under_way) >= 256:
            under_way.popleft().result()
        under_way.append(client.future("TokenService/CreateToken", parent="workspaces/acme", token={
            "label": f"integration {i * 7919 % tokens}", "owner": f"team-{i % OWNERS}", "scopes": ["deploy:write"]}))
    for call in under_way:
        call.result()
    return time.monotonic() - begun


def pages(client):
    """Reads all pages, as the command does."""
    token = ""
    while True:
        page = client.call("TokenService/ListTokens", parent="workspaces/acme", page_size=1000, page_token=token)
        token = page.next_page_token
        if not token:
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bin", default=os.path.join(SOURCE, "build", "release", "bin"))
    arguments = parser.parse_args()
    os.environ.update(TOLLGATE_BIN=os.path.abspath(arguments.bin), TOLLGATE_SOURCE=SOURCE)
    sys.path.insert(0, os.path.join(SOURCE, "tests", "e2e"))
    from installation import Installation  # pylint: disable=import-error,import-outside-toplevel

    with tempfile.TemporaryDirectory(prefix="tg.", dir="/tmp") as home:
        tollgate = Installation(home)
        try:
            tollgate.start_service()
            client = tollgate.client()
            took = fill(client, arguments.tokens)
            print(f"{arguments.tokens} tokens made in {took:.0f} s by one Python client")

            def run(*words, code=0):
                begun = time.monotonic()
                done = subprocess.run([os.path.join(arguments.bin, "tollgate"), *words], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, check=False, env={
                                          **os.environ, "TOLLGATE_SERVICE": tollgate.address, "TOLLGATE_WORKSPACE": "acme",
                                          "TOLLGATE_CONFIG": ""})
                return (time.monotonic() - begun, done) if done.returncode == code else (None, done)

            def floor():
                begun = time.monotonic()
                pages(client)
                return time.monotonic() - begun

            for name, words in (("list", ["token", "list"]), ("list -o json", ["-o", "json", "token", "list"]),
                                ("list -o csv", ["-o", "csv", "token", "list"]), ("list -q", ["-q", "token", "list"]),
                                ("list --sort last-used", ["token", "list", "--sort", "last-used"]),
                                ("list --label 4242", ["token", "list", "--label", "4242"]),
                                ("list --unused-for 30d", ["token", "list", "--unused-for", "30d"]),
                                ("revoke --all --owner … --dry-run", ["token", "revoke", "--all", "--owner", "team-3", "--dry-run"]),
                                ("doctor store", ["doctor", "store"])):
                timed, floors = [], []
                for _ in range(arguments.rounds):
                    floors.append(floor())
                    timed.append(run(*words))
                failed = next((done for seconds, done in timed if seconds is None), None)
                if failed is not None:
                    print(f"{name:<34} not measured: {failed.stderr.decode().splitlines()[0]}")
                    continue
                seconds = statistics.median(seconds for seconds, _ in timed)
                print(f"{name:<34} {seconds * 1000:8.0f} ms   {seconds / statistics.median(floors):5.2f} of reading the pages "
                      f"({statistics.median(floors) * 1000:.0f} ms)", flush=True)

            seconds, done = run("token", "revoke", "--all", "--owner", "team-3", "--yes")
            print(f"{'revoke --all --owner … --yes':<34} {seconds * 1000:8.0f} ms   {done.stdout.decode().strip()}")
            run("token", "revoke", "--all", "--yes", "--workspace", "acme")
            begun = time.monotonic()
            seconds, done = run("workspace", "set-policy", "acme", "--ended-retention", "1s", "--yes")
            if seconds is None:
                print(f"purge                              not measured: {done.stderr.decode().splitlines()[0]}")
                return
            purged = 0
            while purged < arguments.tokens:
                time.sleep(0.2)
                _, done = run("-o", "json", "doctor", "store")
                purged = int(next(line for line in done.stdout.decode().splitlines() if "purged_tokens" in line).split()[1].strip(","))
            print(f"{'purge of all':<34} {(time.monotonic() - begun) * 1000:8.0f} ms")
        finally:
            tollgate.close()


if __name__ == "__main__":
    main()
