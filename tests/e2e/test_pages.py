"""What the pages say to paste is pasted, and prints what they show.

Of a page the blocks fenced as `bash` are run in one shell, in order, as they stand; a block without a language right behind
one is what it prints, among other lines. There a run of digits stands for any number, `…` for any text, an id for any id, and
`just now` for some seconds, too.
"""
import os
import re
import subprocess

from installation import BIN
from proxies import free_port
from run import Run

SOURCE = os.environ["TOLLGATE_SOURCE"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
NOW = "just now"
ID = r"(?<![0-9A-Za-z])(?=[0-9A-Za-z]*\d)(?=[0-9A-Za-z]*[A-Z])[0-9A-Za-z]{16}(?![0-9A-Za-z])"


def blocks(page):
    """[(what is pasted, [the lines that it is said to print])]"""
    with open(os.path.join(SOURCE, page), encoding="utf-8") as file:
        text = file.read()
    found, before = [], None
    for match in BLOCK.finditer(text):
        if match[1] == "bash":
            found.append((match[2], []))
        elif match[1] == "" and before is not None and before[1] == "bash" and match.start() == before.end():
            found[-1][1].extend(match[2].splitlines())
        before = match
    return found


def pattern(line):
    """A regular expression for a line as a page shows it."""
    line = re.sub(ID, "\0", line.strip())
    parts = []
    for part in re.split(rf"(\0|…|{NOW}|\d+(?:\.\d+)?)", line):
        parts.append(r"[0-9A-Za-z]{16}" if part == "\0" else ".*" if part == "…" else rf"(?:{NOW}|\d+ s ago)" if part == NOW
                     else r"\d+(?:\.\d+)?" if part[:1].isdigit() else re.sub(r"(?:\\ |\s)+", r"\\s+", re.escape(part)))
    return re.compile(r"^\s*" + "".join(parts) + r"\s*$")


def check(page, environment, **replaced):
    """Pastes the page's blocks, with the words that stand for places in a checkout replaced by those of here."""
    pasted = blocks(page)
    assert pasted, "there is nothing to paste"
    script = "".join(f"echo '=== {i}'\n{text}" for i, (text, _) in enumerate(pasted))
    for words, here in replaced.items():
        assert words in script, f"{page} has no {words}"
        script = script.replace(words, here)
    script += "\nkill $(jobs -p) 2>/dev/null; wait\n"
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, timeout=120, check=False, cwd=SOURCE,
                          env=environment)
    printed = re.split(r"^=== \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert len(printed) == len(pasted), f"{done.stdout}\n{done.stderr}"
    assert "refused: " not in done.stderr and "tollgate: " not in done.stderr, done.stderr
    for (text, shown), lines in zip(pasted, printed):
        rest = lines.splitlines()
        for line in shown:
            if not line.strip():
                continue
            at = next((n for n, other in enumerate(rest) if pattern(line).match(other)), None)
            assert at is not None, f"{page} shows\n  {line}\nof\n{text}which printed\n{lines}\n{done.stderr}"
            rest = rest[at + 1:]


def test_the_readme_prints_what_it_shows(home):
    listen, metrics = free_port(), free_port()
    check("README.md", {
        "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": home, "TMPDIR": home, "LC_ALL": "C.UTF-8",
        "TOLLGATED_LISTEN": f"127.0.0.1:{listen}", "TOLLGATED_METRICS_LISTEN": f"127.0.0.1:{metrics}",
        "TOLLGATE_SERVICE": f"127.0.0.1:{listen}", "TOLLGATE_VALIDATOR_SERVICE": f"127.0.0.1:{listen}",
        "TOLLGATE_VALIDATOR_METRICS_LISTEN": "127.0.0.1:0", "TOLLGATE_CONFIG": "",
    }, **{"$PWD/build/release/bin": BIN})


def test_the_page_of_workspaces_prints_what_it_shows(home):
    run = Run(home)
    try:
        check("docs/workspaces.md", {"PATH": os.environ["PATH"], "HOME": home, "LC_ALL": "C.UTF-8", "BASH_ENV": run.env})
    finally:
        run.stop()


def test_the_quick_start_prints_what_it_shows(home):
    run = Run(home)
    try:
        check("docs/quick-start.md", {"PATH": os.environ["PATH"], "HOME": home, "LC_ALL": "C.UTF-8"},
              **{"build/run.env": run.env})
    finally:
        said = run.stop()
    assert f". {run.env}\n" in said
    thrown_away = re.search(r"Store and logs: (\S+), thrown away when this ends", said).group(1)
    assert not os.path.exists(thrown_away) and not os.path.exists(run.env)
