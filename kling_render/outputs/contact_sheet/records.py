"""What a contact sheet shows, as frozen records: a matrix of cells per shot, each with its takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Literal

Tone = Literal["good", "quiet", "busy", "stale", "bad"]

WORDS: Mapping[str, tuple[str, Tone]] = {
    "up-to-date": ("done", "good"),
    "pinned": ("stale", "stale"),
    "restore": ("in the store", "good"),
    "shared": ("shared", "quiet"),
    "locked": ("to fetch", "quiet"),
    "running": ("running", "busy"),
    "ready": ("to fetch", "busy"),
    "to-render": ("to render", "quiet"),
    "failed": ("failed", "bad"),
    "blocked": ("blocked", "bad"),
    "in-doubt": ("in doubt", "bad"),
    "needs-user": ("needs you", "bad"),
    "paid-lost": ("paid, lost", "bad"),
    "abandoned": ("given up", "bad"),
}
"""A job's state → its word on a sheet, and how it looks. An unknown one is shown as it is."""
STAKED = frozenset({"running", "ready", "in-doubt", "needs-user", "paid-lost", "abandoned"})
"""States of what was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stills:
    """Small pictures of a film."""

    #: Names the film: the first digits of its SHA-256.
    name: str
    poster: Path
    #: An animated picture.
    preview: Path
    #: Pixels of the film.
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One take on the sheet."""

    #: The job's id.
    id: str
    take: int
    #: The values of the further axes, in the order they are declared.
    values: tuple[str, ...]
    state: str
    #: What it cost; what it probably costs when there is no result; None: nobody knows.
    usd: Decimal | None
    #: Whether `usd` was charged, and not only estimated.
    paid: bool
    #: Names the payment: jobs that share a result share it, and it counts once. Empty: there is none.
    payment: str = ""
    #: Whether the next render would pay for it.
    due: bool = False
    #: Why there is no result, when there is something to say.
    note: str = ""
    #: What a look at the whole film found.
    warnings: tuple[str, ...] = ()
    prompt: str = ""
    #: The film's file, absolute; None without a result.
    film: Path | None = None
    seconds: float | None = None
    #: Whether it is the cell's final.
    final: bool = False
    stills: Stills | None = None

    @property
    def label(self) -> str:
        """What tells it from the others of its cell."""
        return " · ".join([*self.values, f"t{self.take:02d}"])

    @property
    def is_staked(self) -> bool:
        """Whether money may go for it, or be gone, that nobody charged yet."""
        return not self.paid and self.state in STAKED

    @property
    def word(self) -> str:
        """Its state."""
        return WORDS.get(self.state, (self.state, "quiet"))[0]

    @property
    def tone(self) -> Tone:
        """How its state looks."""
        return WORDS.get(self.state, ("", "quiet"))[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A row's or a column's head."""

    id: str
    #: The name the shot list gives, when it says more than the id.
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class ShotSheet:
    """The matrix of one shot."""

    id: str
    rows: tuple[Heading, ...]
    columns: tuple[Heading, ...]
    #: (character, motion) → its takes, in the order of the list.
    cells: Mapping[tuple[str, str], tuple[Shown, ...]]

    @cached_property
    def takes(self) -> tuple[Shown, ...]:
        """All of them, row by row."""
        return tuple(take for row in self.rows for column in self.columns for take in self.at(row, column))

    def shape(self, column: Heading) -> float:
        """Width by height of most films of a column, else of the shot; the films of one motion are mostly alike."""
        return self._shapes.get(column.id) or self._shapes.get("") or 0.75

    @cached_property
    def _shapes(self) -> dict[str, float]:
        found: dict[str, Counter[float]] = {}
        for (_, column), takes in self.cells.items():
            for take in takes:
                if take.stills:
                    shape = take.stills.width / take.stills.height
                    for group in (column, ""):
                        found.setdefault(group, Counter())[shape] += 1
        return {group: max(every, key=lambda shape: (every[shape], shape)) for group, every in found.items()}

    def at(self, row: Heading, column: Heading) -> tuple[Shown, ...]:
        """The takes of one cell; none where the matrix has none."""
        return self.cells.get((row.id, column.id), ())


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A whole project, or a selection of it."""

    project: str
    provider: str
    #: What was selected, as the user wrote it; empty for everything.
    selection: str = ""
    shots: tuple[ShotSheet, ...] = field(default=())

    @cached_property
    def takes(self) -> tuple[Shown, ...]:
        """All takes of all shots."""
        return tuple(take for shot in self.shots for take in shot.takes)


@dataclass(frozen=True, slots=True)
class Sums:
    """Counts and money of some takes."""

    jobs: int
    #: Word → how many, most first.
    states: tuple[tuple[str, int], ...]
    warned: int
    #: Charged for what is shown; a result that several of them share counts once.
    paid_usd: Decimal
    #: Of the results, those that nobody told the cost of.
    untold: int
    #: What those that run or are in doubt probably cost; None: nobody knows.
    staked_usd: Decimal | None
    #: What the ones that are to be rendered probably cost.
    open_usd: Decimal
    #: Whether some of those have no known price.
    unknown: bool


def sums(takes: Iterable[Shown]) -> Sums:
    """Counts and money."""
    found: Sequence[Shown] = tuple(takes)
    waiting = [take for take in found if take.due]
    payments = {take.payment or take.id: take for take in found}.values()
    staked = [take.usd for take in payments if take.is_staked]
    return Sums(
        jobs=len(found),
        states=tuple(Counter(take.word for take in found).most_common()),
        warned=sum(bool(take.warnings) for take in found),
        paid_usd=sum((take.usd or Decimal(0) for take in payments if take.paid), Decimal(0)),
        untold=sum(bool(take.payment) and not take.paid and not take.is_staked for take in payments),
        staked_usd=None if None in staked else sum(filter(None, staked), Decimal(0)),
        open_usd=sum((take.usd or Decimal(0) for take in waiting), Decimal(0)),
        unknown=any(take.usd is None for take in waiting),
    )
