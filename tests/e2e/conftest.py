import os
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from installation import Installation  # noqa: E402


@pytest.fixture
def home():
    # Short: a Unix socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="tg.", dir="/tmp") as path:
        yield path


@pytest.fixture
def tollgate(home):
    installation = Installation(home)
    yield installation
    installation.close()
