"""Parameter types of the command line: money and time spans."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import click

_AMOUNT = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
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
