"""Before paying for what this store does not know: what has the same account paid for elsewhere?

Another machine, a lost store, a fresh CI runner: the account's request log names every request of ours by the
fingerprint it paid for. What carries a wanted one is adopted, so it is polled and fetched instead of paid again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kling_render.engine.account_log import read_log, remember, was_shown
from kling_render.engine.attempts import new_attempt
from kling_render.engine.tracker import Tracker
from kling_render.engine.work import Options, Work
from kling_render.engine.world import World
from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.identity import fingerprint_prefix
from kling_render.lifecycle.reconcile import LOG_WINDOW_S, WINDOW_MARGIN_S, LogRead, covered_until
from kling_render.lifecycle.records import Attempt, Reserved, Result
from kling_render.lifecycle.states import State
from kling_render.ports import LedgerTransaction


@dataclass(frozen=True, slots=True)
class PaidBefore:
    """What the log says was paid for already."""

    #: Adopted now: accepted and ours.
    adopted: Sequence[Attempt] = ()
    #: By key: results that the store holds under another fingerprint (an edit was declared cosmetic elsewhere).
    results: Mapping[str, Result] = field(default_factory=dict)
    #: By key: attempts of another fingerprint that hold the generation and have no result yet.
    held: Mapping[str, Attempt] = field(default_factory=dict)

    @property
    def keys(self) -> set[str]:
        """Everything that must not be paid for again."""
        return {attempt.fingerprint for attempt in self.adopted} | self.results.keys() | self.held.keys()


async def adopt_paid(world: World, options: Options, works: Sequence[Work], tracker: Tracker) -> PaidBefore:
    """Adopt what the log lists for these works.

    Only the part of the log that was not read before is read.

    Raises:
        LogUnavailable: the log cannot be read, so nobody knows whether the works were paid for elsewhere.
    """
    wanted = {work.key[:32]: work for work in works}
    if not wanted:
        return PaidBefore()
    rows, read = await _unread(world, options, wanted)
    tracker.note(f"read the account's request log: {len(rows)} {'request' if len(rows) == 1 else 'requests'}")
    found = _paid(rows, wanted)
    now = world.now()
    new = [_attempt(world, row, wanted[prefix]) for prefix, row in found.items()]
    paid = await world.ledger.write(lambda ledger: _adopt(ledger, new, read, rows, now))
    if paid.keys:
        tracker.note(f"found in the account's log: {len(paid.keys)} of the wanted results were paid for before")
    return paid


async def _unread(world: World, options: Options, wanted: Iterable[str]) -> tuple[list[LogRow], LogRead]:
    """What was not read before; all of it when an earlier read showed something wanted now."""
    await world.paid.know_time()
    account, namespace = world.paid.account, world.namespace
    oldest = world.now() - LOG_WINDOW_S

    def earlier(ledger: LedgerTransaction) -> tuple[list[LogRead], bool]:
        return ledger.log_reads(namespace, account, oldest), was_shown(ledger, namespace, account, wanted)

    reads, shown = await world.ledger.read(earlier)
    # A row may appear late: what was read is read again as far back as a generation and the log's lag may take.
    unread = covered_until(reads, oldest) - options.absence_s - WINDOW_MARGIN_S
    return await read_log(world, oldest if shown else unread)


def _paid(rows: Sequence[LogRow], wanted: Mapping[str, Work]) -> dict[str, LogRow]:
    """The oldest request that did not fail, for each wanted prefix."""
    found: dict[str, LogRow] = {}
    for row in sorted(rows, key=lambda row: row.created):
        prefix = fingerprint_prefix(row.client_request_id)
        if prefix is not None and prefix in wanted and not row.failed:
            found.setdefault(prefix, row)
    return found


def _attempt(world: World, row: LogRow, work: Work) -> Attempt:
    """The attempt of another machine, or of a lost store, as the log shows it."""
    name = row.client_request_id or ""
    made = new_attempt(world, work, attempt_id=name.rpartition(":")[2], client_request_id=name, at=row.created)
    return replace(
        made,
        state=State.ACCEPTED,
        run="",
        generation_id=row.inference_id,
        intent_at=row.created,
        accepted_at=row.created,
    )


def _adopt(
    ledger: LedgerTransaction,
    new: Sequence[Attempt],
    read: LogRead,
    rows: Sequence[LogRow],
    now: float,
) -> PaidBefore:
    remember(ledger, read, rows)
    known = ledger.known_generations(read.namespace)
    adopted: list[Attempt] = []
    results: dict[str, Result] = {}
    held: dict[str, Attempt] = {}
    for attempt in new:
        holder = ledger.attempt(known.get(attempt.generation_id or "", ""))
        if holder is None:
            claim = ledger.adopt(attempt, now)
            if isinstance(claim, Reserved):
                adopted.append(claim.attempt)
        elif holder.fingerprint != attempt.fingerprint and not holder.is_unattached:
            # Paid for this very request, and known here as another's: a lock file may bring it so.
            result = ledger.keep(read.namespace, attempt.fingerprint, holder.fingerprint, now)
            if result is not None:
                results[attempt.fingerprint] = result
            else:
                held[attempt.fingerprint] = holder
        # else: the store knows how that one ended
    return PaidBefore(adopted, results, held)
