"""examples/haproxy, with the real HAProxy."""
import os

import pytest

import proxies
from installation import until
from recipe import haproxy


@pytest.fixture
def recipe(tollgate):
    made = haproxy(tollgate)
    yield made
    made.close()


def test_who_passes(recipe):
    recipe.shows_who_passes()


def test_who_does_not(recipe):
    recipe.shows_who_does_not()


def test_no_spelling_of_an_identity_passes(recipe):
    recipe.shows_that_no_spelling_of_an_identity_passes()


def test_only_websockets_are_upgraded(recipe):
    recipe.shows_that_only_websockets_are_upgraded()


def test_one_host_is_judged_and_no_list(recipe):
    _, secret = recipe.tollgate.create("CI")
    for host in ("admin.example,api.example", "api.example, api.example", "api.example\r\nHost: admin.example", ""):
        recipe.refused(400, "GET /v1/x", token=secret, host=host)
    assert recipe.ask("GET /v1/x", token=secret, host="api.example:8080").status == 200


def test_the_target_is_told_as_it_goes_on(recipe):
    """HAProxy passes a URL on as it came, and would open a tunnel to a service that answers one."""
    _, secret = recipe.tollgate.create("CI")
    assert recipe.ask("GET http://api.example/v1/x", token=secret).status == 200
    assert recipe.upstream.last()[1] == "http://api.example/v1/x"
    recipe.refused(403, "GET http://api.example", token=secret, reason="NO_ROUTE")
    recipe.refused(403, "OPTIONS *", token=secret, reason="NO_ROUTE")
    recipe.refused(400, "GET http://admin.example@api.example/v1/x", token=secret, reason="HOST_MALFORMED")
    recipe.refused(400, "GET ftp://api.example/v1/x", token=secret, reason="TARGET_MALFORMED")
    recipe.refused(405, "CONNECT http://api.example:80/healthz", host="api.example:80")


def test_other_names_for_the_token_and_for_who_speaks(recipe):
    """The script takes them from the answer, and the names in the policy need no second place."""
    path = os.path.join(recipe.folder, "policy.yaml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text + "credentials:\n  - {header: x-api-key}\nupstream:\n  identity: {workspace: x-workspace, owner: x-owner}\n")
    os.rename(path + ".new", path)
    _, secret = recipe.tollgate.create("CI", "--owner", "team-a")
    until("the policy is in force", lambda: recipe.ask("GET /v1/x", f"X-Api-Key: {secret}").status == 200)
    for line in ("GET /v1/x", "GET /healthz"):
        for spelt in ("X-Workspace: evil", "x-owner: evil", "X_Workspace: evil", "X_OWNER: evil", "X-Tollgate-Owner: evil"):
            before = len(recipe.upstream.requests)
            answer = recipe.ask(line, spelt, f"X-Api-Key: {secret}")
            assert answer.status in (200, 400), answer
            went = str(recipe.upstream.requests[before:])
            assert secret not in went and "evil" not in went, went
    assert recipe.ask("GET /v1/x", "X-Workspace: evil", f"X-Api-Key: {secret}").status == 200
    _, _, went = recipe.upstream.last()
    assert went["x-workspace"] == ["acme"] and went["x-owner"] == ["team-a"], went


def test_what_the_caller_is_told(recipe):
    recipe.shows_what_the_caller_is_told()


def test_no_trailer_says_who_speaks(tollgate, recipe):
    _, secret = tollgate.create("CI")
    body = b"3\r\nabc\r\n0\r\nX-Tollgate-Owner: root\r\n\r\n"
    before = len(recipe.upstream.arrived)
    with proxies.Connection(recipe.address) as connection:
        head = proxies.request("POST /v1/x", "api.example", "Transfer-Encoding: chunked", token=secret)
        assert connection.ask(head.encode() + body).status == 411
    assert len(recipe.upstream.arrived) == before
    assert recipe.ask("POST /v1/x", "Content-Length: 0", token=secret).status == 200


def test_a_revoked_token(recipe):
    recipe.shows_that_revoked_is_refused_on_the_next_request()
    recipe.shows_that_nobody_passes_after_the_receipt()


def test_no_replay_and_no_validator(recipe):
    recipe.shows_that_no_answer_is_replayed()
    recipe.shows_that_without_a_validator_nobody_passes(503)
