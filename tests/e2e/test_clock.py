"""A wrong wall clock under the service's real program (R20): nothing is ended wrongly, and it is told."""
import pytest
from installation import ADMIT, REVOKED, metric, open_url, until
from wall_clock import WallClock

DAY = 24 * 3600


@pytest.fixture
def wall_clock(home):
    return WallClock(home)


def in_doubt(tollgate):
    return tollgate.cli("clock", "status")["doubt"] != ""


def is_active(tollgate, token):
    shown = tollgate.client().call("TokenService/ListTokens", parent="workspaces/acme").tokens
    states = shown[0].DESCRIPTOR.fields_by_name["state"].enum_type.values_by_number
    return next(states[one.state].name for one in shown if one.token_id == token) == "TOKEN_STATE_ACTIVE"


def swept(tollgate):
    """A round of the sweep has passed, as of now."""
    def sweeps():
        with open_url(f"http://{tollgate.service.ready['metrics']}/metrics") as text:
            return metric(text, "tollgate_commands_total", command="sweep", code="OK")

    before = sweeps()
    until("the sweep comes by", lambda: sweeps() >= before + 3)


def messages(service, level):
    return [record["message"] for record in service.records() if record["level"] == level]


def test_a_clock_that_is_set_under_a_running_service(tollgate, wall_clock):
    service = tollgate.start_service(environment=wall_clock.environment)
    edge = tollgate.start_validator()
    token, secret = tollgate.create("quarter", "--expires-in", "90d")
    other, other_secret = tollgate.create("other")
    assert tollgate.check(edge, secret) == ADMIT
    until("the edge has told what its clock says", lambda: tollgate.cli("clock", "status").get("edge_count") == 1)
    assert tollgate.cli("clock", "status")["agreeing_edge_count"] == 1

    for wrong in (400 * DAY, -5 * 365 * DAY):
        wall_clock.wrong_by(wrong)
        until("the clock is in doubt", lambda: in_doubt(tollgate))
        swept(tollgate)
        assert is_active(tollgate, token)
        assert tollgate.check(edge, secret) == ADMIT
        refused = tollgate.cli("token", "create", "-w", "acme", "--label", "x", "--expires-in", "1d", code=4,
                               as_json=False)
        assert "in doubt" in refused.stderr and "tollgate clock accept" in refused.stderr, refused.stderr
        with open_url(f"http://{service.ready['metrics']}/metrics") as text:
            assert metric(text, "tollgate_clock_in_doubt") == 1
        wall_clock.wrong_by(0)
        until("the clock is trusted again", lambda: not in_doubt(tollgate))
    # A line of the log follows what it tells of: who has seen the one may be before the other.
    for level, words in (("warning", "is in doubt"), ("info", "is trusted again")):
        until(f"the log says that it {words}", lambda level=level, words=words: any(
            words in message for message in messages(service, level)))

    wall_clock.wrong_by(400 * DAY)
    until("the clock is in doubt", lambda: in_doubt(tollgate))
    tollgate.cli("token", "revoke", other, "-w", "acme", "--yes", "--wait")
    assert tollgate.check(edge, other_secret) == REVOKED, "revoking always works"
    assert tollgate.check(edge, secret) == ADMIT


@pytest.mark.parametrize("wrong", [400 * DAY, -5 * 365 * DAY])
def test_a_start_under_a_wrong_clock(tollgate, wall_clock, wrong):
    service = tollgate.start_service(environment=wall_clock.environment)
    token, secret = tollgate.create("quarter", "--expires-in", "90d")
    service.kill()
    wall_clock.wrong_by(wrong)
    tollgate.restart_service()
    assert in_doubt(tollgate)
    edge = tollgate.start_validator()
    swept(tollgate)
    assert is_active(tollgate, token)
    assert tollgate.check(edge, secret) == ADMIT
    assert "--time" in tollgate.cli("clock", "accept", code=2, as_json=False).stderr
    assert "wall clock says" in tollgate.cli("clock", "accept", "--time", "2001-01-01", code=4, as_json=False).stderr
    assert "in doubt" in tollgate.cli("clock", "status", as_json=False).stdout
    wall_clock.wrong_by(0)
    until("the clock is trusted again", lambda: not in_doubt(tollgate))

    def audit():
        return tollgate.client().call("OperationsService/ListAuditEntries", page_size=1000).entries

    entries = until("the end of the doubt is in the audit log",
                    lambda: any(entry.action == "clock.trust" for entry in audit()) and audit())
    assert any(entry.action == "clock.doubt" for entry in entries)
    times = [(entry.time.seconds, entry.time.nanos) for entry in entries]
    assert times == sorted(times), "audit times never run back"
