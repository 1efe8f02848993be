"""examples/nginx, with the real nginx."""
import os

import pytest

from recipe import Recipe


@pytest.fixture
def recipe(tollgate):
    made = Recipe(tollgate, "nginx")
    temporary = " ".join(f"{kind}_temp_path {made.folder}/{kind};" for kind in
                         ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    made.put("nginx.conf", **{"unix:/run/tollgate/http.sock": made.socket, "127.0.0.1:9000": made.upstream.address,
                              "127.0.0.1:8080": made.address, "http {": f"http {{\n{temporary} access_log off;"})
    user = "user root;" if os.geteuid() == 0 else ""  # so that its workers may use the socket
    made.start(["nginx", "-p", made.folder, "-e", "stderr", "-c", "nginx.conf",
                "-g", f"daemon off; pid {made.folder}/pid; {user}"])
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
