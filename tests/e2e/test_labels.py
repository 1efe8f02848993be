"""Labels as people write and read them: what is the same, what is refused, and where columns begin; through the real programs."""
import os
import subprocess
import unicodedata

from installation import BIN

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"
WELCOME = {  # label: the columns that it takes
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645": 7,        # Persian, with a non-joiner
    "\u0dc1\u0dca\u200d\u0dbb\u0dd3 \u0dbd\u0d82\u0d9a\u0dcf": 5,  # Sinhala, with a joiner
    "\U0001F469\u200d\U0001F4BB build": 8,                     # an emoji of two
    "\u2764\ufe0f\u200d\U0001F525": 2,
    "\u65e5\u672c\u8a9e": 6,
    "Vie\u0302\u0323t Nam": 8,
    "CI": 2,
}


def refused(tollgate, label, reason, code=2):
    done = tollgate.cli("token", "create", "--label", label, code=code, as_json=False)
    assert reason in done.stderr, done.stderr
    return done.stderr


def test_one_label_however_it_is_written(tollgate):
    tollgate.start_service()
    tollgate.cli("workspace", "set-policy", "acme", "--unique-labels")
    first, _ = tollgate.create(COMPOSED)
    told = refused(tollgate, DECOMPOSED, "LABEL_TAKEN", code=4)
    assert "reads the same" in told and first in told, told
    assert unicodedata.normalize("NFD", COMPOSED) == DECOMPOSED
    listed = tollgate.cli("token", "list", "--label", DECOMPOSED)["tokens"]
    assert [token["token_id"] for token in listed] == [first]
    tollgate.service.stop()
    tollgate.restart_service()
    refused(tollgate, DECOMPOSED, "LABEL_TAKEN", code=4)
    tollgate.cli("token", "revoke", first, "--yes", as_json=False)
    tollgate.create(DECOMPOSED)


def test_what_joins_letters_is_welcome_and_what_hides_is_not(tollgate):
    tollgate.start_service()
    for label in WELCOME:
        tollgate.create(label)
    assert {token["label"] for token in tollgate.cli("token", "list")["tokens"]} == set(WELCOME)
    assert "U+200D, character 3" in refused(tollgate, "de\u200dploy", "LABEL_CONTROL_CHARACTER")
    refused(tollgate, "\u0645\u06cc\u200c", "LABEL_CONTROL_CHARACTER")
    assert "U+0301, character 4" in refused(tollgate, "CI \u0301", "LABEL_LONE_MARK")

    # What stands behind the label begins in one column, whatever a label is made of.
    shown = subprocess.run([os.path.join(BIN, "tollgate"), "token", "list", "-w", "acme"], capture_output=True, text=True,
                           timeout=60, check=True, env={**os.environ, "TOLLGATE_SERVICE": tollgate.address,
                                                        "TOLLGATE_CONFIG": ""}).stdout
    lines = shown.splitlines()
    label_at = lines[0].index("LABEL")
    room = lines[0].index("STATE") - label_at
    for label, width in WELCOME.items():
        line = next(line for line in lines if label in line)
        assert line[label_at:].startswith(label + " " * (room - width) + "active"), line
