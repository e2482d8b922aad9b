"""Query parameters as the API reads them: repeated, enumerated, bounded; anything else is refused by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from kling_render.sandbox.records import Call


class BadQuery(Exception):
    """A query parameter that the API refuses."""


def many(call: Call, name: str) -> list[str]:
    """All values of a repeatable parameter."""
    return [value for key, value in call.query if key == name]


def one(call: Call, name: str) -> str | None:
    """The value of a parameter that may stand once."""
    values = many(call, name)
    if len(values) > 1:
        raise BadQuery(f"{name}: expected one value, received {len(values)}")
    return values[0] if values else None


def choice(call: Call, name: str, choices: Sequence[str]) -> str | None:
    """A value out of a few."""
    value = one(call, name)
    if value is not None and value not in choices:
        expected = " | ".join(f"'{choice}'" for choice in choices)
        raise BadQuery(f"{name}: invalid enum value, expected {expected}, received '{value}'")
    return value


def integer(call: Call, name: str, default: int, least: int, most: int) -> int:
    """A whole number within bounds."""
    value = one(call, name)
    if value is None:
        return default
    if not re.fullmatch(r"[0-9]{1,10}", value) or not least <= int(value) <= most:
        raise BadQuery(f"{name}: expected an integer from {least} to {most}, received '{value}'")
    return int(value)


def moment(name: str, text: str) -> float:
    """A point in time as seconds since the epoch; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuery(f"{name}: expected ISO-8601, received '{text}'") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
