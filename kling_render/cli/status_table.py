"""Where a project stands: jobs by state, failures with their remedy, money. Text, and `status --json`'s document."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kling_render.cli.job_words import credits_text, duration, one_line
from kling_render.cli.questions import named, question_documents, question_line, question_text
from kling_render.cli.timestamps import iso
from kling_render.lifecycle.answers import REMEDIES, FailureClass
from kling_render.lifecycle.records import Attempt, usd_of
from kling_render.planning.document import job_document, money
from kling_render.planning.records import Plan, PlannedJob
from kling_render.planning.states import STATES, job_state
from kling_render.planning.text import jobs_word, visible, why_text
from kling_render.workspace.doubts.evidence import Question
from kling_render.workspace.workspace import PREVIZ

FORMAT = "kling-render.status/1"
LISTED = 20
"""Jobs named below each state; `verbose` names all."""

#: States whose jobs are named; the others are only counted.
_NAMED = ("running", "ready", "blocked", "in-doubt", "needs-user", "paid-lost", "abandoned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What a scope of the ledger (one project, one day, …) has cost, in credits."""

    #: `this project`, `budget.total_usd`, …: shown.
    name: str
    charged: int
    #: All that may still be charged, what is in doubt included.
    held: int
    in_doubt: int
    #: The cap over this scope, if there is one.
    limit: int | None = None
    #: Open attempts whose price is unknown.
    unpriced: int = 0

    @property
    def left(self) -> int | None:
        """What the cap leaves; None without one, or while something has no known price."""
        if self.limit is None or self.unpriced:
            return None
        return max(self.limit - self.charged - self.held, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All that the status is made of. Times are seconds since the epoch."""

    plan: Plan
    #: The project's own sums first, then one per cap.
    money: Sequence[Money]
    now: float
    #: Seconds that generations of this project take, in the middle; None when none ended yet.
    typical_s: float | None = None
    #: What waits for the user's answer, of jobs of the plan and of cells that were edited away.
    questions: Sequence[Question] = ()
    #: Paid generations of the account that no job is known for; see `Attempt.is_unattached`.
    unattached: Sequence[Attempt] = ()
    #: Job → what a look at the whole of its result found.
    warnings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: Jobs whose results nobody watched to their end; rehearsals are not watched.
    unwatched: Collection[str] = ()


def status_document(status: Status) -> dict[str, Any]:
    """The document of `status --json`."""
    plan = status.plan
    jobs = [_job(planned, plan.output_dir, status) for planned in plan.jobs]
    counts = {state: sum(job["state"] == state for job in jobs) for state in STATES}
    return {
        "format": FORMAT,
        "project": plan.project,
        "provider": plan.provider,
        "jobs": jobs,
        "states": {state: count for state, count in counts.items() if count},
        "money": [
            {
                "name": one.name,
                "charged_usd": money(usd_of(one.charged)),
                "held_usd": money(usd_of(one.held)),
                "in_doubt_usd": money(usd_of(one.in_doubt)),
                "limit_usd": _usd(one.limit),
                "left_usd": _usd(one.left),
                "unpriced": one.unpriced,
            }
            for one in status.money
        ],
        "to_spend_usd": money(plan.totals.estimate_usd),
        "questions": question_documents(status.questions),
        "unattached": [
            {"generation_id": a.generation_id, "attempt": a.id, "state": a.state.value, "usd": _usd(_paid(a))}
            for a in status.unattached
        ],
        "stale_outputs": list(plan.stale_outputs),
    }


def status_text(status: Status, *, verbose: bool = False) -> str:
    """The status as lines, never wrapped; ends with a newline."""
    by_state: dict[str, list[PlannedJob]] = {}
    for planned in status.plan.jobs:
        by_state.setdefault(job_state(planned), []).append(planned)
    sections = [
        _head(status.plan, by_state),
        _money(status.money),
        _failures(by_state.get("failed", []), verbose=verbose),
        *(_named(state, by_state[state], status, verbose=verbose) for state in _NAMED if state in by_state),
        _warnings(status, verbose=verbose),
        _questions(status, verbose=verbose),
        _unattached(status.unattached),
    ]
    return "\n\n".join(text for text in ("\n".join(lines) for lines in sections) if text) + "\n"


def _head(plan: Plan, by_state: dict[str, list[PlannedJob]]) -> Iterator[str]:
    yield f"{visible(plan.project)}: {jobs_word(len(plan.jobs))}, provider {visible(plan.provider)}"
    width = len(str(len(plan.jobs)))
    for state, words in STATES.items():
        if state in by_state:
            yield f"  {len(by_state[state]):>{width}}  {words}"


def _money(sums: Sequence[Money]) -> Iterator[str]:
    """Spent, held and left, a line per scope."""
    for one in sums:
        parts = [f"spent {credits_text(one.charged)}"]
        if one.held:
            parts.append(f"held {credits_text(one.held)}")
        if one.in_doubt:
            parts.append(f"in doubt {credits_text(one.in_doubt)}")
        if one.limit is not None:
            parts.append(f"left {credits_text(one.left)} of {credits_text(one.limit)}")
        if one.unpriced:
            parts.append(f"{jobs_word(one.unpriced)} at an unknown price")
        yield f"{one_line(one.name)}: {', '.join(parts)}"


def _failures(failed: Sequence[PlannedJob], *, verbose: bool) -> Iterator[str]:
    """Failed jobs by class, each class with its remedy."""
    classes: dict[str, list[PlannedJob]] = {}
    for planned in failed:
        classes.setdefault((planned.attempt and planned.attempt.failure) or "unknown", []).append(planned)
    for kind, members in classes.items():
        yield f"failed, {kind} ({jobs_word(len(members))}): {_remedy(kind)}"
        yield from _lines(members, _failure_line, verbose=verbose)


def _failure_line(planned: PlannedJob) -> str:
    return one_line((planned.attempt and planned.attempt.message) or why_text(planned))


def _named(state: str, members: Sequence[PlannedJob], status: Status, *, verbose: bool) -> Iterator[str]:
    yield f"{STATES[state]} ({jobs_word(len(members))})"

    def say(planned: PlannedJob) -> str:
        if state in ("running", "ready") and planned.attempt is not None:
            return _under_way(planned.attempt, status, state)
        return one_line(why_text(planned))

    yield from _lines(members, say, verbose=verbose)


def _warnings(status: Status, *, verbose: bool) -> Iterator[str]:
    """Results that have something wrong with them; they stay results."""
    warned = [planned for planned in status.plan.jobs if planned.job.id in status.warnings]
    if warned:
        yield f"to look at ({jobs_word(len(warned))}): something may be wrong with the film; nothing is paid again"
        yield from _lines(warned, lambda p: one_line("; ".join(status.warnings[p.job.id])), verbose=verbose)
    if status.unwatched and status.plan.provider != PREVIZ:
        count = jobs_word(len(status.unwatched))
        yield f"not watched to their end yet ({count}): the next `render` or `pull` does that, for nothing"


def _unattached(kept: Sequence[Attempt]) -> Iterator[str]:
    """What was found in the account's log and matches no job here."""
    if kept:
        costs = [_paid(attempt) for attempt in kept]
        unknown = f", and {costs.count(None)} of unknown cost" if None in costs else ""
        amount = credits_text(sum(cost or 0 for cost in costs))
        word = "result" if len(kept) == 1 else "results"
        yield f"kept for no known job: {len(kept)} paid {word} ({amount}{unknown}); a job that wants one gets it"


def _paid(attempt: Attempt) -> int | None:
    return attempt.hold if attempt.charge is None else attempt.charge


def _questions(status: Status, *, verbose: bool) -> Iterator[str]:
    """What only the user can settle, with the command that takes the answer; `verbose` shows all that is known."""
    asked = named(status.questions)
    if not asked:
        return
    yield f"in doubt or lost ({jobs_word(len(asked))}): each command shows what is known, and takes your answer"
    for name, question in asked if verbose else asked[:LISTED]:
        yield f"  kling-render resolve {shlex.quote(name)}  {question_line(question)}"
        if verbose:
            yield from (f"    {line}" for line in question_text(question).splitlines()[1:])
    if not verbose and len(asked) > LISTED:
        yield f"  … and {len(asked) - LISTED} more"


def _under_way(attempt: Attempt, status: Status, state: str) -> str:
    """Id, age, remaining time and price of what runs."""
    parts = [attempt.generation_id or "its id is not known yet"]
    if state == "running" and attempt.accepted_at is not None:
        parts.append(f"for {duration(status.now - attempt.accepted_at)}")
        left = _left_s(attempt, status)
        parts += [f"about {duration(left)} left"] if left else []
    parts.append(credits_text(attempt.hold if attempt.charge is None else attempt.charge))
    return "  ".join(parts)


def _left_s(attempt: Attempt, status: Status) -> float | None:
    """Seconds until a running one is probably done; None when nothing speaks for it."""
    if status.typical_s is None or attempt.accepted_at is None:
        return None
    return max(attempt.accepted_at + status.typical_s - status.now, 0.0) or None


def _lines(members: Sequence[PlannedJob], say: Callable[[PlannedJob], str], *, verbose: bool) -> Iterator[str]:
    shown = members if verbose else members[:LISTED]
    width = max(len(planned.job.id) for planned in shown)
    for planned in shown:
        yield f"  {planned.job.id.ljust(width)}  {say(planned)}".rstrip()
    if len(shown) < len(members):
        yield f"  … and {len(members) - len(shown)} more"


def _remedy(kind: str) -> str:
    """What helps; an unknown class comes from a newer version's store."""
    return REMEDIES[FailureClass(kind)] if kind in set(FailureClass) else "run `kling-render render` again"


def _job(planned: PlannedJob, output_dir: str, status: Status) -> dict[str, Any]:
    """The plan's document of a job, with its state, attempt and failure."""
    state, attempt = job_state(planned), planned.attempt
    error = None
    if state == "failed" and attempt is not None:
        kind = attempt.failure or "unknown"
        error = {"class": kind, "message": attempt.message or "", "remedy": _remedy(kind)}
    running = state == "running" and attempt is not None
    left = _left_s(attempt, status) if running and attempt is not None else None
    known = planned.result.generation_id if planned.result else attempt.generation_id if attempt else None
    return job_document(planned, output_dir) | {
        "state": state,
        "generation_id": known,
        "sha256": planned.result.blob if planned.result else None,
        "usd": _usd(_cost(planned)),
        "since": iso(attempt.accepted_at) if attempt and running and attempt.accepted_at is not None else None,
        "eta_s": None if left is None else round(left, 1),
        "error": error,
        "watched": planned.result is not None and planned.job.id not in status.unwatched,
        "warnings": list(status.warnings.get(planned.job.id, ())),
    }


def _cost(planned: PlannedJob) -> int | None:
    """Credits charged for what the job shows; None while unknown."""
    if planned.result is not None:
        return planned.result.charge
    return planned.attempt.charge if planned.attempt else None


def _usd(credits: int | None) -> str | None:  # noqa: A002 - the vendor's word
    amount: Decimal | None = None if credits is None else usd_of(credits)
    return money(amount)
