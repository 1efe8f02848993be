"""examples/nginx, with the real nginx."""
import pytest

from recipe import nginx


@pytest.fixture
def recipe(tollgate):
    made = nginx(tollgate)
    yield made
    made.close()


def test_who_passes(recipe):
    recipe.shows_who_passes()


def test_who_does_not(recipe):
    recipe.shows_who_does_not()


def test_no_spelling_of_an_identity_passes(recipe):
    recipe.shows_that_no_spelling_of_an_identity_passes()


def test_only_websockets_are_upgraded(recipe):
    recipe.shows_that_only_websockets_are_upgraded(websocket=False)


def test_what_the_caller_is_told(recipe):
    recipe.shows_what_the_caller_is_told()


def test_a_revoked_token(recipe):
    recipe.shows_that_revoked_is_refused_on_the_next_request()
    recipe.shows_that_nobody_passes_after_the_receipt()


def test_no_replay_and_no_validator(recipe):
    recipe.shows_that_no_answer_is_replayed()
    recipe.shows_that_without_a_validator_nobody_passes(503)


def test_a_cache_that_somebody_put_in_front_is_found(tollgate):
    """What the recipe forbids: it admits what was revoked, and the doctor sees it."""
    recipe = nginx(tollgate, **{
        "http {": "http {\nproxy_cache_path cache keys_zone=check:1m;",
        "proxy_cache off;": "proxy_cache check; proxy_cache_key $request_uri$http_authorization; "
                            "proxy_cache_valid 200 1m; proxy_ignore_headers Cache-Control;"})
    try:
        token_id, secret = tollgate.create("CI")
        url = f"http://{recipe.address}/v1/x"
        seen = tollgate.cli("doctor", "edge", "--token", url, secret=secret, code=10)
        assert seen["statuses"] == {"200": 8} and seen["replayed"] == 7, seen
        words = tollgate.cli("doctor", "edge", "--token", url, secret=secret, code=10, as_json=False).stdout
        assert words.startswith("replayed     8 answers carry 1 id: "), words
        tollgate.cli("token", "revoke", token_id, "--yes", "--wait")
        assert recipe.ask("GET /v1/x", token=secret).status == 200, "this is why it is forbidden"
    finally:
        recipe.close()


def test_a_token_is_checked_as_its_holder_sees_it(tollgate, recipe):
    token_id, secret = tollgate.create("CI", "--scope", "deploy:write", "--expires-in", "3d")
    url = f"http://{recipe.address}/v1/x"
    seen = tollgate.cli("token", "check", "--url", url, secret=secret)
    assert (seen["verdict"], seen["status"]) == ("admit", 200) and seen["decision"] and seen["token_expires"], seen
    words = tollgate.cli("token", "check", "--url", url, secret=secret, as_json=False).stdout
    assert words.startswith("admitted     200   ") and "The token's end is near: 20" in words, words
    seen = tollgate.cli("token", "check", "--url", f"http://{recipe.address}/nowhere", secret=secret, code=10)
    assert (seen["verdict"], seen["status"], seen["error"]) == ("deny", 403, ""), seen
    words = tollgate.cli("token", "check", "--url", f"http://{recipe.address}/v1/a;b", secret=secret, code=11,
                         as_json=False).stdout
    assert words.startswith("unclear      400") and "does not say" in words, words
    refused = tollgate.cli("token", "check", "--url", "http://192.0.2.1/", secret=secret, code=4)
    assert "PLAINTEXT_REFUSED" in refused.stderr and "--allow-plaintext" in refused.stderr, refused
    tollgate.cli("token", "revoke", token_id, "--yes", "--wait")
    words = tollgate.cli("token", "check", "--url", url, secret=secret, code=10, as_json=False).stdout
    assert words.startswith("refused      401   invalid_token   revoked"), words
    other = f"http://{recipe.upstream.address}/"
    assert "NO_DECISION_SEEN" in tollgate.cli("token", "check", "--url", other, secret=secret, code=3).stderr
    assert "--scope" in tollgate.cli("token", "check", "--url", url, "--scope", "x", secret=secret, code=2).stderr


def test_the_doctor_says_what_it_cannot_see(tollgate, recipe):
    other = f"http://{recipe.upstream.address}/"
    assert "NO_DECISION_SEEN" in tollgate.cli("doctor", "edge", other, code=3).stderr
    assert "URL_UNREACHABLE" in tollgate.cli("doctor", "edge", "http://127.0.0.1:1/", code=5).stderr
    for url in ("ftp://x", "x", "http://", "http://a b/", "http://u@h/"):
        assert "URL_INVALID" in tollgate.cli("doctor", "edge", url, code=2).stderr, url
