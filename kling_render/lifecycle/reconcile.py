"""What the account's request log proves about a submit in doubt. Pure decisions over recorded log reads.

A row that is not failed settles it: the job was accepted. A missing row proves nothing until the settle time has
passed, two complete reads a twelfth of it apart found none, and a newer request of ours was already visible.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.records import Attempt

WINDOW_MARGIN_S = 600.0
"""How far around the submit the log is read, in seconds of server time."""
LOG_WINDOW_S = 92 * 86_400.0 - 2 * WINDOW_MARGIN_S
"""The API's log covers 92 days at most in one window."""
UNPROVEN_LOG_FACTOR = 24
"""How much longer absence takes to be believed while the log was never seen to list running requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRead:
    """One complete read of the account's log over a window. Times are seconds since the epoch, the server's."""

    namespace: str
    account: str
    start: float
    end: float
    at: float
    #: When the newest request of ours that it showed was made; None when it showed none.
    newest_own: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """The log lists the request: it was accepted under this id."""

    generation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Proved not to have been accepted."""

    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAgain:
    """Not known yet; look again at this time (seconds since the epoch)."""

    at: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The log cannot tell, however long it is read: the user may know."""

    why: str


Settlement = Adopt | Absent | LookAgain | Ask


def settle(
    attempt: Attempt,
    rows: Sequence[LogRow],
    reads: Sequence[LogRead],
    now: float,
    *,
    absence_s: float,
    log_lists_running: bool,
    known: Collection[str] = (),
) -> Settlement:
    """Decide a doubt from the rows of the newest complete read and the history of empty reads.

    Args:
        attempt: in doubt; `intent_at` is when its first byte may have left.
        rows: all rows of the window around the submit, of the account that paid.
        reads: complete reads that did not show the request, the newest included, oldest first.
        now: seconds since the epoch, the server's.
        absence_s: the settle time (setting `absence_seconds`).
        log_lists_running: whether this account's log was seen to list requests before they ended.
        known: generation ids that the store holds; a row without a request id is none of those.
    """
    own = [row for row in rows if row.client_request_id == attempt.client_request_id]
    for row in own:
        if not row.failed:
            return Adopt(generation_id=row.inference_id)
    if own:
        return Absent(proof=f"the account's log lists the request as failed ({own[0].inference_id})")
    settlement = _absence(attempt, reads, now, absence_s, log_lists_running)
    nameless = [row.inference_id for row in rows if row.inference_id not in known and _may_be(row, attempt)]
    if nameless and isinstance(settlement, Absent):
        listed = ", ".join(sorted(nameless)[:3])
        return Ask(
            why="the account's log does not list the request by its id, but it lists requests of that time without any "
            f"({listed}); one of them may be it"
        )
    return settlement


def _may_be(row: LogRow, attempt: Attempt) -> bool:
    """Whether a row that carries no request id may be the attempt's all the same: of its vendor, and of its time."""
    vendor = attempt.model.partition("/")[0]
    at_that_time = abs(row.created - _sent(attempt)) <= WINDOW_MARGIN_S
    of_it = not row.model or row.model.partition("/")[0] == vendor
    return not row.failed and not row.client_request_id and at_that_time and of_it


def _sent(attempt: Attempt) -> float:
    return attempt.intent_at or attempt.reserved_at


def _absence(
    attempt: Attempt, reads: Sequence[LogRead], now: float, absence_s: float, log_lists_running: bool
) -> Settlement:
    sent = _sent(attempt)
    mine = [r for r in reads if r.account == attempt.account and r.start <= sent <= r.end and r.at > sent]
    canary = any(read.newest_own is not None and read.newest_own > sent for read in mine)
    settle_s = absence_s if log_lists_running and canary else absence_s * UNPROVEN_LOG_FACTOR
    if mine and mine[-1].at >= sent + settle_s and mine[-1].at - mine[0].at >= absence_s / 12:
        newer = "; a newer request of ours was visible" if canary else ""
        return Absent(
            proof=f"{len(mine)} complete reads of the account's log, the last {mine[-1].at - sent:.0f} s after the "
            f"submit, do not list it{newer}"
        )
    spacing = (mine[-1].at if mine else now) + absence_s / 12
    return LookAgain(
        at=max(min(sent + settle_s, spacing) if canary and log_lists_running else spacing, now),
        why="the account's log does not list the request yet; it counts as never accepted when that stays so for "
        f"{settle_s / 3600:.3g} hours after the submit",
    )


def covered_until(reads: Sequence[LogRead], since: float) -> float:
    """Up to when the log was read without a gap from `since` on, by reads of one account."""
    covered = since
    for read in sorted(reads, key=lambda read: read.start):
        if read.start <= covered:
            covered = max(covered, read.at)
    return covered
