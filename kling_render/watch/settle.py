"""When what changed has come to rest: pure, times are arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from kling_render.watch.stamps import Stamp, is_empty_file

PATIENCE_S = 30.0
"""How long a file may stay open in silence until it is taken as it is, unless settling takes long itself."""
_MOMENT_S = 1e-6
"""Sums of times are not exact; less than this is no time."""


class What(Enum):
    """What was seen of a path."""

    #: A new name; its writer may not have begun.
    APPEARED = auto()
    #: Moved here from another name: as complete as it was there.
    RENAMED = auto()
    #: Bytes were written; the writer has it open.
    WRITTEN = auto()
    #: A writer closed it.
    CLOSED = auto()
    GONE = auto()
    #: It differs from before; nothing is known of a writer.
    CHANGED = auto()


@dataclass(frozen=True, slots=True)
class Sight:
    """Something relevant that was seen."""

    path: Path
    what: What
    #: How it looked right after.
    stamp: Stamp
    #: Monotonic seconds.
    at: float
    #: The project does not name this path itself: it is an entry of a folder that matters.
    entry: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """What changed and is not settled yet, or has just settled."""

    paths: frozenset[Path]
    first_at: float


@dataclass(slots=True)
class Settling:
    """Gathers what changed until nothing of it moves any more."""

    settle_s: float
    #: Whether this system says when a writer closes a file.
    closes: bool
    _stamps: dict[Path, Stamp | None] = field(default_factory=dict)
    _writing: dict[Path, float] = field(default_factory=dict)
    #: Entries that were not there before.
    _new: set[Path] = field(default_factory=set)
    _first_at: float = 0.0
    _last_at: float = 0.0

    @property
    def paths(self) -> frozenset[Path]:
        """What changed and is not settled."""
        return frozenset(self._stamps)

    @property
    def writing(self) -> frozenset[Path]:
        """Files that somebody is writing."""
        return frozenset(self._writing)

    @property
    def patience_s(self) -> float:
        """How long a file may be open in silence."""
        return max(PATIENCE_S, 10 * self.settle_s)

    def note(self, sight: Sight) -> bool:
        """Take in what was seen; whether the path was not among the changed ones yet."""
        joins = sight.path not in self._stamps
        if not self._stamps:
            self._first_at = sight.at
            self._last_at = sight.at
        self._last_at = max(self._last_at, sight.at)
        self._stamps[sight.path] = sight.stamp
        self._note_writer(sight)
        self._note_newcomer(sight, joins)
        return joins

    def _note_writer(self, sight: Sight) -> None:
        awaited = sight.what is What.WRITTEN or (sight.what is What.APPEARED and is_empty_file(sight.stamp))
        if self.closes and awaited:
            self._writing[sight.path] = sight.at
        elif sight.what in (What.CLOSED, What.GONE, What.RENAMED):
            self._writing.pop(sight.path, None)

    def _note_newcomer(self, sight: Sight, joins: bool) -> None:
        """What comes and goes in one burst leaves only its folder behind, or a burst of such names could grow."""
        if not sight.entry:
            return
        if sight.what is not What.GONE:
            if joins:
                self._new.add(sight.path)
        elif sight.path in self._new:
            self._new.discard(sight.path)
            del self._stamps[sight.path]
            self._stamps.setdefault(sight.path.parent, None)

    def wait_s(self, now: float) -> float | None:
        """Seconds until it is worth looking whether all is at rest; None when nothing changed."""
        if not self._stamps:
            return None
        due = self._last_at + self.settle_s
        for at in self._writing.values():
            due = max(due, at + self.patience_s)
        return due - now if due - now > _MOMENT_S else 0.0

    def rests(self, found: Mapping[Path, Stamp], now: float) -> bool:
        """Whether everything still looks as when it was last seen; what does not is followed from `now` on."""
        rests = self.wait_s(now) == 0.0
        for path, before in self._stamps.items():
            after = found.get(path)
            if after is None:
                rests = False
            elif before is None:
                self._stamps[path] = after
            elif after != before:
                self._stamps[path] = after
                self._last_at = max(self._last_at, now)
                rests = False
        return rests

    def take(self) -> Pending:
        """What settled; nothing is pending after that."""
        taken = Pending(self.paths, self._first_at)
        self._stamps.clear()
        self._writing.clear()
        self._new.clear()
        return taken
