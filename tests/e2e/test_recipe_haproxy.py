"""examples/haproxy, with the real HAProxy."""
import pytest

from recipe import Recipe


@pytest.fixture
def recipe(tollgate):
    made = Recipe(tollgate, "haproxy")
    made.put("haproxy.cfg", **{"127.0.0.1:9000": made.upstream.address, "127.0.0.1:8080": made.address})
    made.put("tollgate.lua", **{"127.0.0.1:7415": made.tcp})
    made.start(["haproxy", "-db", "-f", "haproxy.cfg"])
    yield made
    made.close()


def test_who_passes(recipe):
    recipe.shows_who_passes()


def test_who_does_not(recipe):
    recipe.shows_who_does_not()


def test_a_revoked_token(recipe):
    recipe.shows_that_revoked_is_refused_on_the_next_request()
    recipe.shows_that_nobody_passes_after_the_receipt()


def test_no_replay_and_no_validator(recipe):
    recipe.shows_that_no_answer_is_replayed()
    recipe.shows_that_without_a_validator_nobody_passes(503)
