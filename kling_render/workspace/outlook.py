"""What a plan will cost and how long it will take: the catalogue's prices held against what own renders told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from kling_render.config import Settings
from kling_render.lifecycle.records import Attempt, credits_of, usd_of
from kling_render.planning.eta import Pace, eta, pace_of
from kling_render.planning.learning import NOTHING, Actual, Lesson, Rounding, learn
from kling_render.planning.manifest import Manifest
from kling_render.planning.prices import Price, estimate, parameters_of
from kling_render.planning.records import Action, Note, NoteCode, Plan
from kling_render.planning.text import usd_text
from kling_render.store.opening import Store
from kling_render.workspace.prices import Quotes, asked

_NEWEST = 200
"""Finished renders that are looked at."""

_COUNTED = {
    Rounding.EXACT: "seconds are charged exactly",
    Rounding.SECOND: "a second begun is charged whole",
    Rounding.FIVE_SECONDS: "seconds are charged in steps of 5",
    Rounding.TEN_SECONDS: "seconds are charged in steps of 10",
}


@dataclass(frozen=True, slots=True)
class Outlook:
    """Prices, what earlier charges taught about them, and how long renders take."""

    prices: Quotes
    #: By model; only those that taught something.
    lessons: Mapping[str, Lesson]
    paces: Mapping[str, Pace]

    def told(self, plan: Plan, at_once: int) -> Plan:
        """The plan with its notes and its ETA, for so many jobs at once."""
        renders = [planned.job.request.model for planned in plan.jobs if planned.action is Action.RENDER]
        if not renders:
            return plan
        models = set(renders)
        lessons = [note for model in sorted(models) for note in self._learnt(model, plan.prices)]
        return replace(plan, notes=(*self.prices.notes(models), *lessons), eta=eta(renders, self.paces, at_once))

    def _learnt(self, model: str, prices: Sequence[Price]) -> list[Note]:
        lesson = self.lessons.get(model, NOTHING)
        quoted = next((p.usd_per_second for p in prices if p.model == model and p.usd_per_second), None)
        if lesson.factor != 1 and quoted is not None:
            charged = usd_text(quoted * lesson.factor)
            text = f"{model} was charged {charged} per second, the catalogue says {usd_text(quoted)}"
            end = f"(the last {lesson.renders} renders); “up to” counts with the higher one"
            return [Note(NoteCode.RATE_DIFFERS, f"{text} {end}")]
        if lesson.rounding is None:
            return []
        text = f"{model}: {_COUNTED[lesson.rounding]}, learnt from {lesson.renders} renders"
        return [Note(NoteCode.ROUNDING_LEARNT, text)]


def outlook(
    models: Collection[str],
    store: Store,
    settings: Settings,
    namespace: str,
    now: float,
    *,
    prices: Quotes | None,
) -> Outlook:
    """Everything that is known about the bill and the time.

    Args:
        models: of the project.
        store: has the finished renders, and the prices last seen.
        settings: whose catalogue is asked.
        namespace: whose renders count.
        now: seconds since the epoch.
        prices: those last seen. None: ask the catalogue; and how long renders take, where own ones do not tell.
    """
    with store.ledger.reading() as reading:
        finished = reading.finished(namespace, _NEWEST)
    paces = {model: pace for model in models if (pace := _pace(finished, model))}
    if prices is None:
        prices, durations = asked(models, set(models) - set(paces), settings.base_url, store.cache, now)
        paces |= {model: Pace(one.p50_s, one.p90_s, "metrics") for model, one in durations.items()}
    lessons = {model: learn(_actuals(finished, model, prices)) for model in models}
    return Outlook(prices, {model: one for model, one in lessons.items() if one is not NOTHING}, paces)


def _pace(finished: Sequence[Attempt], model: str) -> Pace | None:
    return pace_of([a.ready_at - a.accepted_at for a in finished if a.model == model and a.ready_at and a.accepted_at])


def _actuals(finished: Sequence[Attempt], model: str, prices: Quotes) -> list[Actual]:
    """The renders that can be held against today's price: one that was cheaper when it was planned cannot."""
    found = []
    for attempt in finished:
        if attempt.model != model or attempt.charge is None or attempt.duration_s is None:
            continue
        if attempt.reserved_at < prices.since(model):
            continue
        price = prices.of(model, parameters_of(Manifest(attempt.manifest).entries))
        seconds = Decimal(str(attempt.duration_s))
        today = estimate(price, seconds) if isinstance(price, Price) else None
        if not isinstance(price, Price) or today is None:
            continue
        if attempt.hold is not None and attempt.hold < credits_of(today) * Decimal("0.998"):
            continue
        found.append(Actual(seconds, usd_of(attempt.charge), price))
    return found
