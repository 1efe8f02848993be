"""What the service's log tells of its fleet and of changes: one line each."""
import signal

from installation import until


def said(program, words, **fields):
    return [record for record in program.records() if words in record["message"] and
            all(record.get(name) == value for name, value in fields.items())]


def test_the_fleet_is_told_of_line_by_line(tollgate):
    service = tollgate.start_service("--lease", "3s", "--ping-interval", "500ms")
    edge = tollgate.start_validator("payments/edge-3")
    until("it joined", lambda: said(service, "a validator joined", validator="payments/edge-3"))
    leaving = tollgate.start_validator("payments/edge-4")
    assert leaving.stop() == 0
    until("it left", lambda: said(service, "a validator left", validator="payments/edge-4"))

    edge.signal(signal.SIGSTOP)
    until("it lapsed", lambda: said(service, "lease ran out", validator="payments/edge-3", level="warning"))
    edge.signal(signal.SIGCONT)
    until("it is back", lambda: said(service, "a validator is back", validator="payments/edge-3"))

    other = tollgate.prepare_validator("search/edge-1", "--brand", "acme").launch()
    until("its brand is told", lambda: said(service, "another brand", validator="search/edge-1", level="error",
                                            brand="acme"))
    other.kill()

    # A second process under the same id, on another socket.
    twin = tollgate.prepare_validator("payments/edge-3")
    at = twin.arguments.index("--listen") + 1
    twin.arguments[at] = twin.socket = twin.arguments[at].replace("edge-3", "edge-3b")
    twin.name, twin.log, twin.ready_file = "twin", f"{tollgate.home}/twin.log", f"{tollgate.home}/twin.ready"
    twin.start()
    until("the twins are told", lambda: said(service, "two live processes", validator="payments/edge-3"), patience=60)
    assert len(said(service, "two live processes")) == 1


def test_a_change_that_takes_away_is_one_line(tollgate):
    service = tollgate.start_service()
    token, _ = tollgate.create("a")
    other, _ = tollgate.create("b")
    tollgate.cli("token", "suspend", other)
    tollgate.cli("token", "revoke", token, "--reason", "in a gist", "--yes")
    tollgate.cli("token", "revoke", token, "--reason", "in a gist", "--yes")  # nothing more happens
    tollgate.cli("workspace", "set-policy", "acme", "--max-lifetime", "90d")
    until("the policy is told", lambda: said(service, "changed", action="policy.update", resource="workspaces/acme"))
    revoked = said(service, "changed", action="token.revoke")
    assert [line["resource"] for line in revoked] == [f"workspaces/acme/tokens/{token}"], revoked
    assert revoked[0]["revision"] > 0 and revoked[0]["actor"], revoked
    assert len(said(service, "changed", action="token.suspend")) == 1
    assert not said(service, "changed", action="token.create")
