"""The key of a pseudonym, worked out apart from the package (``docs/security.md``)."""

import hashlib

SECRET = "test secret"


def key(pseudonym: str, secret: str = SECRET) -> int:
    """The key, worked out by hand: the first 64 bits of SHA-256, as a signed number."""
    return int.from_bytes(hashlib.sha256(f"{secret}:{pseudonym}".encode()).digest()[:8], "big") - 2**63
