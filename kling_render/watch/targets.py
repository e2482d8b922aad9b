"""From what matters to a plan to what an event of the file system means for it."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kling_render.watch.noise import is_noise
from kling_render.watch.settle import What
from kling_render.watch.tracing import Trace, Tracer

CAME_OR_WENT = frozenset({What.APPEARED, What.RENAMED, What.GONE})


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one event says."""

    #: Paths, as the project names them, that changed.
    changed: tuple[Path, ...] = ()
    #: An entry of a folder that matters, which the project does not name itself.
    entry: Path | None = None
    #: Something on the way to a path moved: look again where everything stands.
    moved: bool = False


NOTHING = Meaning()


@dataclass(frozen=True, slots=True)
class Targets:
    """What is watched, by real paths in one case and form of Unicode: a save under another spelling counts too."""

    exact: dict[str, tuple[Path, ...]]
    listed: dict[str, tuple[Path, ...]]
    steps: frozenset[str]
    #: Real folders whose events are needed.
    folders: frozenset[str]

    def meaning(self, path: str, what: What) -> Meaning:
        """What an event at a real path says; cheap for all that does not matter."""
        key = fold(path)
        named = self.exact.get(key, ())
        moved = what in CAME_OR_WENT and key in self.steps
        if named:
            return Meaning(named, None, moved)
        head, _, name = path.rpartition(os.sep)
        listing = self.listed.get(fold(head or os.sep)) if self.listed else None
        if listing and not is_noise(name):
            return Meaning((), listing[0] / name, moved)
        return Meaning(moved=True) if moved else NOTHING


NO_TARGETS = Targets({}, {}, frozenset(), frozenset())


def fold(path: str) -> str:
    """One spelling for all that some file systems take for the same name."""
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path).casefold()


def find_targets(files: Iterable[Path], folders: Iterable[Path], tracer: Tracer) -> Targets:
    """Look where everything stands now."""
    exact: dict[str, tuple[Path, ...]] = {}
    listed: dict[str, tuple[Path, ...]] = {}
    ways: set[tuple[str, ...]] = set()
    needed: set[str] = set()
    links: set[str] = set()
    for path in files:
        name = str(path)
        trace = tracer.entry(name)
        ways.add(trace.steps)
        links.update(trace.links)
        needed.add(trace.folder)
        if trace.reached:
            _add(exact, trace.real, path)
        if trace.links:
            on_the_way = tracer.folder(os.path.dirname(name)).links
            for link in trace.links[len(on_the_way) :]:  # the file itself is a link, or a chain of them
                _add(exact, link, path)
    for path in folders:
        trace = tracer.folder(str(path))
        ways.add(trace.steps)
        links.update(trace.links)
        needed.add(_listing_folder(trace))
        if trace.reached:
            _add(listed, trace.real, path)
    steps = frozenset(fold(step) for way in ways for step in way)
    return Targets(exact, listed, steps, with_ways(needed, {os.path.dirname(link) for link in links}))


def _add(index: dict[str, tuple[Path, ...]], real: str, path: Path) -> None:
    key = fold(real)
    known = index.get(key)
    if known is None:
        index[key] = (path,)
    elif path not in known:
        index[key] = (*known, path)


def _listing_folder(trace: Trace) -> str:
    return trace.real if trace.reached and os.path.isdir(trace.real) else trace.folder


def with_ways(needed: set[str], links: set[str]) -> frozenset[str]:
    """The needed folders, what lies between them and the topmost of them, and where links stand.

    A link far above everything else is left out: its folder may be the whole machine's.
    """
    tops = _tops(needed)
    near = {link for link in links if not any(_below(top, link) for top in tops) or link in tops}
    wanted = needed | near
    tops = _tops(wanted)
    for folder in list(wanted):
        if folder not in tops:
            above = os.path.dirname(folder)
            while above not in wanted:
                wanted.add(above)
                above = os.path.dirname(above)
    return frozenset(wanted)


def _tops(folders: set[str]) -> set[str]:
    """The folders that lie in no other one."""
    tops: set[str] = set()
    for folder in sorted(folders, key=len):
        above, inside = folder, False
        while (parent := os.path.dirname(above)) != above and not inside:
            inside, above = parent in tops, parent
        if not inside:
            tops.add(folder)
    return tops


def _below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)
