"""Words that the commands for the store's upkeep share: sizes, costs, files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kling_render.cli.diagnostics import escaped
from kling_render.cli.job_words import credits_text
from kling_render.lifecycle.records import usd_of
from kling_render.planning.document import money

if TYPE_CHECKING:
    from kling_render.store.garbage import Item

LISTED = 20
"""Lines of one kind that are shown; the rest is counted."""


def size_text(count: int) -> str:
    """`0.3 KB`, `12.5 MB`, `3.1 GB`: powers of a thousand, as disks are sold."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1000:.1f} KB"


def files_word(count: int) -> str:
    """`1 file`, `3 files`."""
    return f"{count} file{'' if count == 1 else 's'}"


def usd(credits: int | None) -> str | None:  # noqa: A002 - the vendor's word
    """Credits for a document: exact decimal text, None when unknown."""
    return None if credits is None else money(usd_of(credits))


def sum_text(items: Iterable[Item]) -> str:
    """`3 files, 12.5 MB, cost $1.35 and 1 of unknown cost`."""
    found = list(items)
    unknown = sum(item.credits is None for item in found)
    known = credits_text(sum(item.credits or 0 for item in found))
    more = f" and {unknown} of unknown cost" if unknown else ""
    return f"{files_word(len(found))}, {size_text(sum(item.size for item in found))}, cost {known}{more}"


def item_line(item: Item) -> str:
    """One file: kind, size, cost, for whom, where."""
    cost = credits_text(item.credits)
    jobs = ", ".join(item.jobs[:2]) + (" …" if len(item.jobs) > 2 else "")
    path = item.path.replace(item.sha256, f"{item.sha256[:12]}…") if item.sha256 else item.path
    cells = f"{item.kind.value:<12}  {size_text(item.size):>9}  {cost:>8}  {escaped(jobs)}  {escaped(path)}"
    return " ".join(cells.split("\n"))


def some(lines: list[str], *, everything: bool = False) -> list[str]:
    """As many lines as are shown, then how many more there are."""
    if everything or len(lines) <= LISTED:
        return lines
    return [*lines[:LISTED], f"… and {len(lines) - LISTED} more (`--verbose` or `--json` shows all)"]
