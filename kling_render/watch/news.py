"""What watch mode tells whoever looks at it, in the order it happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from kling_render.errors import Diagnostic
from kling_render.planning.records import Plan
from kling_render.watch.allowance import Purse
from kling_render.watch.wanting import Held


@dataclass(frozen=True, slots=True)
class Changed:
    """Inputs were saved, and are not settled yet."""

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """A burst of saves is over; it is being planned."""

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """The save cannot be used; the last good plan stays."""

    message: str
    diagnostics: tuple[Diagnostic, ...] = ()
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replanned:
    """A good plan; `paths` is what was saved since the last one (empty: the start, or a run has ended)."""

    paths: tuple[Path, ...]
    #: Of the selected jobs.
    plan: Plan
    #: Whether the plan is another one than before.
    differs: bool
    #: What the project cost, or may still cost, since local midnight.
    today: Decimal
    purse: Purse
    #: Files and folders that are watched.
    watched: int
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """Jobs are rendered in a moment, or wait for the user (`held.until`); None: nothing waits any more."""

    held: Held | None
    #: The jobs behind the keys.
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rendering:
    """A run starts."""

    plan: Plan
    #: The jobs it is about.
    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """Jobs that waited are no longer wanted; nothing was paid for them."""

    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOver:
    """A run has ended: counts by state, what it cost, and what stopped it."""

    states: Sequence[tuple[str, int]]
    spent: Decimal
    stops: tuple[str, ...]
    notices: tuple[str, ...] = ()
    #: A newer save went on from here.
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something does not work now; watching goes on."""

    message: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Leaving:
    """The session ends; what runs is left, with ids and cost."""

    text: str


News = Changed | Settled | Broken | Replanned | Holding | Rendering | Dropped | RunOver | Trouble | Leaving
