"""docs/metrics.md is what both programs show.

Run as a program with --update it writes the tables anew:
TOLLGATE_BIN=build/release/bin .cache/venv/bin/python tests/e2e/test_metrics.py --update
"""
import os
import re
import sys
import tempfile

from authority import Authority
from installation import Installation, until
from proxies import Connection, nginx, write_policy

SOURCE = os.environ.get("TOLLGATE_SOURCE") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
PAGE = os.path.join(SOURCE, "docs", "metrics.md")
PROGRAMS = ("tollgated", "tollgate-validator")
# Where names of metrics stand in the source.
ROOMS = ("net", "service", "validator")
HEAD = "| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n"


def families(text):
    """Of each family its name, type, labels and help, as the exposition format has them."""
    found, kinds, helps = {}, {}, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, meaning = line.split(" ", 3)
            helps[name] = meaning
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            kinds[name] = kind
            found.setdefault(name, set())
        elif line and not line.startswith("#"):
            series = line.rpartition(" ")[0]
            name, _, labels = series.partition("{")
            if name not in kinds:
                name = re.sub(r"_(bucket|sum|count)$", "", name)
            found[name] |= set(re.findall(r'(\w+)="', labels)) - {"le", "quantile"}
    return [(name, kinds[name], tuple(sorted(labels)), helps.get(name, ""))
            for name, labels in sorted(found.items())]


def table(rows):
    return HEAD + "".join(
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning} |\n"
        for name, kind, labels, meaning in rows)


def begin(program):
    return f"<!-- {program}: written by tests/e2e/test_metrics.py --update -->\n"


def documented(page, program):
    """The text of a program's table, to the first line that is none of it."""
    rest = page.partition(begin(program))[2]
    return re.match(r"(?:\|.*\n)*", rest).group(0)


def shown(tollgate):
    """What both programs show once each has done something of every kind."""
    service = tollgate.start_service()
    certificate, key = Authority(tollgate.home).issue("edge-1", "IP:127.0.0.1")
    edge = tollgate.start_validator("edge-1", "--policy", write_policy(tollgate.home), "--http-listen",
                                    f"unix:{tollgate.home}/http.sock", "--http-listen", "127.0.0.1:0", "--tls-cert",
                                    certificate, "--tls-key", key)
    with Connection(edge.ready["http"][0]) as proxy:
        assert proxy.ask(nginx("GET", "/healthz")).status == 200
    _, secret = tollgate.create("a")
    tollgate.check(edge, secret)
    texts = {"tollgated": service, "tollgate-validator": edge}
    until("an RPC is counted", lambda: "tollgate_rpcs_total{" in tollgate.metrics(service))
    return {program: families(tollgate.metrics(process)) for program, process in texts.items()}


# Names of ours that are no metric's: the context extension of a route of Envoy.
OTHER_NAMES = {"tollgate_requirement"}


def named_in_source():
    names = {}
    for room in ROOMS:
        for folder, _, files in os.walk(os.path.join(SOURCE, room)):
            for file in files:
                if file.endswith((".h", ".cc")):
                    path = os.path.join(folder, file)
                    with open(path, encoding="utf-8") as text:
                        for name in re.findall(r'"(tollgate_[a-z_]+)"', text.read()):
                            names[name] = os.path.relpath(path, SOURCE)
    return {name: path for name, path in names.items() if name not in OTHER_NAMES}


def read_page():
    with open(PAGE, encoding="utf-8") as file:
        return file.read()


def test_the_tables_are_what_the_programs_show(tollgate):
    page = read_page()
    for program, rows in shown(tollgate).items():
        assert len(rows) > 10, f"{program} shows hardly anything"
        assert documented(page, program) == table(rows), (
            f"docs/metrics.md is not what {program} shows. See tests/e2e/test_metrics.py --update")
        for name, _, _, meaning in rows:
            assert meaning, f"{name} says nothing of itself"


def test_every_name_in_the_source_is_in_a_table():
    names = named_in_source()
    assert len(names) > 40
    page = read_page()
    missing = {name: path for name, path in names.items() if f"| `{name}` |" not in page}
    assert not missing, "a metric that no run of the test above has shown, or no metric"


def test_what_operators_are_told_to_watch_is_there():
    with open(os.path.join(SOURCE, "docs", "operations.md"), encoding="utf-8") as file:
        told = set(re.findall(r"tollgate_[a-z_]+[a-z]", file.read()))
    page = read_page()
    assert told, "docs/operations.md names no metric any more"
    unknown = {name for name in told if f"| `{name}` |" not in page}
    assert not unknown


def test_the_reader_of_pages():
    rows = families('# HELP a_total What it is\n# TYPE a_total counter\na_total{x="1",y="2"} 3\n'
                    '# HELP b_seconds Took\n# TYPE b_seconds histogram\nb_seconds_bucket{m="x",le="1"} 1\n'
                    'b_seconds_sum{m="x"} 1\nb_seconds_count{m="x"} 1\n')
    assert rows == [("a_total", "counter", ("x", "y"), "What it is"), ("b_seconds", "histogram", ("m",), "Took")]
    page = "text\n" + begin("tollgated") + table(rows) + "\nmore\n"
    assert documented(page, "tollgated") == table(rows)
    assert documented(page, "tollgate-validator") == ""


def update():
    with tempfile.TemporaryDirectory(prefix="tg.", dir="/tmp") as home:
        installation = Installation(home)
        try:
            tables = {program: table(rows) for program, rows in shown(installation).items()}
        finally:
            installation.close()
    page = read_page()
    for program in PROGRAMS:
        assert begin(program) in page, f"{PAGE} has no place for {program}"
        page = page.replace(begin(program) + documented(page, program), begin(program) + tables[program])
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(page)


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit("usage: test_metrics.py --update")
    update()
