"""What an account's request log was seen to do, learnt from the account's own paid jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.records import Attempt


def running_fact(namespace: str, account: str) -> str:
    """The name under which a store remembers that this account's log lists requests before they end."""
    return f"log-lists-running:{namespace}:{account}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHabits:
    """Accepted jobs of the store, held against the log over the same time."""

    jobs: int
    #: Jobs that the log lists, and how many of those carry the id that was sent with them.
    listed: int
    named: int
    #: Seconds since the oldest job that is not listed was accepted: how far the log is behind, at least.
    behind_s: float | None


def log_habits(attempts: Sequence[Attempt], rows: Sequence[LogRow], now: float) -> LogHabits:
    """Compare accepted attempts with the rows of their time. Times are the server's, in seconds since the epoch."""
    by_id = {row.inference_id: row for row in rows}
    listed = [(a, by_id[a.generation_id]) for a in attempts if a.generation_id in by_id]
    missing = [a.accepted_at for a in attempts if a.generation_id not in by_id and a.accepted_at is not None]
    return LogHabits(
        jobs=len(attempts),
        listed=len(listed),
        named=sum(row.client_request_id == attempt.client_request_id for attempt, row in listed),
        behind_s=now - min(missing) if missing else None,
    )
