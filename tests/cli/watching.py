"""A watch session for the displays' tests: plans, purses, and what is told in the order it happens."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from kling_render.engine.work import Failure, JobReport, JobState, Progress
from kling_render.errors import Diagnostic, Place
from kling_render.lifecycle.records import credits_of
from kling_render.planning.records import Plan
from kling_render.shotlist.records import WatchAllowance
from kling_render.watch.allowance import Purse
from kling_render.watch.news import Holding, Replanned
from kling_render.watch.wanting import Held
from tests.cli.plans import job, plan_of

S = JobState
FOLDER = Path("/p")
PRICE = credits_of(Decimal("0.448"))
JOBS = [job(f"sc{n // 4}", "captain-of-the-guard", f"wave-{n}") for n in range(8)]
IDS = [one.id for one in JOBS]
REFUSED = Failure(kind="content-refused", message="the prompt was refused", remedy="change the prompt")
PLACE = Place("prompts/wave.j2", 4, 14, "She waves at {{ motoin.name }} " + "and laughs " * 30, 11)
TYPO = Diagnostic("template-undefined", "unknown name 'motoin'", PLACE, "did you mean 'motion'?")
WARNING = Diagnostic("unused", "nothing uses 'fox'", Place("shotlist.yaml", 2, 1, "fox:", 3), severity="warning")


def shown(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


def plan(edited: int = 0, *, free: bool = False) -> Plan:
    """Everything is done, but the first jobs were edited since."""
    jobs = [
        replace(one, request=replace(one.request, prompt="other")) if number < edited else one
        for number, one in enumerate(JOBS)
    ]
    return plan_of(jobs, done=frozenset(IDS[edited:]), free=free)


def replanned(
    edited: int = 0,
    *paths: str,
    differs: bool = True,
    free: bool = False,
    spent: str = "1.50",
    left: str | None = None,
    warnings: tuple[Diagnostic, ...] = (),
) -> Replanned:
    budget = None if left is None else Decimal(left)
    purse = Purse(
        allowance=WatchAllowance(), last_hour=Decimal(spent), left=budget, budget="budget_per_day_usd" if left else ""
    )
    return Replanned(
        paths=tuple(FOLDER / path for path in paths),
        plan=plan(edited, free=free),
        differs=differs,
        today=Decimal(4),
        purse=purse,
        watched=31,
        warnings=warnings,
    )


def holding(count: int, usd: str | None, until: float | None, why: str = "within the allowance") -> Holding:
    amount = None if usd is None else Decimal(usd)
    return Holding(Held(frozenset(IDS[:count]), amount, until, why), tuple(IDS[:count]))


def at(number: int, state: JobState, **facts: object) -> Progress:
    report = JobReport(job=IDS[number], state=state, **facts)  # type: ignore[arg-type]
    return Progress(event="job", job=IDS[number], facts={"report": report})


def note(text: str, event: str = "note", **facts: str) -> Progress:
    return Progress(event=event, facts={"text": text, **facts})
