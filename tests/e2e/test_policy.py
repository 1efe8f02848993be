"""tollgate policy: the page about it is true, and its exit codes are those that scripts go by."""
import json
import os
import re
import shlex
import subprocess

import pytest

from installation import BIN

SOURCE = os.environ["TOLLGATE_SOURCE"]


def page():
    with open(os.path.join(SOURCE, "docs", "policy.md"), encoding="utf-8") as file:
        return file.read()


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```", page(), re.M | re.S).group(1)


@pytest.fixture
def folder(home):
    with open(os.path.join(home, "edge.yaml"), "w", encoding="utf-8") as file:
        file.write(block("yaml"))
    return home


def run(folder, *arguments):
    done = subprocess.run([os.path.join(BIN, "tollgate"), *arguments], cwd=folder, capture_output=True, text=True,
                          timeout=30, env={**os.environ, "TOLLGATE_CONFIG": ""})
    return done.returncode, done.stdout, done.stderr


def test_what_the_page_shows_is_what_the_command_says(folder):
    session = re.search(r"^```\n(\$ tollgate policy test .*?)^```", page(), re.M | re.S).group(1)
    shown = re.findall(r"^\$ tollgate (.*)\n((?:(?!\$).*\n)*)", session, re.M)
    assert len(shown) == 2
    for command, output in shown:
        code, out, err = run(folder, *shlex.split(command))
        assert out == output, err
        assert code == (0 if output.startswith("allow") else 10)


def test_the_pages_own_example_has_nothing_to_find_but_what_it_warns_of(folder):
    code, out, _ = run(folder, "policy", "lint", "edge.yaml", "-o", "json")
    assert code == 10
    assert [finding["check"] for finding in json.loads(out)["findings"]] == ["credential-in-query"]
    code, out, _ = run(folder, "policy", "explain", "edge.yaml", "-o", "json")
    assert code == 0
    lines = block("yaml").splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("routes:"))
    wanted = [i + 1 for i, line in enumerate(lines) if i > begin and line.startswith("  - ")]
    assert [rule["line"] for rule in json.loads(out)["rules"]] == wanted


def test_every_reason_and_check_is_on_the_page(folder):
    with open(os.path.join(SOURCE, "tests", "unit", "policy", "bypasses.json"), encoding="utf-8") as file:
        wanted = {case["want"] for case in json.load(file)["cases"]} - {"admit", "NO_TOKEN"}
    told = set(re.findall(r"`([A-Z][A-Z_]+)`", page()))
    assert wanted <= told
    with open(os.path.join(SOURCE, "policy", "lint.cc"), encoding="utf-8") as file:
        checks = set(re.findall(r'Add\("([a-z-]+)"', file.read()))
    assert checks and checks <= set(re.findall(r"`([a-z-]+)`", page()))


def test_exit_codes_tell_a_refusal_from_a_mistake(folder):
    asked = ("policy", "test", "edge.yaml", "--host", "h", "--path")
    assert run(folder, *asked, "/healthz")[0] == 0
    assert run(folder, *asked, "/whoami", "--token-audiences", "items")[0] == 0
    assert run(folder, *asked, "/whoami")[0] == 10
    assert run(folder, *asked, "/nowhere", "--token")[0] == 10
    assert run(folder, *asked, "/docs/../whoami", "--token")[0] == 10
    assert run(folder, "policy", "test", "edge.yaml")[0] == 2
    assert run(folder, "policy", "lint", "none.yaml")[0] == 3
    with open(os.path.join(folder, "bad.yaml"), "w", encoding="utf-8") as file:
        file.write("version: 1\nroutes:\n  - methds: GET\n")
    code, out, err = run(folder, "policy", "test", "bad.yaml", "--path", "/")
    assert (code, out) == (2, "")
    assert "bad.yaml:3: route 1: `methds` is no key here; did you mean `methods`?" in err
