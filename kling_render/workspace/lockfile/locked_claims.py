"""What this store can say against an entry of the lock file: it may name another request's result as a job's.

An entry is a claim of whoever wrote it. A generation is the result of the request that it was paid for, and of those
that somebody kept it for; the file has to say the latter.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from kling_render.lifecycle.identity import PREFIX_LENGTH, fingerprint_prefix
from kling_render.lifecycle.records import Attempt, Result
from kling_render.planning.lock import Kept, Locked
from kling_render.planning.lock_text import LONGEST
from kling_render.store.queries import LedgerQueries

_SHOWN = 12


def holder(
    ledger: LedgerQueries, namespace: str, entry: Locked, by_blob: Mapping[str, Result] | None = None
) -> Attempt | None:
    """The attempt that paid for what an entry names; None when this store does not know it."""
    if entry.generation_id is not None:
        return ledger.by_generation(namespace, entry.generation_id)
    result = (by_blob or {}).get(entry.sha256)
    return None if result is None else ledger.attempt(result.attempt)


def contradiction(ledger: LedgerQueries, entry: Locked, known: Attempt | None) -> str:
    """Why the store does not believe an entry whose generation it knows; empty when nothing speaks against it."""
    if known is None:
        return ""
    if not entry.is_of(known.fingerprint):
        whose = f"another request's result, {known.job}'s" if known.job else "another request's result"
        return f"this store knows {_what(entry)} as {whose}, {_unsaid(entry)}"
    own = known.fingerprint[:PREFIX_LENGTH] == entry.fingerprint[:PREFIX_LENGTH]
    if not own and was_taken_back(ledger, entry, known):
        return f"{_what(entry)} was kept for this request, and that was taken back here"
    return ""


def named_otherwise(entry: Locked, prefix: str | None) -> str:
    """The same by the account's log: the beginning of the fingerprint that the payment was named after."""
    if prefix is None or entry.is_of(prefix):
        return ""
    paid = f"{_what(entry)} was paid for another request ({prefix[:_SHOWN]}…), as the account's log says"
    return f"{paid}, {_unsaid(entry)}"


def was_taken_back(ledger: LedgerQueries, entry: Locked, known: Attempt | None) -> bool:
    """Whether somebody kept the result for the entry's request, and took that back here afterwards."""
    if known is None:
        return False
    steps = [step for step in ledger.history(known.id) if step.event in ("keep", "unkeep")]
    steps = [step for step in steps if step.detail.get("fingerprint") == entry.fingerprint]
    if not steps or steps[-1].event == "keep":
        return False
    decided = seconds_of(entry.kept.at) if entry.kept else None
    return decided is None or decided <= steps[-1].at


def kept_results(ledger: LedgerQueries, namespace: str) -> dict[str, Kept]:
    """By fingerprint, who kept another request's result for it, when and why, as the lock file says it."""
    if not ledger.kept(namespace):
        return {}
    return {
        key: Kept(
            origin.partition(":")[0], _words(step.detail.get("by")), time_text(step.at), _words(step.detail.get("why"))
        )
        for key, (origin, step) in ledger.kept_decisions(namespace).items()
        if step.detail.get("by")  # else nobody decided: the account's log has it under this very request
    }


def adopted(ledger: LedgerQueries, namespace: str, entry: Locked) -> Kept | None:
    """Who made a generation an entry's result by hand, although it was paid for another request; None mostly."""
    known = holder(ledger, namespace, entry) if entry.generation_id is not None else None
    if known is None or known.client_request_id:
        return None  # paid for by this very store
    first = ledger.history(known.id)[:1]
    detail = first[0].detail if first and first[0].event == "adopt" else {}
    prefix = fingerprint_prefix(detail.get("sent_as"))
    if prefix is None or entry.is_of(prefix):
        return None
    return Kept(prefix, _words(detail.get("by")), time_text(first[0].at), _words(detail.get("why")))


def seconds_of(text: str) -> float | None:
    """Seconds since the epoch of a kept result's time; None for none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def time_text(at: float) -> str:
    """A time as the lock file has it."""
    from kling_render.outputs.sidecar import utc_text

    return utc_text(at)


def _words(value: object) -> str:
    return str(value or "")[:LONGEST]


def _what(entry: Locked) -> str:
    return entry.generation_id or f"sha256 {entry.sha256[:_SHOWN]}…"


def _unsaid(entry: Locked) -> str:
    if entry.kept is not None:
        return "and not for the one that the lock file says it was kept from"
    return "and the lock file does not say that it was kept for this one"
