"""`make run`: a store that is kept or thrown away, and nothing left behind however it ends."""
import os
import signal
import socket
import subprocess
import sys

import pytest

from installation import BIN, until
from run import SOURCE, Run

DEMO = [sys.executable, os.path.join(SOURCE, "scripts", "demo"), "--keep-running"]


def running(home):
    """The pids of this run's daemons."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                words = file.read().split("\0")
        except OSError:  # it has ended
            continue
        if words[0].startswith(f"{BIN}/tollgate") and any(word.startswith(home) for word in words):
            found.append(pid)
    return found


def home_of(run):
    """Where a running one keeps its things."""
    line = next(line for line in run.process.stdout if line.startswith("Store and logs: "))
    return line.removeprefix("Store and logs: ").split(",")[0]


def test_a_store_that_is_kept_is_gone_on_with(home):
    kept = os.path.join(home, "kept store")
    run = Run(home, "--store", kept)
    try:
        token = run.sh('tollgate token create --label stays --quiet').strip()
        service = run.sh("echo $TOLLGATE_SERVICE").strip()
    finally:
        said = run.stop()
    assert f"Store and logs: {kept}, kept when this ends" in said and os.path.isdir(os.path.join(kept, "store"))
    run = Run(home, "--store", kept)
    try:
        assert "stays" in run.sh("tollgate token list")
        assert "admitted" in run.sh(f"printf '%s\\n' {token} | tollgate token check")
        assert run.sh("echo $TOLLGATE_SERVICE").strip() == service, "who knows where it was finds it there again"
    finally:
        run.stop()
    host, port = service.split(":")
    with socket.create_server((host, int(port))):
        run = Run(home, "--store", kept)
        try:
            assert "stays" in run.sh("tollgate token list")
        finally:
            run.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_of_one_that_is_thrown_away(home, number):
    run = Run(home)
    folder = home_of(run)
    assert len(running(folder)) == 2
    said, code = run.end(number)
    assert code == (0 if number == signal.SIGINT else 128 + number), said
    assert "Traceback" not in said, said
    assert not os.path.exists(folder) and not os.path.exists(run.env)
    assert running(folder) == []


def test_ctrl_c_as_it_starts_is_an_end_like_another(home):
    process = subprocess.Popen([*DEMO, "--env", f"{home}/run.env"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env={**os.environ, "TOLLGATE_BIN": BIN, "TMPDIR": home})
    assert process.stdout.readline().startswith("starting")
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode in (0, 130) and "Traceback" not in said, said
    assert not os.path.exists(f"{home}/run.env")


def test_killed_its_daemons_end_and_its_store_is_gone_on_with(home):
    kept = os.path.join(home, "kept")
    run = Run(home, "--store", kept)
    token = run.sh("tollgate token create --label stays --quiet").strip()
    run.end(signal.SIGKILL)
    until("the daemons have ended", lambda: running(kept) == [], patience=30)
    run = Run(home, "--store", kept)
    try:
        assert "admitted" in run.sh(f"printf '%s\\n' {token} | tollgate token check")
    finally:
        run.stop()


def test_a_folder_is_one_runs_alone(home):
    kept = os.path.join(home, "kept")
    run = Run(home, "--store", kept)
    try:
        before = {name: os.stat(os.path.join(kept, name)).st_size for name in os.listdir(kept)}
        second = subprocess.run([*DEMO, "--store", kept, "--env", run.env], capture_output=True, text=True, timeout=60,
                                check=False, env={**os.environ, "TOLLGATE_BIN": BIN})
        assert second.returncode == 1 and f"(pid {run.process.pid}) uses {kept}" in second.stderr, second.stderr
        assert before.keys() == set(os.listdir(kept)) and os.path.getsize(f"{kept}/commands.txt") == before["commands.txt"]
        assert "in sync" in run.sh("tollgate validators list")
        # Another store's, that is told to write the same file: the first one's end leaves it there.
        other = Run(home, "--store", os.path.join(home, "other"))
        until("it has written its own", lambda: str(other.process.pid) in open(run.env, encoding="utf-8").read())
        run.stop()
        assert "in sync" in other.sh("tollgate validators list")
        other.stop()
    finally:
        run.end(signal.SIGINT)


def test_what_no_run_made_is_left_alone(home):
    mine = os.path.join(home, "mine")
    os.makedirs(mine)
    with open(os.path.join(mine, "settings.toml"), "w", encoding="utf-8") as file:
        file.write("mine\n")
    for folder, why in ((mine, "is not empty"), (os.path.join(home, "x" * 110), "too long a path")):
        refused = subprocess.run([*DEMO, "--store", folder, "--env", f"{home}/run.env"], capture_output=True, text=True, timeout=60,
                                 check=False, env={**os.environ, "TOLLGATE_BIN": BIN})
        assert refused.returncode == 1 and why in refused.stderr, refused.stderr
    assert os.listdir(mine) == ["settings.toml"] and not os.path.exists(os.path.join(home, "x" * 110))


def test_make_takes_a_folder_whose_name_has_a_space():
    shown = subprocess.run(["make", "-s", "-n", "run", "STORE=/tmp/a b"], capture_output=True, text=True, timeout=60, check=False,
                           cwd=SOURCE)
    assert shown.returncode == 0, shown.stderr
    last = shown.stdout.splitlines()[-1].replace("scripts/demo", "printf '%s|'")
    words = subprocess.run(["sh", "-c", last], capture_output=True, text=True, timeout=60, check=True,
                           env={**os.environ, "STORE": "/tmp/a b"}).stdout
    assert words == "--keep-running|--store|/tmp/a b|", words
