"""Token strings that leaked into files: found, confirmed, revoked, and refused at the edge from then on."""
import json
import os
import re
import subprocess

import yaml

from installation import ADMIT, BIN, REVOKED

SOURCE = os.environ["TOLLGATE_SOURCE"]
EXAMPLES = os.path.join(SOURCE, "examples", "leaks")
GITLEAKS = os.path.join(SOURCE, ".cache", "bin", "gitleaks")
BUFFER = 256 << 10  # what the command reads at once


def holds_no_part_of(text, secret):
    hidden = secret[secret.index("_") + 17:]
    return all(hidden[i:i + 6] not in text for i in range(len(hidden) - 5))


def test_what_leaked_is_found_and_revoked(tollgate, tmp_path):
    tollgate.start_service()
    edge = tollgate.start_validator()
    plain, plain_secret = tollgate.create("in a file")
    border, border_secret = tollgate.create("across a border")
    ended, ended_secret = tollgate.create("revoked before")
    kept, kept_secret = tollgate.create("did not leak")
    tollgate.cli("token", "revoke", ended, "--yes")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "ci.env").write_text(f"A=1\nTOKEN={plain_secret}\nOLD={ended_secret}\n")
    (tmp_path / "app" / "core.dump").write_bytes(bytes(BUFFER - 20) + border_secret.encode() + bytes(5000))
    (tmp_path / "typo.txt").write_text(kept_secret[:-1] + ("0" if kept_secret[-1] != "0" else "1"))
    for secret in (plain_secret, border_secret, kept_secret):
        assert tollgate.check(edge, secret) == ADMIT

    seen = tollgate.cli("scan", tmp_path, code=10, as_json=False)
    lines = seen.stdout.splitlines()
    assert lines == [f"{tmp_path}/app/ci.env:2:7   workspace token {plain}",
                     f"{tmp_path}/app/ci.env:3:5   workspace token {ended}",
                     f"{tmp_path}/app/core.dump:1:{BUFFER - 19}   workspace token {border}"]
    assert "found 3 tokens in 3 places; 3 files, " in seen.stderr
    assert tollgate.check(edge, plain_secret) == ADMIT, "looking revokes nothing"

    answer = tollgate.cli("scan", tmp_path, "--revoke", "--yes", "--wait", code=10)
    assert [found["outcome"] for found in answer["findings"]] == ["revoked", "had-ended", "revoked"]
    assert answer["receipt"]["state"] == "enforced"
    assert tollgate.check(edge, plain_secret) == REVOKED
    assert tollgate.check(edge, border_secret) == REVOKED
    assert tollgate.check(edge, kept_secret) == ADMIT
    told = json.dumps(answer) + seen.stdout + seen.stderr
    assert all(holds_no_part_of(told, secret) for secret in tollgate.secrets)
    entries = tollgate.cli("token", "history", plain)["entries"]
    assert any(entry.get("reason") == f"found by tollgate scan in {tmp_path}/app/ci.env:2" for entry in entries), entries

    # Another installation's.
    strange = tollgate.cli("scan", "-", "--revoke", "--yes", code=10, secret=foreign_token())
    assert [found["outcome"] for found in strange["findings"]] == ["unknown"]


def foreign_token():
    """A token string that no installation made, from docs/token-format.md."""
    with open(os.path.join(SOURCE, "docs", "token-format.md"), encoding="utf-8") as file:
        code = re.search(r"```python\n(import hashlib.*?)```", file.read(), re.S)[1]
    names = {}
    exec(code.split("\ndef public_id")[0], names)  # pylint: disable=exec-used
    return names["mint"]()


def test_gitleaks_finds_what_looks_like_one_and_scan_confirms(tmp_path):
    assert os.path.exists(GITLEAKS), f"{GITLEAKS} is missing: scripts/install-packages test"
    good = foreign_token()
    looks_so = good[:-1] + ("0" if good[-1] != "0" else "1")
    (tmp_path / "good.env").write_text(f"TOLLGATE_TOKEN={good}\n")
    (tmp_path / "typing_error.env").write_text(f"TOLLGATE_TOKEN={looks_so}\n")
    (tmp_path / "short.env").write_text(f"TOLLGATE_TOKEN={good[:-1]}\n")
    (tmp_path / "readme.md").write_text("Tokens begin with `tgw_`, as in tgw_4mXp….\n")
    report = tmp_path.parent / "report.json"
    done = subprocess.run([GITLEAKS, "detect", "--no-git", "--no-banner", "--redact", "--source", str(tmp_path), "--config",
                           os.path.join(EXAMPLES, "gitleaks.toml"), "--report-path", str(report)], capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    found = [hit for hit in json.loads(report.read_text()) if hit["RuleID"] == "tollgate-token"]
    assert sorted(os.path.basename(hit["File"]) for hit in found) == ["good.env", "typing_error.env"]
    assert all(hit["StartLine"] == 1 and holds_no_part_of(json.dumps(hit), good) for hit in found)
    confirmed = subprocess.run([os.path.join(BIN, "tollgate"), "-o", "json", "scan", str(tmp_path)], capture_output=True,
                               text=True, timeout=60, check=False, env={**os.environ, "TOLLGATE_CONFIG": ""})
    assert confirmed.returncode == 10, confirmed.stderr
    assert [os.path.basename(hit["path"]) for hit in json.loads(confirmed.stdout)["findings"]] == ["good.env"]


# What trufflehog's documentation names (pkg/custom_detectors/CUSTOM_DETECTORS.md): the program itself is not run here.
FIELDS = {"name": str, "keywords": list, "regex": dict, "verify": list, "primary_regex_name": str, "entropy": (int, float),
          "exclude_regexes_capture": list, "exclude_regexes_match": list, "exclude_words": list, "validations": dict}


def test_trufflehogs_file_has_the_fields_that_are_documented():
    with open(os.path.join(EXAMPLES, "trufflehog.yaml"), encoding="utf-8") as file:
        config = yaml.safe_load(file)
    assert list(config) == ["detectors"] and len(config["detectors"]) == 1
    detector = config["detectors"][0]
    for name, value in detector.items():
        assert isinstance(value, FIELDS[name]), name
    assert {"name", "keywords", "regex"} <= set(detector)
    good = foreign_token()
    (pattern,) = detector["regex"].values()
    assert re.search(pattern, f"TOKEN={good}")[1] == good
    assert not re.search(pattern, good[:-1])
    assert sorted(detector["keywords"]) == ["tga_", "tgo_", "tgr_", "tgw_"]
    assert detector.get("verify") is None, "it would send the token away"


def test_both_rules_are_the_pattern_of_the_format():
    with open(os.path.join(SOURCE, "docs", "token-format.md"), encoding="utf-8") as file:
        pattern = re.search(r"## Finding leaked ones\n```\n\\b(.*)\\b\n```", file.read())[1]
    for name in ("gitleaks.toml", "trufflehog.yaml"):
        with open(os.path.join(EXAMPLES, name), encoding="utf-8") as file:
            assert rf"\b({pattern})\b" in file.read(), name
