"""Parameter types of the command line: money, times and colours."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import click

_AMOUNT = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_MOMENT = re.compile(r"(?:(?P<minutes>[0-9]{1,4}):(?=[0-5]?[0-9](?:\.|$)))?(?P<seconds>[0-9]{1,6}(?:\.[0-9]{1,6})?)")
_COLOUR = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})")
_COLOURS = {"white": "#ffffff", "black": "#000000", "grey": "#808080", "gray": "#808080"}
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Usd(click.ParamType[Decimal]):
    """An amount in USD."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Plain digits and cents, up to a million: what is hard to read is no cap."""
        text = str(value).removeprefix("$")
        if not _AMOUNT.fullmatch(text):
            self.fail(f"'{value}' is not an amount in USD, such as 5 or 0.75", param, ctx)
        return Decimal(text)


class Duration(click.ParamType[float]):
    """A time span: `90`, `90s`, `30m`, `5h`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        text = str(value).strip().lower()
        unit = text[-1:] if text[-1:] in "smh" else ""
        try:
            seconds = float(text.removesuffix(unit)) * _UNITS[unit]
        except ValueError:
            self.fail(f"'{value}' is not a time span such as 90s, 30m or 5h", param, ctx)
        if not 0 <= seconds < 1e9:
            self.fail(f"'{value}' is not a time span such as 90s, 30m or 5h", param, ctx)
        return seconds


class Moment(click.ParamType[Decimal]):
    """A time in a clip: seconds, or `m:ss`, as in a shot list."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Seconds."""
        found = _MOMENT.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"'{value}' is not a time such as 7.5 or 1:23", param, ctx)
        return Decimal(found["minutes"] or 0) * 60 + Decimal(found["seconds"])


class Colour(click.ParamType[str]):
    """A colour: `#rgb`, `#rrggbb`, or one of a few names; where it is allowed, `blur`."""

    name = "colour"

    def __init__(self, *, blur: bool = False) -> None:
        self._blur = blur

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """`#rrggbb`, or `blur`."""
        text = str(value).strip().lower()
        if text == "blur" and self._blur:
            return text
        text = _COLOURS.get(text, text)
        if not _COLOUR.fullmatch(text):
            also = " or blur" if self._blur else ""
            self.fail(f"'{value}' is not a colour such as #202020, black or white{also}", param, ctx)
        return text if len(text) == 7 else "#" + "".join(2 * digit for digit in text[1:])
