"""A watch session as JSON lines (`--events`): those of its runs, and what sets them going."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kling_render.cli.diagnostics import as_json
from kling_render.cli.events import EventWriter
from kling_render.engine.work import Progress
from kling_render.planning.document import money
from kling_render.planning.prices import total_usd
from kling_render.planning.records import Plan, PlannedJob
from kling_render.planning.text import costly_groups, dearest, why_text
from kling_render.watch.allowance import Purse
from kling_render.watch.news import (
    Broken,
    Changed,
    Dropped,
    Holding,
    Leaving,
    News,
    Rendering,
    Replanned,
    RunOver,
    Settled,
    Trouble,
)


class WatchEvents:
    """Writes a line for each thing that happens.

    Args:
        writer: of the lines; what runs do is told to it as it is.
        monotonic: the clock that holds are measured with, in seconds.
    """

    def __init__(self, writer: EventWriter, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._monotonic = monotonic

    def tell(self, news: News | Progress) -> None:
        """One thing that happened."""
        if isinstance(news, Progress):
            self._writer.tell(news)
            return
        if isinstance(news, Rendering):
            self._writer.begin()
        event, facts = self._event(news)
        self._writer.write(event, facts)

    def _event(self, news: News) -> tuple[str, dict[str, Any]]:
        match news:
            case Changed(paths) | Settled(paths):
                return "changed" if isinstance(news, Changed) else "settled", {"paths": _paths(paths)}
            case Broken():
                errors = as_json(news.diagnostics)
                return "broken", {"message": news.message, "help": news.help or None, "errors": errors}
            case Replanned():
                return "planned", _planned(news)
            case Holding():
                return "holding", self._holding(news)
            case Rendering() | Dropped():
                return "rendering" if isinstance(news, Rendering) else "dropped", {"jobs": list(news.jobs)}
            case RunOver():
                return "run-over", _over(news)
            case Trouble(message, remedy):
                return "trouble", {"message": message, "help": remedy or None}
            case Leaving(text):
                return "leaving", {"text": text}

    def _holding(self, news: Holding) -> dict[str, Any]:
        held = news.held
        if held is None:
            return {"jobs": [], "up_to_usd": "0", "in_s": None, "why": ""}
        left = None if held.until is None else round(max(held.until - self._monotonic(), 0.0), 3)
        return {"jobs": list(news.jobs), "up_to_usd": money(held.usd), "in_s": left, "why": held.why}


def _paths(paths: Iterable[Path]) -> list[str]:
    return [path.as_posix() for path in paths]


def _planned(news: Replanned) -> dict[str, Any]:
    plan = news.plan
    return {
        "paths": _paths(news.paths),
        "differs": news.differs,
        "watched": news.watched,
        "actions": dict(Counter(planned.action.value for planned in plan.jobs)),
        "estimate_usd": money(plan.totals.estimate_usd),
        "up_to_usd": money(plan.totals.up_to_usd),
        "edits": _edits(plan),
        "today_usd": money(news.today),
        "hour": _hour(news.purse),
        "warnings": as_json(news.warnings),
    }


def _edits(plan: Plan) -> list[dict[str, Any]]:
    """Which edit causes which cost, the dearest first."""
    return [_edit(members) for _, members in dearest(costly_groups(plan.jobs, why_text))]


def _edit(members: list[PlannedJob]) -> dict[str, Any]:
    reasons = [{"code": r.code.value, "text": r.text, "at": r.at} for r in members[0].reasons]
    return {
        "reasons": reasons,
        "jobs": [planned.job.id for planned in members],
        "estimate_usd": money(total_usd(planned.estimate_usd for planned in members)),
    }


def _hour(purse: Purse) -> dict[str, Any]:
    return {
        "spent_usd": money(purse.last_hour),
        "allowance_usd": money(purse.allowance.per_hour_usd),
        "budget": purse.budget or None,
        "budget_left_usd": money(purse.left),
    }


def _over(news: RunOver) -> dict[str, Any]:
    return {
        "states": dict(news.states),
        "usd": money(news.spent),
        "stops": list(news.stops),
        "notices": list(news.notices),
        "superseded": news.superseded,
    }
