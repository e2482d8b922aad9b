"""What watch mode says, in words: the same on a terminal and in a log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from pathlib import Path

from kling_render.cli.job_words import LOOKS, one_line
from kling_render.cli.progress_board import is_free
from kling_render.engine.work import JobState
from kling_render.errors import Diagnostic
from kling_render.planning.prices import total_usd
from kling_render.planning.records import Action, Plan, PlannedJob
from kling_render.planning.text import cause_text, costly_groups, dearest, jobs_word, usd_text, why_text
from kling_render.watch.allowance import Purse
from kling_render.watch.news import Broken, RunOver
from kling_render.watch.wanting import Held

PATHS = 3
"""Saved files that are named."""

#: What is done about jobs, shorter than in a plan.
WORDS = {
    Action.RENDER: "to render",
    Action.RESTORE: "to restore",
    Action.RESUME: "to go on with",
    Action.ADOPT: "to take over",
    Action.BLOCKED: "blocked",
    Action.PINNED: "picked and edited since",
    Action.UP_TO_DATE: "up to date",
}
_WORK = frozenset({Action.RENDER, Action.RESTORE, Action.RESUME, Action.ADOPT, Action.BLOCKED})


def paths_text(paths: Sequence[Path], shown: Callable[[Path], str], most: int = PATHS) -> str:
    """`shotlist.yaml, chars/fox.png and 4 more`."""
    if not paths:
        return "nothing"
    names = [one_line(shown(path)) for path in paths[:most]]
    return ", ".join(names) + (f" and {len(paths) - most} more" if len(paths) > most else "")


def names_text(jobs: Sequence[str], most: int = PATHS) -> str:
    """The ids of some jobs."""
    return ", ".join(map(one_line, jobs[:most])) + (f" and {len(jobs) - most} more" if len(jobs) > most else "")


def counts_text(jobs: Sequence[PlannedJob], *, money: bool) -> str:
    """`3 to render, about $1.34; 45 up to date`."""
    counts = Counter(planned.action for planned in jobs)
    parts = [f"{counts[action]} {word}" for action, word in WORDS.items() if counts[action]]
    if counts[Action.RENDER] and money:
        parts[0] += f", {about(jobs)}"
    return "; ".join(parts)


def about(jobs: Sequence[PlannedJob]) -> str:
    """What rendering those of the jobs costs that are to be rendered."""
    usd = total_usd(planned.estimate_usd for planned in jobs if planned.action is Action.RENDER)
    return "price not known" if usd is None else f"about {usd_text(usd)}"


def effect_text(before: Plan | None, after: Plan) -> str:
    """What a save causes: the jobs with work to do that had not this work before, and those that have none now."""
    if before is None:
        return counts_text(after.jobs, money=not is_free(after)) or "no jobs"
    known = {planned.job.id: planned for planned in before.jobs}
    new = [planned for planned in after.jobs if planned.action in _WORK and _work_of(known, planned) != _work(planned)]
    parts = [counts_text(new, money=not is_free(after))] if new else []
    settled = sum(p.action not in _WORK and known[p.job.id].action in _WORK for p in after.jobs if p.job.id in known)
    gone = len(known.keys() - {planned.job.id for planned in after.jobs})
    parts += [f"{count} {word}" for count, word in ((settled, "up to date again"), (gone, "gone")) if count]
    return "; ".join(parts) or "no job has other work to do"


def _work(planned: PlannedJob) -> tuple[str, Action]:
    return planned.key, planned.action


def _work_of(known: dict[str, PlannedJob], planned: PlannedJob) -> tuple[str, Action] | None:
    before = known.get(planned.job.id)
    return None if before is None else _work(before)


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit and what it costs: its place, what was edited, how many jobs it causes, for how much."""

    at: str
    what: str
    jobs: str
    cost: str


def edits(plan: Plan) -> list[Edit]:
    """Which edit causes which cost, the dearest first."""
    return [_edit(members, money=not is_free(plan)) for _, members in dearest(costly_groups(plan.jobs, why_text))]


def _edit(members: Sequence[PlannedJob], *, money: bool) -> Edit:
    at, what = map(one_line, cause_text(members[0]))
    return Edit(at, what, jobs_word(len(members)), about(members) if money else "")


def amount_text(held: Held, jobs: Sequence[str], plan: Plan | None) -> str:
    """`3 jobs, about $1.34, up to $1.50`."""
    ids = frozenset(jobs)
    likely = (
        total_usd(p.estimate_usd for p in plan.jobs if p.job.id in ids and p.action is Action.RENDER) if plan else None
    )
    if held.usd is None:
        return f"{jobs_word(len(jobs))}, price not known"
    if likely is None or likely == held.usd:
        return f"{jobs_word(len(jobs))}, {'about' if likely is not None else 'up to'} {usd_text(held.usd)}"
    return f"{jobs_word(len(jobs))}, about {usd_text(likely)}, up to {usd_text(held.usd)}"


def seconds_left(until: float, now: float) -> int:
    """Whole seconds of a countdown; 1 until it is over."""
    return max(ceil(until - now), 1)


def purse_text(today: Decimal, purse: Purse) -> list[str]:
    """What it costs today, what the allowance leaves this hour, and a budget that leaves less."""
    per_hour = purse.allowance.per_hour_usd
    left = max(per_hour - purse.last_hour, Decimal(0))
    parts = [f"today {usd_text(today)}", f"this hour {usd_text(left)} of {usd_text(per_hour)} left"]
    if purse.left is not None and purse.left < left:
        parts.append(f"{one_line(purse.budget)} leaves {usd_text(purse.left)}")
    return parts


def states_text(over: RunOver) -> str:
    """`3 done, 1 failed, $1.34`."""
    counts = {JobState(state): count for state, count in over.states}
    parts = [f"{counts[state]} {look.word}" for state, look in LOOKS.items() if counts.get(state)]
    return ", ".join([*(parts or ["nothing to do"]), *([usd_text(over.spent)] if over.spent else [])])


def broken_lines(broken: Broken) -> Iterator[str]:
    """A line per error: its place, code, message and what helps."""
    errors = [found for found in broken.diagnostics if found.severity == "error"]
    for found in errors:
        yield diagnostic_line(found)
    if not errors:
        yield with_help(broken.message, broken.help)


def broken_text(broken: Broken) -> str:
    """The first error in short, and how many more there are."""
    errors = [found for found in broken.diagnostics if found.severity == "error"]
    if not errors:
        return one_line(broken.message)
    place = f"{errors[0].place}: " if errors[0].place else ""
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return one_line(f"{place}{errors[0].message}") + more


def diagnostic_line(found: Diagnostic) -> str:
    """A diagnostic on one line."""
    place = f"{one_line(str(found.place))}: " if found.place else ""
    return f"{place}{found.severity}[{found.code}]: {with_help(found.message, found.help)}"


def with_help(message: str, remedy: str) -> str:
    """What is wrong, and what helps, on one line."""
    return "; ".join(one_line(text) for text in (message, remedy) if text)
