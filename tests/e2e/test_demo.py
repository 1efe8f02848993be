"""scripts/demo under a caller's own configuration, and the commands that repeat it."""
import os
import re
import shutil
import subprocess

import pytest

SOURCE = os.environ["TOLLGATE_SOURCE"]
TOKEN_STRING = re.compile(r"tg[waor]_[0-9A-Za-z]{65}")


@pytest.fixture
def hostile(home):
    """The environment of somebody whose Tollgate is elsewhere; each of these breaks the demo where it is followed."""
    folder = os.path.join(home, ".config", "tollgate")
    os.makedirs(folder)
    with open(os.path.join(folder, "config.toml"), "w", encoding="utf-8") as file:
        file.write('tls-ca = "/etc/prod-ca.pem"\nservice = "127.0.0.1:1"\noutput = "json"\n')
    kept = {name: value for name, value in os.environ.items() if name != "XDG_CONFIG_HOME"}
    return {**kept, "HOME": home, "TOLLGATE_TLS_CA": "/etc/prod-ca.pem", "TOLLGATE_OUTPUT": "json",
            "TOLLGATED_CONFIG": "/nonexistent.toml", "TOLLGATED_TLS_CERT": "/etc/prod.pem",
            "TOLLGATE_VALIDATOR_BRAND": "other", "TOLLGATE_CONFIG": f"{folder}/config.toml"}


def run(command, environment, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment, **more)


def test_demo_and_its_commands(hostile):
    shown = run([os.path.join(SOURCE, "scripts", "demo")], hostile)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    folder = re.search(r"by hand: (/tmp/tollgate-demo\.\w+)", shown.stdout).group(1)
    try:
        with open(os.path.join(folder, "commands.txt"), encoding="utf-8") as file:
            commands = file.read()
        assert not TOKEN_STRING.search(commands)
        assert "127.0.0.1:0" not in commands  # the real ports
        pasted = run(["bash", "-s"], hostile, input=commands)
    finally:
        shutil.rmtree(folder)
    told = pasted.stdout
    assert pasted.returncode == 0, told + pasted.stderr
    assert pasted.stderr == ""
    assert not TOKEN_STRING.search(told)
    assert re.search(r'^7  proxy +refused by an nginx .* 401 invalid_token, "revoked"', shown.stdout, re.MULTILINE)
    # The same seven steps, in the same order.
    steps = [r"^\w{16}$", r"^admitted +workspaces/acme/tokens/\w{16}", r"^\w{16}$", r"^admitted", r"^revoked +revision",
             r"^admitted", r"^\w{16}$", r"^admitted", r"^admitted", r"^state +revoked", r"^admitted",
             r"^refused +revoked", r"^admitted +200 ", r"^revoked +revision",
             r"^enforced +everywhere: 1 acknowledged", r"^refused +revoked", r"^refused +401 +invalid_token +revoked"]
    lines = iter(told.splitlines())
    for expected in steps:
        assert any(re.search(expected, line) for line in lines), f"{expected} is missing, in order, from\n{told}"
