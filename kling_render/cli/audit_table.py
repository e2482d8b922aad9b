"""The audit on a terminal: the same words and figures as the plain lines, in tables. Needs no colour."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kling_render.cli.audit_text import (
    LISTED,
    SIDES,
    exact,
    group_rows,
    head,
    heading,
    minute,
    name_of,
    notes,
    sections_of,
    sums,
    verdict,
)
from kling_render.cli.cells import cut_middle
from kling_render.cli.job_words import one_line
from kling_render.lifecycle.books import DIFFERS, Kind, Line, totals
from kling_render.workspace.account.auditing import Audit, by_facet

_BAR = 20
_DATED = 100
"""Columns from which on a generation's line has room for its time."""
_ID = 24
"""Columns for a generation's id: it is to be copied whole."""
_FIGURES = 2 + 11 + 10 + 8 + 5
"""Columns of the amounts."""


def print_audit(console: Console, audit: Audit, facet: str | None, *, verbose: bool = False) -> None:
    """Print the audit; `verbose` lists every generation."""
    for line in head(audit):
        console.print(Text(one_line(line), "bold"))
    _sums(console, audit)
    if facet:
        _groups(console, audit, facet)
    for kind, members in sections_of(audit, verbose=verbose):
        _section(console, audit, kind, members, verbose=verbose)
    for note in notes(audit):
        console.print(Text(one_line(note), "dim"))
    _verdict(console, audit)


def _sums(console: Console, audit: Audit) -> None:
    table = _grid("left", "right", "left")
    table.add_row(Text("generations", "dim"), Text(f"{len(audit.lines):,}", "bold"), Text(""))
    for name, amount, remark in sums(audit):
        table.add_row(Text(name, "dim"), Text(amount, "bold" if name == "booked" else ""), Text(remark, "dim"))
    console.print(Padding(table, (0, 0, 0, 2)))


def _groups(console: Console, audit: Audit, facet: str) -> None:
    """A row per value, with its share of what was spent as a bar."""
    _title(console, f"by {facet}{' (UTC)' if facet == 'day' else ''}")
    asked = audit.unasked is None
    names = ["", "", "estimated", "reported", *(["booked"] if asked else []), ""]
    table = _grid("left", "right", "right", "right", *(["right"] if asked else []), "left")
    table.columns[0].no_wrap, table.columns[0].overflow = False, "fold"
    table.add_row(*(Text(name, "dim") for name in names))
    groups = [totals(members) for members in by_facet(audit.lines, facet).values()]
    spent = [total.booked if asked else total.reported for total in groups]
    for (name, count, *figures), amount in zip(group_rows(audit, facet), spent, strict=True):
        cells = [Text(figure, "bold" if number == 2 else "") for number, figure in enumerate(figures)]
        bar = Text(_bar(console, amount, max(spent)), "blue")
        table.add_row(Text(name), Text(count, "dim"), *cells, bar)
    console.print(Padding(table, (0, 0, 0, 2)))


def _section(console: Console, audit: Audit, kind: Kind, members: Sequence[Line], *, verbose: bool) -> None:
    said, remedy = heading(kind, members)
    symbol, style = _look(console, kind)
    console.print()
    console.print(Text(f"{symbol} {said}", style))
    if remedy:
        console.print(Padding(Text(remedy, "dim"), (0, 0, 0, 2)))
    shown = members if verbose else members[:LISTED]
    asked = audit.unasked is None
    dated = console.width >= _DATED
    table = _grid("left", "left", *(["left"] if dated else []), "right", "right", *(["right", "left"] if asked else []))
    columns = ["job", "generation", *(["UTC"] if dated else []), *SIDES[: 3 if asked else 2], *([""] if asked else [])]
    table.add_row(*(Text(name, "dim") for name in columns))
    room = max(console.width - _FIGURES - _ID - (18 if dated else 0), 12)
    for line in shown:
        when = [Text(minute(line.at), "dim")] if dated else []
        generation = Text(cut_middle(one_line(line.generation_id or "(no id)"), _ID))
        table.add_row(Text(cut_middle(name_of(line), room)), generation, *when, *_amounts(line, asked=asked))
    console.print(Padding(table, (0, 0, 0, 2)))
    if len(shown) < len(members):
        console.print(Text(f"  … and {len(members) - len(shown)} more (-v lists them)", "dim"))


def _amounts(line: Line, *, asked: bool) -> list[Text]:
    cells = [Text(exact(line.estimate if line.attempt else None)), Text(exact(line.reported))]
    if asked:
        several = f"× {len(line.bookings)}" if len(line.bookings) > 1 else ""
        cells += [Text(exact(line.booked) if line.bookings else "–", "bold"), Text(several)]
    return cells


def _verdict(console: Console, audit: Audit) -> None:
    console.print()
    style = "yellow" if audit.unasked is not None else "bold red" if audit.differing else "green"
    for line in verdict(audit).splitlines():
        console.print(Text(one_line(line), style))


def _look(console: Console, kind: Kind) -> tuple[str, str]:
    """Symbol and colour; each is enough on its own beside the words."""
    plain = console.options.ascii_only
    if kind in DIFFERS:
        return ("!" if plain else "✗"), "bold red"
    return ("-" if plain else "·"), "bold"


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"))


def _grid(*justify: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for each in justify:
        table.add_column(justify=each, no_wrap=True)  # type: ignore[arg-type] # our own literals
    return table


def _bar(console: Console, value: int, most: int) -> str:
    if most <= 0 or value <= 0:
        return ""
    cells = max(int((Decimal(value) * _BAR / Decimal(most)).to_integral_value()), 1)
    return ("#" if console.options.ascii_only else "█") * cells
