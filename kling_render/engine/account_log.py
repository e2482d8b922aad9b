"""Reads of the account's request log: over the right window of the server's time, remembered with what they showed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kling_render.engine.world import World
from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.identity import fingerprint_prefix
from kling_render.lifecycle.reconcile import LOG_WINDOW_S, WINDOW_MARGIN_S, LogRead
from kling_render.ports import LedgerTransaction, LogUnavailable


async def read_log(world: World, since: float) -> tuple[list[LogRow], LogRead]:
    """Every row from `since` (server time, at most 92 days back) until now, and the record of this read.

    Raises:
        LogUnavailable: it could not be read completely, or the server's clock jumped meanwhile: an empty answer for
            the wrong window would prove nothing.
    """
    await world.paid.know_time()
    ahead = world.paid.server_ahead_s()
    now = world.now()
    start, end = max(since, now - LOG_WINDOW_S), now + WINDOW_MARGIN_S
    rows = await world.paid.log(start, end)
    await world.paid.know_time()
    if abs(world.paid.server_ahead_s() - ahead) > WINDOW_MARGIN_S / 4:
        raise LogUnavailable("a clock jumped while the account's request log was read; it proves nothing this time")
    read = LogRead(
        namespace=world.namespace,
        account=world.paid.account,
        start=start,
        end=end,
        at=world.now(),
        newest_own=_newest_own(rows),
    )
    return rows, read


def _newest_own(rows: Sequence[LogRow]) -> float | None:
    """When the newest request of ours was made.

    The server tells its time in whole seconds: a row only counts as newer when it is so by more than that.
    """
    return max((row.created - 1.0 for row in rows if fingerprint_prefix(row.client_request_id)), default=None)


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
