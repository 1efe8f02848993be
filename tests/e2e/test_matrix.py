"""Every change of a token, asked for twice at once, in every state that a token can be in: one winner, one entry in the audit log."""
import grpc
import pytest

from installation import until

OPERATIONS = {
    "update": ("TokenService/UpdateToken", lambda name: {"token": {"name": name, "label": "renamed"}, "update_mask": "label"}),
    "rotate": ("TokenService/RotateToken", lambda name: {"name": name}),
    "replan": ("TokenService/ReplanRotation", lambda name: {"name": name, "retire_plan": {"by_hand": True}}),
    "cancel_rotation": ("TokenService/CancelRotation", lambda name: {"name": name}),
    "retire": ("TokenService/RetireToken", lambda name: {"name": name, "force": True}),
    "suspend": ("TokenService/SuspendToken", lambda name: {"name": name}),
    "resume": ("TokenService/ResumeToken", lambda name: {"name": name}),
    "revoke": ("TokenService/RevokeToken", lambda name: {"name": name, "reason": "twice"}),
}
# Which of them changes a token of a state; every other one is refused, or says that it changed nothing.
CHANGES = {
    "active": {"update", "rotate", "suspend", "revoke"},
    "suspended": {"update", "resume", "revoke"},
    "retiring": {"update", "replan", "cancel_rotation", "retire", "suspend", "revoke"},
    "revoked": set(),
    "expired": set(),
    "retired": set(),
}

# Said again it is meant again: a plan may count from now on. Both are carried out, and both are in the log.
ANEW = {"replan"}


def bring(client, state, label):
    """A token in this state: its name."""
    made = {"label": label, "scopes": ["deploy:write"]}
    fields = {"lifetime": "1s"} if state == "expired" else {}
    name = client.call("TokenService/CreateToken", parent="workspaces/acme", token=made, **fields).token.name
    if state == "suspended":
        client.call("TokenService/SuspendToken", name=name)
    elif state in ("retiring", "retired"):
        client.call("TokenService/RotateToken", name=name, retire_plan={"when_silent": "3600s"})
    if state == "retired":
        client.call("TokenService/RetireToken", name=name, force=True)
    elif state == "revoked":
        client.call("TokenService/RevokeToken", name=name, reason="first")
    elif state == "expired":
        until("it has expired", lambda: any(e.action == "token.expire" for e in entries(client, name)))
    return name


def entries(client, name):
    return client.call("OperationsService/ListAuditEntries", parent="workspaces/acme", filter={"token": name}, page_size=100).entries


@pytest.mark.parametrize("state", CHANGES)
def test_one_winner_and_one_entry(tollgate, state):
    tollgate.start_service()
    client = tollgate.client()
    for operation, (method, fields) in OPERATIONS.items():
        name = bring(client, state, f"{state} {operation}")
        before = len(entries(client, name))
        asked = [client.future(method, **fields(name)) for _ in range(2)]
        answers, refused = [], []
        for call in asked:
            try:
                answers.append(call.result())
            except grpc.RpcError as error:
                refused.append(error.code())
        # A rotation that is made has no word for having changed nothing: it is refused instead.
        changed = [answer for answer in answers if not getattr(answer, "unchanged", False)]
        where = f"{operation} of a token that is {state}: {len(changed)} changed it, {refused}"
        winners = 2 if operation in ANEW else 1
        assert len(changed) == (winners if operation in CHANGES[state] else 0), where
        assert set(refused) <= {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ABORTED}, where
        after = [entry.action for entry in entries(client, name)][before:]
        assert after.count(f"token.{operation}") == len(changed), f"{where}: {after}"
        # What changed nothing may leave the reason that was given, and nothing else.
        assert all(action == f"token.{operation}" or action.endswith("_again") for action in after), f"{where}: {after}"
