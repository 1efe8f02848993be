"""examples/caddy, with the real Caddy."""
import pytest

from recipe import caddy


@pytest.fixture
def recipe(tollgate):
    made = caddy(tollgate)
    yield made
    made.close()


def test_who_passes(recipe):
    recipe.shows_who_passes()


def test_who_does_not(recipe):
    recipe.shows_who_does_not()


def test_no_spelling_of_an_identity_passes(recipe):
    recipe.shows_that_no_spelling_of_an_identity_passes()


def test_a_caddy_that_copies_no_empty_value(tollgate):
    """As later releases: what a client sent is gone all the same. Here none of these is copied."""
    recipe = caddy(tollgate, **{"X-Tollgate-Owner X-Tollgate-Scopes X-Tollgate-Expires": ""})
    try:
        _, secret = tollgate.create("CI")
        for line in ("GET /healthz", "GET /v1/x"):
            assert recipe.ask(line, "X-Tollgate-Owner: evil", "x-tollgate-scopes: evil", token=secret).status == 200
            _, _, went = recipe.upstream.last()
            assert "evil" not in str(went) and "authorization" not in went, went
    finally:
        recipe.close()


def test_only_websockets_are_upgraded(recipe):
    recipe.shows_that_only_websockets_are_upgraded()


def test_what_the_caller_is_told(recipe):
    recipe.shows_what_the_caller_is_told()


def test_a_revoked_token(recipe):
    recipe.shows_that_revoked_is_refused_on_the_next_request()
    recipe.shows_that_nobody_passes_after_the_receipt()


def test_no_replay_and_no_validator(recipe):
    recipe.shows_that_no_answer_is_replayed()
    recipe.shows_that_without_a_validator_nobody_passes(502)
