"""Finds out what became of submits in doubt: by their id if one came, else by the account's request log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kling_render.engine.account_log import read_log
from kling_render.engine.account_log import remember as remember_read
from kling_render.engine.tracker import Tracker
from kling_render.engine.work import Options
from kling_render.engine.world import World
from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.habits import running_fact
from kling_render.lifecycle.identity import fingerprint_prefix
from kling_render.lifecycle.reconcile import (
    WINDOW_MARGIN_S,
    Absent,
    Adopt,
    Ask,
    LogRead,
    LookAgain,
    Settlement,
    settle,
)
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import Event, State
from kling_render.ports import LedgerTransaction, LogUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One doubt after a look: the attempt as it stands now, and when to look again if it is still in doubt."""

    attempt: Attempt
    #: Server time.
    look_at: float | None = None
    why: str = ""
    #: The log cannot tell, now or ever: the user is asked.
    ask: bool = False


class Doubts:
    """Looks doubts up; never sends anything that costs."""

    def __init__(self, world: World, options: Options, tracker: Tracker) -> None:
        self._world = world
        self._options = options
        self._tracker = tracker
        #: Running generations of ours that the log listed: a later "still running" proves that it lists such.
        self._listed: set[str] = set()
        self._learnt = False

    def saw_running(self, attempt: Attempt) -> bool:
        """Whether a poll that says "running" teaches that the log lists running requests."""
        return not self._learnt and attempt.generation_id in self._listed

    async def learn_running(self) -> None:
        """Remember that this account's log lists requests before they end."""
        fact, self._learnt = self._fact(), True
        await self._world.ledger.write(lambda ledger: ledger.learn(fact))

    def _fact(self) -> str:
        return running_fact(self._world.namespace, self._world.paid.account)

    async def look(self, doubts: Sequence[Attempt]) -> list[Looked]:
        """One look at every doubt: those with an id are polled, the others share one complete read of the log."""
        by_id = [a for a in doubts if a.generation_id]
        looked = [await self._ask_by_id(attempt) for attempt in by_id]
        account = self._world.paid.account
        nameless = [a for a in doubts if not a.generation_id]
        mine = [a for a in nameless if a.account == account]
        looked += [self._foreign(a) for a in nameless if a.account != account]
        return looked + (await self._look_in_log(mine) if mine else [])

    async def _ask_by_id(self, attempt: Attempt) -> Looked:
        assert attempt.generation_id is not None
        answer = await self._world.paid.poll(attempt.generation_id)
        if answer.kind in ("running", "completed", "failed"):
            return Looked(attempt=await self._accept(attempt, attempt.generation_id))
        if answer.kind == "unknown-id":
            # The header's id is not a generation: the log decides.
            return (await self._look_in_log([replace(attempt, generation_id=None)]))[0]
        return self._later(attempt, "the server cannot say yet whether it took the request", ask=False)

    def _foreign(self, attempt: Attempt) -> Looked:
        return self._later(attempt, "it was sent with another API key; only that account's log can tell")

    def _later(self, attempt: Attempt, why: str, *, ask: bool = True) -> Looked:
        look_at = self._world.now() + self._options.absence_s / 12
        return Looked(attempt=attempt, look_at=look_at, why=why, ask=ask)

    async def ask(self, looked: Looked) -> Attempt:
        """Record the question of a doubt that no log can settle; later runs look it up all the same."""
        attempt, now = looked.attempt, self._world.now()
        if attempt.state is not State.IN_DOUBT:
            return attempt
        message = f"{attempt.message}; {looked.why}"
        return await self._world.ledger.write(
            lambda ledger: ledger.record(attempt.id, Event.ASK, now, detail={"question": message})
        )

    async def _look_in_log(self, doubts: Sequence[Attempt]) -> list[Looked]:
        world = self._world
        try:
            rows, read = await self._read(doubts)
        except LogUnavailable as error:
            return [self._later(attempt, str(error)) for attempt in doubts]
        account, namespace = world.paid.account, world.namespace
        oldest = min(_sent(a) for a in doubts)

        def remember(ledger: LedgerTransaction) -> tuple[list[LogRead], bool, Mapping[str, str]]:
            remember_read(ledger, read, rows)
            reads = ledger.log_reads(namespace, account, oldest)
            return reads, ledger.knows(self._fact()), ledger.known_generations(namespace)

        reads, lists_running, known = await world.ledger.write(remember)
        now = world.now()
        return [
            await self._settled(
                a,
                settle(
                    a, rows, reads, now, absence_s=self._options.absence_s, log_lists_running=lists_running, known=known
                ),
            )
            for a in doubts
        ]

    async def _read(self, doubts: Sequence[Attempt]) -> tuple[list[LogRow], LogRead]:
        """Every row around the doubts, and the record of this read."""
        rows, read = await read_log(self._world, min(_sent(a) for a in doubts) - WINDOW_MARGIN_S)
        own = [row for row in rows if fingerprint_prefix(row.client_request_id)]
        self._listed |= {row.inference_id for row in own if not row.failed}
        return rows, read

    async def _settled(self, attempt: Attempt, settlement: Settlement) -> Looked:
        if isinstance(settlement, Adopt):
            return Looked(attempt=await self._accept(attempt, settlement.generation_id))
        if isinstance(settlement, Ask):
            return self._later(attempt, settlement.why)
        if isinstance(settlement, LookAgain):
            waiting = await self._waits(attempt)
            return Looked(attempt=waiting, look_at=settlement.at, why=settlement.why)
        return Looked(attempt=await self._absent(attempt, settlement))

    async def _waits(self, attempt: Attempt) -> Attempt:
        """The log can be read again: what was asked is a matter of waiting again."""
        if attempt.state is not State.NEEDS_USER:
            return attempt
        now = self._world.now()
        return await self._world.ledger.write(lambda ledger: ledger.record(attempt.id, Event.WAIT, now))

    async def _absent(self, attempt: Attempt, settlement: Absent) -> Attempt:
        now = self._world.now()
        self._tracker.settled_doubt(attempt)
        return await self._world.ledger.write(
            lambda ledger: ledger.record(attempt.id, Event.PROVE_ABSENT, now, message=settlement.proof, ended_at=now)
        )

    async def _accept(self, attempt: Attempt, generation_id: str) -> Attempt:
        world, now = self._world, self._world.now()
        self._tracker.settled_doubt(attempt)
        self._tracker.note(f"found again: {attempt.job} was accepted as {generation_id}; nothing is paid twice")
        return await world.ledger.write(
            lambda ledger: ledger.record(
                attempt.id, Event.ACCEPT, now, generation_id=generation_id, accepted_at=_sent(attempt)
            )
        )


def _sent(attempt: Attempt) -> float:
    return attempt.intent_at or attempt.reserved_at
