"""What bytes of the store cost, as the attempts that ever brought them say."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from kling_render.store.ledger import SqliteLedger

_BROUGHT = ("adopt", "fetch", "make")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What was paid for some bytes."""

    #: Credits; None when a charge is not known.
    credits: int | None
    #: Whether they may have cost something: then nothing takes them away unasked.
    paid: bool
    #: The jobs they were rendered for, sorted.
    jobs: tuple[str, ...] = ()


UNKNOWN = Worth(credits=None, paid=True)
"""Of bytes that no record names: perhaps the ledger is an older copy."""
NOTHING = Worth(credits=0, paid=False)


@dataclass(slots=True)
class Bringer:
    """An attempt, as far as its bytes and money go."""

    namespace: str
    job: str
    charge: int | None
    #: The SHA-256 of what it holds now.
    blob: str | None


@dataclass(slots=True)
class Worths:
    """Every SHA-256 that an attempt ever held, with those attempts."""

    free: Collection[str]
    attempts: dict[str, Bringer] = field(default_factory=dict)
    brought: dict[str, set[str]] = field(default_factory=dict)

    def of(self, sha256: str) -> Worth | None:
        """What these bytes cost; None when no record names them."""
        found = [self.attempts[each] for each in self.brought.get(sha256, ()) if each in self.attempts]
        return worth(found, self.free) if found else None

    def now_held_by(self, sha256: str) -> set[str]:
        """The SHA-256 of what the attempts hold now that ever held these bytes, and that may have cost something."""
        found = (self.attempts[each] for each in self.brought.get(sha256, ()) if each in self.attempts)
        return {a.blob for a in found if a.blob is not None and worth([a], self.free).paid}


def worth(bringers: Collection[Bringer], free: Collection[str]) -> Worth:
    """What several attempts cost together."""
    charges = [0 if a.namespace in free else a.charge for a in bringers]
    known = [charge for charge in charges if charge is not None]
    return Worth(
        credits=sum(known) if len(known) == len(charges) else None,
        paid=any(charge != 0 for charge in charges),
        jobs=tuple(sorted({a.job for a in bringers})),
    )


def worths(ledger: SqliteLedger, free: Collection[str]) -> Worths:
    """Read the whole ledger once. `free`: namespaces in which nothing costs anything."""
    found = Worths(free)
    with ledger.reading():
        connection = ledger.connection
        rows = connection.execute("SELECT id, namespace, job, charge, blob FROM attempts")
        for attempt, namespace, job, charge, blob in rows:
            found.attempts[attempt] = Bringer(namespace, job, charge, blob)
            if blob is not None:
                found.brought.setdefault(blob, set()).add(attempt)
        marks = ", ".join("?" * len(_BROUGHT))
        told = connection.execute(f"SELECT attempt, detail FROM transitions WHERE event IN ({marks})", _BROUGHT)  # noqa: S608 - marks only
        for attempt, detail in told:
            blob = _told(detail)
            if blob is not None:
                found.brought.setdefault(blob, set()).add(attempt)
    return found


def _told(detail: str) -> str | None:
    """The SHA-256 that a step of the history names."""
    try:
        content: object = json.loads(detail)
    except ValueError:
        return None
    blob = content.get("blob") if isinstance(content, Mapping) else None
    return blob if isinstance(blob, str) else None
