"""Token strings that leaked into files: found, confirmed, revoked, and refused at the edge from then on."""
import json
import os
import re

from installation import ADMIT, REVOKED

SOURCE = os.environ["TOLLGATE_SOURCE"]
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
