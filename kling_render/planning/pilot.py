"""A pilot: the fewest cells that show every character, every motion and every value of an axis at least once.

A set cover. Greedy with a stable order first, then without what became redundant; where that is more than the
obvious least, a search of bounded length looks for fewer. Always the same answer for the same list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

from kling_render.shotlist.records import Job

SEARCH_LOOKS = 1_000_000
"""How long the search for fewer cells goes on; counted in cells looked at, so that no clock decides the answer."""


def pilot(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """The jobs of a pilot, in the order of `jobs`: of each chosen cell its lowest take."""
    cells: dict[str, Job] = {}
    for job in jobs:
        known = cells.get(job.cell)
        if known is None or job.take < known.take:
            cells[job.cell] = job
    candidates = list(cells.values())
    chosen = _cover(_shown_by(candidates))
    return tuple(candidates[index] for index in chosen)


def _shown_by(cells: Sequence[Job]) -> list[int]:
    """What each cell shows, as bits."""
    numbers: dict[tuple[str, str], int] = {}
    masks = []
    for job in cells:
        mask = 0
        # An axis may be called like another field; the colon keeps them apart.
        for shown in ((":character", job.character), (":motion", job.motion), *job.values):
            mask |= 1 << numbers.setdefault(shown, len(numbers))
        masks.append(mask)
    return masks


def _cover(masks: Sequence[int]) -> list[int]:
    """The indexes of the cells that together show everything, ascending."""
    first: dict[int, int] = {}
    for index, mask in enumerate(masks):
        first.setdefault(mask, index)  # of cells that show the same, the first of the list
    kinds = list(first)
    greedy = _irredundant(kinds, _greedy(kinds))
    least = _at_least(kinds)
    better = _fewer(kinds, least, len(greedy) - 1) if len(greedy) > least else None
    return sorted(first[kinds[index]] for index in better or greedy)


def _greedy(kinds: Sequence[int]) -> list[int]:
    """Again and again the one that shows most of what is missing; of equals the first."""
    missing = _union(kinds)
    # What one adds only shrinks, so an outdated entry is at worst too hopeful: it is looked at again on top.
    heap = [(-mask.bit_count(), index) for index, mask in enumerate(kinds)]
    heapify(heap)
    chosen = []
    while missing:
        promised, index = heap[0]
        adds = -(kinds[index] & missing).bit_count()
        if adds != promised:
            heapreplace(heap, (adds, index))
            continue
        heappop(heap)
        chosen.append(index)
        missing &= ~kinds[index]
    return chosen


def _irredundant(kinds: Sequence[int], chosen: list[int]) -> list[int]:
    """Without those whose every trait another one shows too; the last chosen goes first."""
    kept = list(chosen)
    for index in reversed(chosen):
        if kinds[index] & ~_union(kinds[other] for other in kept if other != index) == 0:
            kept.remove(index)
    return kept


def _at_least(kinds: Sequence[int]) -> int:
    """A lower bound: no cell shows more than the richest one does."""
    richest = max((mask.bit_count() for mask in kinds), default=1)
    return -(-_union(kinds).bit_count() // richest)


class _TooLong(Exception):
    """The search has looked at as many cells as it may."""


@dataclass(slots=True)
class _Search:
    """Looks for a small cover: the trait that the fewest show must be shown by one of these few."""

    kinds: Sequence[int]
    looks: int = SEARCH_LOOKS

    def cover(self, missing: int, size: int) -> list[int] | None:
        """A cover of `missing` by at most `size` kinds, or None.

        Raises:
            _TooLong: it is not known.
        """
        if not missing:
            return []
        self.looks -= len(self.kinds) * missing.bit_count()
        if self.looks < 0:
            raise _TooLong
        most = max((mask & missing).bit_count() for mask in self.kinds)
        if missing.bit_count() > size * most:
            return None
        for index in self._rarest(missing):
            rest = self.cover(missing & ~self.kinds[index], size - 1)
            if rest is not None:
                return [index, *rest]
        return None

    def _rarest(self, missing: int) -> list[int]:
        """The kinds that show the rarest missing trait, those that show most of the rest first."""
        traits = [1 << bit for bit in range(missing.bit_length()) if missing >> bit & 1]
        showing = [[index for index, mask in enumerate(self.kinds) if mask & trait] for trait in traits]
        few = min(showing, key=len)
        return sorted(few, key=lambda index: -(self.kinds[index] & missing).bit_count())


def _fewer(kinds: Sequence[int], least: int, most: int) -> list[int] | None:
    """A cover of fewest kinds; None if there is none of at most `most`, or the search would take too long."""
    search, everything = _Search(kinds), _union(kinds)
    try:
        covers = (search.cover(everything, size) for size in range(least, most + 1))
        return next((cover for cover in covers if cover is not None), None)
    except _TooLong:
        return None


def _union(masks: Iterable[int]) -> int:
    whole = 0
    for mask in masks:
        whole |= mask
    return whole
