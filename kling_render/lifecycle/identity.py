"""Names that tie a payment to a fingerprint: ULIDs and client request ids."""

from __future__ import annotations

import re

from kling_render.ports import Randomness

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: What the API stores of an `X-Client-Request-Id`; anything else it drops silently.
_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_PREFIX = "kr1"
PREFIX_LENGTH = 32
"""Hex digits of a fingerprint that a client request id names: all that the account's log knows of it."""


def ulid(now: float, chance: Randomness) -> str:
    """A sortable unique id: 48 bits of milliseconds and 80 random bits in Crockford's base 32 (26 characters)."""
    value = (int(now * 1000) & ((1 << 48) - 1)) << 80 | chance.getrandbits(80)
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


def client_request_id(fingerprint: str, attempt_id: str) -> str:
    """`kr1:<first 32 hex of the fingerprint>:<ULID>`: lets the provider's log say what was paid for."""
    text = f"{_PREFIX}:{fingerprint[:PREFIX_LENGTH]}:{attempt_id}"
    assert _CLIENT_REQUEST_ID.fullmatch(text), f"the API would drop {text!r}"
    return text


def fingerprint_prefix(client_request_id: str | None) -> str | None:
    """The first 32 hex of the fingerprint that a client request id of ours names, else None."""
    parts = (client_request_id or "").split(":")
    return parts[1] if len(parts) == 3 and parts[0] == _PREFIX and len(parts[1]) == PREFIX_LENGTH else None
