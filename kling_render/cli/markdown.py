"""A comparison as a comment for a pull request.

Foreign text (names, paths, options) stands in code spans: nothing in there is a link, a mention, HTML or the end of a
table's cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import TypeVar

from kling_render.planning.comparison import Change, Comparison, counts_text
from kling_render.planning.prices import total_usd
from kling_render.planning.records import Action, PlannedJob, Reason
from kling_render.planning.text import costly_groups, dearest, jobs_word, rest_text, usd_text, visible

T = TypeVar("T")

LISTED = 100
"""Rows of a table; a comment has a limit."""
LONGEST = 60_000
"""Characters of a comment; the forge's limit is a little above."""
_LENGTH = 160
"""Characters of one foreign text."""


def comparison_markdown(of: Comparison) -> str:
    """The comment; ends with a newline."""
    parts = ["\n".join(part) for part in (_head(of), _edits(of), _shots(of), _jobs(of), _gone(of), _foot(of))]
    whole = ""
    for part in filter(None, parts):
        if len(whole) + len(part) > LONGEST:
            return f"{whole}\nThe rest is too long for a comment; `kling-render plan --base` shows it.\n"
        whole += f"{part}\n"
    return whole


def code(text: str) -> str:
    """Foreign text as a code span that stays inside its cell and its backticks."""
    # A pipe ends a cell even inside backticks, and ways to escape it differ; the box drawing line looks like it.
    plain = " ".join(visible(text).replace("|", "│").split()) or "-"
    plain = plain if len(plain) <= _LENGTH else f"{plain[:_LENGTH]}…"
    longest = max(map(len, re.findall(r"`+", plain)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def _head(of: Comparison) -> Iterator[str]:
    sums = of.plan.totals
    if sums.render:
        bill = f"about {usd_text(sums.estimate_usd)}, up to {usd_text(sums.up_to_usd)}"
        bill = "for an unknown price" if sums.estimate_usd is None else bill
        yield f"### kling-render: {jobs_word(sums.render)} to render, {bill}"
    else:
        yield "### kling-render: nothing to render, $0.00"
    if sums.locked:
        most = total_usd((sums.up_to_usd, sums.locked_up_to_usd))
        yield ""
        yield f"{jobs_word(sums.locked)} paid before, as the lock file says; if links are dead up to {usd_text(most)}."
    yield ""
    yield f"{code(of.plan.project)} compared with {code(of.base.ref)} ({code(of.base.commit[:12])}): {counts_text(of)}."


def _edits(of: Comparison) -> Iterator[str]:
    """Dollars per edit."""
    groups = costly_groups(of.plan.jobs, lambda planned: "; ".join(map(_why, planned.reasons)))
    rows = dearest(groups)
    head, line = "| edit | jobs | cost |", "| --- | ---: | ---: |"
    yield from _table(head, line, rows[:LISTED], lambda row: (row[0], *_bill(row[1])))
    if rest := [members for _, members in rows[LISTED:]]:
        yield from ("", f"… and {rest_text(rest)}.")


def _shots(of: Comparison) -> Iterator[str]:
    """Dollars per shot, with what was added, changed and removed."""
    shots = dict.fromkeys([p.job.shot for p in of.plan.jobs] + [job.job.shot for job in of.removed])
    counted = {shot: dict.fromkeys(Change, 0) for shot in shots}
    for planned in of.plan.jobs:
        counted[planned.job.shot][of.changes[planned.job.id]] += 1
    for job in of.removed:
        counted[job.job.shot][Change.REMOVED] += 1
    costly = costly_groups(of.plan.jobs, lambda planned: planned.job.shot)
    touched = [shot for shot in shots if sum(counted[shot].values()) > counted[shot][Change.UNCHANGED]]

    def row(shot: str) -> tuple[str, ...]:
        counts = counted[shot]
        few = (str(counts[change]) for change in (Change.ADDED, Change.CHANGED, Change.REMOVED))
        return code(shot), *few, _bill(costly.get(shot, []))[1]

    head, line = "| shot | added | changed | removed | cost |", "| --- | ---: | ---: | ---: | ---: |"
    yield from _table(head, line, touched, row)


def _jobs(of: Comparison) -> Iterator[str]:
    rows = [p for p in of.plan.jobs if of.changes[p.job.id] in (Change.ADDED, Change.CHANGED)]

    def row(planned: PlannedJob) -> tuple[str, ...]:
        free = "paid before" if planned.is_promised else "shared"
        cost = usd_text(planned.estimate_usd) if planned.action is Action.RENDER else free
        return code(planned.job.id), of.changes[planned.job.id].value, "; ".join(map(_why, planned.reasons)), cost

    lines = list(_table("| job | change | why | cost |", "| --- | --- | --- | ---: |", rows, row))
    yield from _folded(f"{jobs_word(len(rows))} added or changed", lines)


def _gone(of: Comparison) -> Iterator[str]:
    moved = [(code(old), code(new)) for new, old in of.moved.items()]
    lines = list(_table("| was | is now, for nothing |", "| --- | --- |", moved, lambda row: row))
    removed = [(code(job.job.id),) for job in of.removed]
    lines += _table("| removed |", "| --- |", removed, lambda row: row)
    yield from _folded(f"{len(moved)} moved, {len(removed)} removed", lines)


def _foot(of: Comparison) -> Iterator[str]:
    yield ""
    yield from (f"- {code(note)}" for note in of.base.notes)
    for price in of.plan.prices:
        if price.source != "free":
            rates = [f"{usd_text(price.usd_per_second)} per second"] if price.usd_per_second is not None else []
            rates += [f"{usd_text(price.usd_fixed)} per render"] if price.usd_fixed is not None else []
            yield f"- {code(price.model)}: {' + '.join(rates)} (as of {code(price.as_of[:10])})"
    yield "- Costs assume that what the base asks for was rendered."


def _table(head: str, line: str, rows: Sequence[T], cells: Callable[[T], Iterable[str]]) -> Iterator[str]:
    if not rows:
        return
    yield from ("", head, line)
    yield from (f"| {' | '.join(cells(row))} |" for row in rows[:LISTED])
    if len(rows) > LISTED:
        yield from ("", f"… and {len(rows) - LISTED} more.")


def _folded(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", f"<details><summary>{title}</summary>", *lines, "", "</details>")


def _why(of: Reason) -> str:
    return f"{code(_relative(of.at))} {code(of.text)}" if of.at else code(of.text)


def _relative(place: str) -> str:
    """Never where a file lies on the machine that made the comment."""
    absolute = PurePosixPath(place).is_absolute() or PureWindowsPath(place).is_absolute()
    return PureWindowsPath(place).name if absolute else place


def _bill(members: Sequence[PlannedJob]) -> tuple[str, str]:
    if not members:
        return "0", "$0.00"
    return str(len(members)), f"about {usd_text(total_usd(p.estimate_usd for p in members))}"
