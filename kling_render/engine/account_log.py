"""Reads of the account's request log: over the right window of the server's time, remembered with what they showed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kling_render.engine.world import World
from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.identity import fingerprint_prefix
from kling_render.lifecycle.reconcile import WINDOW_MARGIN_S, LogRead
from kling_render.ports import LedgerTransaction, LogUnavailable

_TRIES = 3


async def read_log(world: World, start: float, end: float) -> tuple[list[LogRow], float]:
    """Every row between two times of our clock, and the seconds that the server's clock is ahead of it.

    The first answer tells the server's time. If it is another than was assumed, the window was the wrong one, and an
    empty answer would prove nothing: it is asked for again.

    Raises:
        LogUnavailable: it could not be read completely.
    """
    for _ in range(_TRIES):
        assumed = world.paid.server_ahead_s()
        rows = await world.paid.log(start + assumed, end + assumed)
        ahead = world.paid.server_ahead_s()
        if abs(ahead - assumed) <= WINDOW_MARGIN_S / 4:
            return rows, ahead
    raise LogUnavailable("the server's clock jumps, so its log cannot be trusted")


def newest_own(rows: Sequence[LogRow], ahead: float) -> float | None:
    """When the newest request of ours was made, by our clock.

    The `Date` header counts whole seconds: a row only counts as newer when it is so by more than that.
    """
    return max((row.created - ahead - 1.0 for row in rows if fingerprint_prefix(row.client_request_id)), default=None)


def remember(ledger: LedgerTransaction, read: LogRead, rows: Iterable[LogRow]) -> None:
    """Store a read, and which fingerprints it showed: they may be wanted only later."""
    ledger.add_log_read(read)
    for prefix in {fingerprint_prefix(row.client_request_id) for row in rows if not row.failed} - {None}:
        ledger.learn(_fact(read.namespace, read.account, str(prefix)))


def was_shown(ledger: LedgerTransaction, namespace: str, account: str, prefixes: Iterable[str]) -> bool:
    """Whether an earlier read showed one of these fingerprints."""
    return any(ledger.knows(_fact(namespace, account, prefix)) for prefix in prefixes)


def _fact(namespace: str, account: str, prefix: str) -> str:
    return f"log-showed:{namespace}:{account}:{prefix}"
