"""The type of a plain scalar, without YAML 1.1's surprises, and the numbers that are read exactly.

Typed are only `true`/`false`, `null`/`~`/nothing and decimal numbers, as in the YAML 1.2 core schema. Everything
else stays text: `on`, `off`, `yes`, `no`, `010`, `0x1F`, `1_000`, `12:30`, `2024-01-01`, `.inf`.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

_NUMBER = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]*)?|(?P<bare>\.[0-9]+))(?P<power>[eE][-+]?[0-9]+)?")
#: Longer digits are an id or a digest that nobody quoted, not a number.
_LONGEST_NUMBER = 40
_WORDS: dict[str, bool | None] = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "": None,
}
_FIRST = frozenset("-+.0123456789")
#: Texts that YAML 1.1 took for booleans.
YAML11_BOOLEANS = frozenset({"yes", "no", "on", "off", "y", "n"})
_SECONDS = re.compile(r"(?:(?:([0-9]{1,2}):)?([0-9]{1,3}):(?=[0-5]?[0-9](?:\.|$)))?([0-9]{1,6}(?:\.[0-9]{1,9})?)")


def resolve(raw: str) -> str | int | float | bool | None:
    """The value of a plain (unquoted) scalar."""
    if raw[:1] in _FIRST and raw:
        return _number(raw)
    return _WORDS.get(raw, raw)


def _number(raw: str) -> str | int | float:
    match = _NUMBER.fullmatch(raw) if len(raw) <= _LONGEST_NUMBER else None
    if match is None:
        return raw
    if match["fraction"] is None and match["bare"] is None and match["power"] is None:
        return int(raw)
    value = float(raw)
    return value if math.isfinite(value) else raw


def exact(raw: str) -> Decimal:
    """The number as written, without a float in between and without idle zeros."""
    value = Decimal(raw).normalize()
    return Decimal(f"{value:f}") if value else Decimal(0)


def seconds_of(text: str) -> Decimal | None:
    """Seconds of `2`, `7.5`, `0:07.5` or `1:02:03`; None when it is none of these."""
    match = _SECONDS.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    return exact(seconds) + 60 * int(minutes or 0) + 3600 * int(hours or 0)


def written(value: object, raw: str) -> str:
    """A scalar as the text it stands for in ids and patterns: `true`/`false` in small letters, numbers as written."""
    return str(value).lower() if isinstance(value, bool) else raw
