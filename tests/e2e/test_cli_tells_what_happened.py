"""The command says what happened and gives nothing away, also where services go and keys are pressed."""
import json
import os
import pty
import signal
import subprocess
import termios

import grpc
import pytest

from installation import BIN, REVOKED, until


def begin(tollgate, *arguments, **options):
    return subprocess.Popen(
        [os.path.join(BIN, "tollgate"), *arguments], text=True,
        env={**os.environ, "TOLLGATE_SERVICE": tollgate.address, "TOLLGATE_WORKSPACE": "acme", "TOLLGATE_CONFIG": ""},
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})


def revoke_everything(tollgate, token, timeout):
    """A cohort's revocation that waits for an edge that does not answer, under way and committed."""
    revoking = begin(tollgate, "-o", "json", "token", "revoke", "--all", "--yes", "--wait", "--wait-timeout", timeout)
    until("it is revoked",
          lambda: tollgate.cli("token", "get", token).get("state") == "revoked")
    return revoking


def test_a_wait_goes_on_when_the_service_comes_back(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    token, secret = tollgate.create("one of all")
    edge.signal(signal.SIGSTOP)
    revoking = revoke_everything(tollgate, token, "120s")
    tollgate.service.stop()
    tollgate.restart_service()
    edge.signal(signal.SIGCONT)
    out, err = revoking.communicate(timeout=120)
    assert revoking.returncode == 0, err
    answer = json.loads(out)
    assert int(answer["revision"]) > 0 and answer["receipt"]["state"] == "enforced"
    assert tollgate.check(edge, secret) == REVOKED


def test_a_revocation_is_told_when_the_service_stays_away(tollgate):
    tollgate.start_service()
    edge = tollgate.start_validator()
    token, _ = tollgate.create("one of all")
    edge.signal(signal.SIGSTOP)
    revoking = revoke_everything(tollgate, token, "3s")
    tollgate.service.kill()
    out, err = revoking.communicate(timeout=60)
    assert revoking.returncode == 6, err
    assert int(json.loads(out)["revision"]) > 0
    assert "It stays revoked" in err and "--epoch" in err, err


def test_ctrl_c_at_the_prompt_leaves_the_terminal_as_it_was(tollgate):
    tollgate.start_service()
    master, slave = pty.openpty()
    try:
        def echoes():
            return bool(termios.tcgetattr(slave)[3] & termios.ECHO)

        assert echoes()
        asking = begin(tollgate, "token", "revoke", "--leaked", stdin=slave)
        until("the prompt hides what is typed", lambda: not echoes())
        asking.send_signal(signal.SIGINT)
        asking.communicate(timeout=30)
        assert asking.returncode == -signal.SIGINT
        assert echoes()
    finally:
        os.close(master)
        os.close(slave)


def test_a_leaked_string_is_asked_about_at_a_terminal(tollgate):
    tollgate.start_service()
    token, secret = tollgate.create("in a gist")
    for answer, code, state in (("n", 7, "active"), ("y", 0, "revoked")):
        master, slave = pty.openpty()
        try:
            asking = begin(tollgate, "token", "revoke", "--leaked", stdin=slave)
            until("the prompt hides what is typed", lambda: not termios.tcgetattr(slave)[3] & termios.ECHO)
            os.write(master, f"{secret}\n".encode())
            until("the answer is seen again", lambda: termios.tcgetattr(slave)[3] & termios.ECHO)
            os.write(master, f"{answer}\n".encode())
            _, err = asking.communicate(timeout=30)
        finally:
            os.close(master)
            os.close(slave)
        assert asking.returncode == code, err
        assert f'Revoke the token {token}, "in a gist", never used?' in err
        assert tollgate.cli("token", "get", token)["state"] == state


def test_ctrl_c_ends_a_watch_as_asked(tollgate):
    tollgate.start_service()
    for words in (("events", "watch"), ("validators", "watch", "--interval", "10ms")):
        path = os.path.join(tollgate.home, words[0])
        with open(path, "w", encoding="utf-8") as out:
            watching = begin(tollgate, *words, stdout=out)
        until("it watches", lambda path=path: tollgate.create("seen") and os.path.getsize(path) > 0)
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=30)
        assert (watching.returncode, err) == (0, ""), words


def test_every_error_is_one_json_object_where_answers_are(tollgate):
    tollgate.start_service()
    tollgate.create("one")
    for words, code in ((("events", "wait", "999999"), 2), (("backup", "create"), 4),
                        (("token", "list", "--nosuch"), 2), (("token", "revoke", "--edge-digest", "zz"), 2)):
        failed = tollgate.cli(*words, code=code)
        assert json.loads(failed.stderr)["error"]["message"], words
        told = tollgate.cli(*words, code=code, as_json=False).stderr
        assert "refused: refused" not in told, told


def test_no_field_of_a_token_or_a_policy_keeps_a_token_string(tollgate):
    tollgate.start_service()
    _, secret = tollgate.create("a secret")
    client = tollgate.client()
    name = "workspaces/acme"
    for path, fields in (
            ("TokenService/CreateToken", {"parent": name, "token": {"label": "x", "scopes": [secret]}}),
            ("TokenService/CreateToken", {"parent": name, "token": {"label": "x", "audiences": [secret]}}),
            ("WorkspaceService/UpdateWorkspacePolicy",
             {"name": name, "policy": {"grantable_scopes": [secret]}, "update_mask": "grantableScopes"}),
            ("WorkspaceService/UpdateWorkspacePolicy",
             {"name": name, "policy": {"label_pattern": secret}, "update_mask": "labelPattern"})):
        with pytest.raises(grpc.RpcError) as refused:
            client.call(path, **fields)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT, path
        details = dict(refused.value.trailing_metadata())["grpc-status-details-bin"]
        assert b"CONTAINS_TOKEN_STRING" in details and secret.encode() not in details, path
