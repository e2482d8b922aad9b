"""What `pull --lost` found: for people, and as the `lost` part of its document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kling_render.cli.job_words import credits_text, one_line
from kling_render.cli.timestamps import iso, local
from kling_render.lifecycle.books import Booking
from kling_render.lifecycle.records import Attempt, usd_of
from kling_render.lifecycle.states import State
from kling_render.planning.document import money
from kling_render.workspace.account.homecoming import BroughtHome

LISTED = 40
_STATES = {State.DONE: "fetched", State.FETCHED: "fetched", State.READY: "could not be downloaded now"}
_LEFT = {State.REMOTE_FAILED: "failed, not charged", State.STALLED: "no end in sight"}


def lost_text(brought: BroughtHome) -> str:
    """What was read, what was found and what it cost; ends with a newline."""
    return "\n".join(_lines(brought)) + "\n"


def _lines(brought: BroughtHome) -> Iterator[str]:
    found = brought.found
    charges = "" if found.charges is None else f" and {_count(found.charges, 'charge')}"
    yield f"read {_count(found.requests, 'request')}{charges} of the last {_count(found.days, 'day')}"
    if not found.adopted:
        yield "nothing is lost: the store holds every generation of ours that did not fail"
    else:
        costs = [found.cost(attempt) for attempt in brought.attempts]
        cost = credits_text(sum(cost or 0 for cost in costs))
        open_ = f", and {costs.count(None)} of unknown cost" if None in costs else ""
        word = _count(len(brought.attempts), "paid generation")
        yield f"found {word} that the store did not hold ({cost}{open_}); nothing was paid again"
        yield from _some([_line(brought, attempt) for attempt in brought.attempts])
    kept = [attempt for attempt in brought.attempts if attempt.is_unattached]
    if kept:
        yield f"{_count(len(kept), 'result')} of no known job: kept in the store until a shot list wants that request"
    if found.attached:
        yield f"{_count(len(found.attached), 'result')} found earlier now belong to a job of this shot list"
    yield from _unexplained(found.unexplained)


def _line(brought: BroughtHome, attempt: Attempt) -> str:
    said = _STATES.get(attempt.state) or _LEFT.get(attempt.state, "runs on")
    job = "(no job known)" if attempt.is_unattached else one_line(attempt.job)
    when = local(attempt.accepted_at or attempt.reserved_at)
    return (
        f"{job}  {one_line(attempt.generation_id or '')}  {credits_text(brought.found.cost(attempt))}  {when}  {said}"
    )


def _unexplained(charges: Sequence[Booking]) -> Iterator[str]:
    if charges:
        total = credits_text(sum(charge.credits for charge in charges))
        what = _count(len(charges), "charge")
        yield f"{what} ({total}) for requests that are not ours; `kling-render audit` lists them"


def _some(lines: list[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:LISTED])
    if len(lines) > LISTED:
        yield f"  … and {len(lines) - LISTED} more"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def lost_document(brought: BroughtHome) -> dict[str, Any]:
    """The `lost` part of `pull --json`."""
    found = brought.found
    costs = [found.cost(attempt) for attempt in brought.attempts]
    return {
        "days": found.days,
        "log_rows": found.requests,
        "charges": found.charges,
        "adopted": [_document(brought, attempt) for attempt in brought.attempts],
        "adopted_usd": money(usd_of(sum(cost or 0 for cost in costs))),
        "unknown_costs": costs.count(None),
        "attached": [{"job": a.job, "generation_id": a.generation_id, "attempt": a.id} for a in found.attached],
        "unexplained": [
            {
                "generation_id": c.reference_id,
                "usd": money(usd_of(c.credits)),
                "at": iso(c.at),
                "model": c.model or None,
            }
            for c in found.unexplained
        ],
    }


def _document(brought: BroughtHome, attempt: Attempt) -> dict[str, Any]:
    cost = brought.found.cost(attempt)
    return {
        "generation_id": attempt.generation_id,
        "client_request_id": attempt.client_request_id,
        "attempt": attempt.id,
        "job": None if attempt.is_unattached else attempt.job,
        "fingerprint": attempt.fingerprint,
        "state": attempt.state.value,
        "usd": None if cost is None else money(usd_of(cost)),
        "accepted": iso(attempt.accepted_at or attempt.reserved_at),
        "sha256": attempt.blob,
    }
