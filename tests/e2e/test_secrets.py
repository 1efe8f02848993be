"""Nothing secret on disk or in logs."""
import hashlib
import os

from installation import ADMIT, REVOKED


def test_no_token_string_anywhere(tollgate):
    service = tollgate.start_service("--log-level", "debug")
    edge = tollgate.start_validator("edge-1", "--log-level", "debug")
    made = [tollgate.create(f"secret {number}", "--scope", "a:b") for number in range(20)]
    for _, secret in made:
        assert tollgate.check(edge, secret) == ADMIT
    tollgate.cli("token", "rotate", made[0][0], "--retire-when-silent", "1s")
    tollgate.cli("token", "suspend", made[1][0])
    tollgate.cli("token", "revoke", made[2][0], "--yes", "--wait")
    tollgate.cli("token", "revoke", "--leaked", "--yes", secret=made[3][1])
    assert tollgate.check(edge, made[2][1]) == REVOKED
    # Wrong uses, whose errors might echo what they were given.
    broken = made[4][1][:-1] + ("0" if made[4][1][-1] != "0" else "1")
    tollgate.check(edge, broken)
    tollgate.cli("token", "revoke", "--leaked", "--yes", secret=broken, code=2)
    tollgate.cli("token", "get", made[5][1], code=2)
    metrics = tollgate.metrics(service) + tollgate.metrics(edge)
    assert edge.stop() == 0 and service.stop() == 0

    needles = set()
    for secret in tollgate.secrets:
        # The edge digest is not secret as the string is; but whoever has it may ask about the token.
        digest = hashlib.blake2b(secret.encode(), digest_size=32)
        needles.update([secret.encode(), secret[20:63].encode(), digest.digest(), digest.hexdigest().encode()])
    assert len(needles) >= 84
    haystacks = {"metrics": metrics.encode()}
    for folder, _, files in os.walk(tollgate.home):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    haystacks[path] = file.read()
    assert any("store" in path for path in haystacks) and any(path.endswith(".log") for path in haystacks)
    # The search itself works: a public id is in the store, and that is as it should be.
    assert any(made[0][0].encode() in text for text in haystacks.values())
    found = [path for path, text in haystacks.items() if any(needle in text for needle in needles)]
    assert found == []
