"""The man pages, made from what --help says: there is one for every command, and it is sound."""
import os
import re
import subprocess
import sys

from installation import BIN

SOURCE = os.environ["TOLLGATE_SOURCE"]


def test_every_command_has_a_sound_page(tmp_path):
    folder = tmp_path / "man"
    made = subprocess.run([sys.executable, os.path.join(SOURCE, "scripts", "man-pages"), str(folder)], capture_output=True,
                          text=True, timeout=120, check=False, env={**os.environ, "TOLLGATE_BIN": BIN})
    assert made.returncode == 0, made.stdout + made.stderr
    pages = sorted(str(path) for path in folder.glob("man?/*"))
    names = {os.path.basename(page) for page in pages}
    assert len(names) > 45 and {"tollgated.8", "tollgate-validator.8", "tollgate.1", "tollgate-token-revoke.1"} <= names

    checked = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *pages], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for page in pages:
        with open(page, encoding="utf-8") as file:
            text = file.read()
        # Nobody's own settings are in it, and every page that it names is there.
        assert os.path.expanduser("~") + "/" not in text, page
        for other, section in re.findall(r"^\.BR (\S+) \((\d)\)", text, re.MULTILINE):
            assert f"{other}.{section}" in names, f"{page} names {other}({section})"
        assert "???" not in text, f"{page}: letters were lost"

    shown = subprocess.run(["mandoc", "-Tutf8", str(folder / "man1" / "tollgate-token-revoke.1")], capture_output=True, text=True,
                           timeout=60, check=True).stdout
    plain = re.sub(r".\x08", "", shown)
    assert "tollgate-token-revoke - End tokens" in re.sub(r"\s+", " ", plain), plain
    assert "--leaked" in plain and "SEE ALSO" in plain, plain
    examples = re.search(r"^EXAMPLES\n(.*?)\n\n", plain, re.MULTILINE | re.DOTALL).group(1).splitlines()
    assert len(examples) == 3 and all(line.split()[0] == "tollgate" for line in examples), plain
