"""What earlier runs left behind: dead owners' claims are let go, their intents become doubts, the rest goes on.

Only polling, downloading and reconciling are ever handed over. The right to pay is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kling_render.engine.world import World
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import Event, State
from kling_render.ports import LedgerTransaction


@dataclass(slots=True)
class Recovered:
    """The open attempts of a namespace after recovery, by who drives them."""

    #: Ours now: accepted, stalled, ready or fetched.
    going_on: list[Attempt] = field(default_factory=list)
    in_doubt: list[Attempt] = field(default_factory=list)
    #: Only the user can answer.
    asked: list[Attempt] = field(default_factory=list)
    #: Driven by another living process.
    others: list[Attempt] = field(default_factory=list)

    def all(self) -> list[Attempt]:
        """Every open attempt, whoever drives it."""
        return [*self.going_on, *self.in_doubt, *self.asked, *self.others]


async def recover(world: World, wanted: frozenset[str], folder: str | None) -> Recovered:
    """Take over what nobody drives any more.

    Args:
        world: the ports.
        wanted: keys of the results this run is about.
        folder: besides them, everything of this project folder is taken over; None: everything in the namespace.
    """
    found = await world.ledger.read(lambda ledger: ledger.open_attempts(world.namespace))
    mine = [a for a in found if a.fingerprint in wanted or folder is None or a.folder == folder]
    alive = {owner: world.owners.is_alive(owner) for owner in {a.owner for a in mine} if owner != world.owner}
    recovered = Recovered(others=[a for a in mine if alive.get(a.owner, False)])
    orphans = [a for a in mine if not alive.get(a.owner, False)]
    if not orphans:
        return recovered
    now = world.now()
    for attempt in await world.ledger.write(lambda ledger: _taken(ledger, orphans, world.owner, now)):
        _sort(recovered, attempt)
    return recovered


def _taken(ledger: LedgerTransaction, orphans: list[Attempt], owner: str, now: float) -> list[Attempt]:
    taken: list[Attempt] = []
    for orphan in orphans:
        if orphan.owner != owner and not ledger.take_over(orphan.id, owner, orphan.owner):
            continue  # another process was faster
        attempt = ledger.attempt(orphan.id)
        if attempt is None:
            continue
        if attempt.state is State.RESERVED:
            ledger.record(attempt.id, Event.RELEASE, now)
        elif attempt.state is State.INTENT:
            message = "the process that sent it ended before an answer was recorded"
            taken.append(ledger.record(attempt.id, Event.DOUBT, now, message=message))
        else:
            taken.append(attempt)
    return taken


def _sort(recovered: Recovered, attempt: Attempt) -> None:
    if attempt.state is State.IN_DOUBT:
        recovered.in_doubt.append(attempt)
    elif attempt.state is State.NEEDS_USER:
        recovered.asked.append(attempt)
    else:
        recovered.going_on.append(attempt)
