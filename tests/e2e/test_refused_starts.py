"""Each cause for which a store cannot be served has its own words, its own advice and a stable exit code."""
import errno
import glob
import os
import shutil

import pytest
from bad_disk import Disk
from installation import ADMIT, REVOKED, until

KEYRING, UNUSABLE, JOURNAL, DENIED, MISSING, WRITE_FAILED = 5, 6, 8, 10, 11, 70
EDGE_START_FAILED = 4


def refused(tollgate, environment=None):
    """(exit code, words) of a start that is refused."""
    service = tollgate.prepare_service(environment=environment)
    service.launch()
    code = service.process.wait(timeout=60)
    with open(service.log, encoding="utf-8") as file:
        text = file.read()
    return code, text[text.rindex("tollgated: "):]


@pytest.fixture
def used(tollgate):
    """A store that was used, and is not served now: (token, secret) of a token that was revoked."""
    tollgate.start_service("--drain-pause", "0s")
    token, secret = tollgate.create("one")
    tollgate.cli("token", "revoke", token, "--yes")
    assert tollgate.service.stop() == 0
    return token, secret


@pytest.mark.parametrize("error, call, code, words", [
    (errno.EACCES, "open store/", DENIED, ["Permission denied", "belong to the service's user"]),
    (errno.EROFS, "change store/", DENIED, ["Read-only file system", "Mount it for writing"]),
    (errno.EMFILE, "open store/", 1, ["Too many open files", "ulimit -n"]),
    (errno.EIO, "read store/", DENIED, ["Input/output error", "dmesg", "restore a backup"]),
    (errno.ENOSPC, "change store/", WRITE_FAILED, ["No space left on device", "Make room"]),
    (errno.EACCES, "open store.journal", JOURNAL, ["store.journal: Permission denied", "--journal FILE"]),
    (errno.EROFS, "change store.journal", JOURNAL, ["store.journal: Read-only file system", "--journal FILE"]),
    (errno.ENOSPC, "write store.journal", JOURNAL,
     ["store.journal cannot grow: No space left on device", "Make room", "--journal FILE"]),
])
def test_what_the_machine_refuses(tollgate, home, used, error, call, code, words):
    disk = Disk(home)
    disk.fail(error, call)
    found, said = refused(tollgate, disk.environment)
    assert found == code, said
    for word in words:
        assert word in said, said
    # It is no question of ownership unless it is one.
    assert ("belong to the service's user" in said) == (error == errno.EACCES and "store/" in call), said
    disk.answer()
    serves_what_it_knew(tollgate, used)


def serves_what_it_knew(tollgate, used):
    """Once the cause is gone nothing is lost."""
    tollgate.start_service("--drain-pause", "0s")
    edge = tollgate.start_validator()
    until("the edge knows", lambda: tollgate.check(edge, used[1]) == REVOKED)
    fresh = tollgate.create("fresh")
    assert tollgate.check(edge, fresh[1]) == ADMIT


@pytest.mark.parametrize("pattern, words", [
    ("MANIFEST-*", ["a file that belongs to it is missing", "MANIFEST"]),
    ("CURRENT", ["its file CURRENT is missing"]),
    ("*.sst", [".sst"]),
])
def test_a_part_of_the_store_is_missing(tollgate, home, used, pattern, words):
    tollgate.start_service("--drain-pause", "0s")  # what was in the log lies in tables now
    assert tollgate.service.stop() == 0
    for path in glob.glob(os.path.join(home, "store", pattern)):
        os.rename(path, os.path.join(home, os.path.basename(path)))
    code, said = refused(tollgate)
    assert code == UNUSABLE, said
    for word in [*words, "Keep a copy of the folder", "restore a backup"]:
        assert word in said, said
    assert "belong to the service's user" not in said


def test_the_store_is_gone_and_its_journal_is_not(tollgate, home, used):
    store = os.path.join(home, "store")
    os.rename(store, store + ".elsewhere")
    for there in (False, True):  # as a mount point is, with nothing on it
        if there:
            os.makedirs(os.path.join(store, "lost+found"))
        code, said = refused(tollgate)
        assert code == MISSING, said
        for words in ("It was wiped, or its disk is not", "restore a backup", "--journal FILE", f"{store}.journal.old"):
            assert words in said, said
        assert os.listdir(store) == ["lost+found"] if there else not os.path.exists(store), "nothing was made"
    shutil.rmtree(store)
    os.rename(store + ".elsewhere", store)
    serves_what_it_knew(tollgate, used)


def test_the_journal_of_another_store_says_whose(tollgate, home, used):
    other = os.path.join(home, "other.journal")
    shutil.copy(os.path.join(home, "store.journal"), other)
    for kept in ("store", "store.keyring", "store.journal", "store.journal.mark", "store.seal"):
        os.rename(os.path.join(home, kept), os.path.join(home, f"first.{kept}"))
    tollgate.start_service("--drain-pause", "0s")
    tollgate.create("two")
    assert tollgate.service.stop() == 0
    os.rename(other, os.path.join(home, "store.journal"))
    code, said = refused(tollgate)
    assert code == JOURNAL, said
    assert "is of a store that was made at 20" in said and "--journal FILE" in said and "restore" in said, said


def test_a_keyring_in_a_kubernetes_secret(tollgate, home, used):
    """A link to a link, open to the group; it cannot be written."""
    secret = os.path.join(home, "secret")
    os.makedirs(os.path.join(secret, "..2026_11_29"))
    os.rename(os.path.join(home, "store.keyring"), os.path.join(secret, "..2026_11_29", "keyring"))
    os.chmod(os.path.join(secret, "..2026_11_29", "keyring"), 0o440)
    os.symlink("..2026_11_29", os.path.join(secret, "..data"))
    os.symlink("..data/keyring", os.path.join(secret, "keyring"))
    os.chmod(secret, 0o555)
    service = tollgate.prepare_service("--keyring", os.path.join(secret, "keyring"))
    service.launch()
    assert service.process.wait(timeout=60) == 5
    assert "--group-readable-secrets" in service.tail(), service.tail()
    service.arguments.append("--group-readable-secrets")
    service.start()
    edge = tollgate.start_validator()
    until("the edge knows", lambda: tollgate.check(edge, used[1]) == REVOKED)
    os.chmod(secret, 0o755)


def test_a_keyring_that_cannot_be_made_says_why(tollgate, home):
    disk = Disk(home)
    disk.fail(errno.EROFS, "change secret/")
    os.makedirs(os.path.join(home, "secret"))
    service = tollgate.prepare_service("--keyring", os.path.join(home, "secret", "keyring"),
                                       environment=disk.environment)
    service.launch()
    assert service.process.wait(timeout=60) == 5
    assert "Its volume is read-only" in service.tail() and "Secret" in service.tail(), service.tail()


def test_a_sealing_key_that_cannot_be_read_says_why(tollgate, home, used):
    seal = os.path.join(home, "store.seal")
    with open(seal, encoding="ascii") as file:
        text = file.read()
    with open(seal, "w", encoding="ascii") as file:
        file.write("no key at all\n")
    found, said = refused(tollgate)
    assert found == KEYRING and seal in said and "a new one is made" in said, said
    with open(seal, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(seal, 0o644)
    found, said = refused(tollgate)
    assert found == KEYRING and seal in said and "chmod" in said, said
    os.chmod(seal, 0o600)
    serves_what_it_knew(tollgate, used)


def test_a_state_folder_that_cannot_be_used_says_why(tollgate, home):
    tollgate.start_service()
    state = os.path.join(home, "state")
    first = tollgate.prepare_validator("edge-1", "--state-dir", state)
    first.launch()
    assert first.process.wait(timeout=60) == EDGE_START_FAILED and state in first.tail(), first.tail()
    os.mkdir(state)
    first.start()
    tollgate.wait_in_sync(first)
    twin = tollgate.prepare_validator("edge-2", "--state-dir", state)
    twin.launch()
    assert twin.process.wait(timeout=60) == EDGE_START_FAILED and "another" in twin.tail() and state in twin.tail(), twin.tail()
    tollgate.wait_in_sync(first)
