"""Which announcements of the file system say something that matters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kling_render.watch.noise import is_noise
from kling_render.watch.settle import Sight, What
from kling_render.watch.stamps import MISSING, Stamp, is_folder
from kling_render.watch.targets import CAME_OR_WENT, NO_TARGETS, Targets


@dataclass(slots=True)
class Sightings:
    """Turns announcements into sights. Any thread may use it."""

    #: How a path looks now.
    look: Callable[[Path], Stamp]
    #: How it looked when it last counted; None for a path that is not followed.
    known: Callable[[Path], Stamp | None]
    #: Whether a path belongs to outputs or the store.
    ignored: Callable[[Path], bool]
    now: Callable[[], float]
    targets: Targets = NO_TARGETS
    #: Entries that came up since the last batch: what is written into them counts.
    new: set[Path] = field(default_factory=set)

    def of(self, path: str, what: What) -> tuple[Sequence[Sight], bool]:
        """What an announcement of a real path says, and whether something on the way to a path moved."""
        meaning = self.targets.meaning(path, what)
        sights = [sight for named in meaning.changed if (sight := self._named(named, what)) is not None]
        entry = meaning.entry
        if entry is not None and (what in CAME_OR_WENT or entry in self.new) and not self.ignored(entry):
            after = self.look(entry)
            back = what is What.GONE and after != MISSING  # two threads told about it, in their own order
            sights.append(Sight(entry, What.CHANGED if back else what, after, self.now(), entry=True))
            self.note(sights)
        return sights, meaning.moved

    def _named(self, named: Path, what: What) -> Sight | None:
        after = self.look(named)
        if what is What.CHANGED and after == self.known(named):
            return None  # an attribute that is not the file's
        if is_folder(after) and what not in CAME_OR_WENT:
            return None
        return Sight(named, what, after, self.now())

    def counts(self, entry: Path) -> bool:
        """Whether an entry of a watched folder may be an input."""
        return not is_noise(entry.name) and not self.ignored(entry)

    def note(self, sights: Iterable[Sight]) -> None:
        """Remember entries that came up, forget those that went."""
        for sight in sights:
            if sight.entry and sight.what is What.GONE:
                self.new.discard(sight.path)
            elif sight.entry:
                self.new.add(sight.path)
