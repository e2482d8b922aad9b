"""Which edit made prompts other ones: told from each old text and the pieces of the new one. Pure.

An edit is a guess that is tried: were only this value, or only this line of the template, another one, could the
prompt have read as it did? What no single edit explains is told from the words that differ. Where two guesses fit a
job, the one counts that also fits the other jobs which would have changed by it; if both do, both are named.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from kling_render.planning.words import changed_spans
from kling_render.shotlist.origins import Origin, Part, Pieces

_REMEMBERED = 8
"""Explanations of several edits at once that are tried again for the next job of a template."""
_LOOKED_AT = 400
"""Prompts that are compared word by word; of more, the pieces between the first and the last difference count."""
_REWRITTEN = 0.25
"""The share of a prompt that must have stayed for single edits to mean anything."""

Really = Callable[["Changed", Origin], bool]
Readers = Callable[[Hashable, Origin], int]


class Changed(NamedTuple):
    """A prompt that is another one than before."""

    job: str
    #: Equal for jobs with one template.
    template: Hashable
    old: str
    new: str
    pieces: Pieces


@dataclass(frozen=True, slots=True)
class Cause:
    """What was edited; nothing: the prompt as a whole."""

    origins: tuple[Origin, ...]
    #: All of them; else one of them, and nobody can tell which.
    sure: bool = True


class _Guess(NamedTuple):
    """A single edit, and the text that stood in the piece's place before."""

    origin: Origin
    part: Part
    #: None: it changed more pieces than one.
    was: str | None
    #: How many spots of the template it changed.
    spots: int = 1


def causes(changed: Sequence[Changed], readers: Readers, really: Really | None = None) -> dict[str, Cause]:
    """The cause of each change, by job.

    Args:
        changed: the jobs; what they have in common tells guesses apart.
        readers: how many jobs of a template, changed or not, see a value or a line.
        really: whether an origin is known to be another one than before; None: nobody knows the earlier list.
    """
    choice, several = _Choice(changed, readers), _Several(really)
    choice.guesses = {one.job: _guesses(one, really) or _joint_guesses(one, really) for one in changed}
    made: dict[str, _Guess] = {}
    found: dict[str, Cause] = {}
    same: dict[Hashable, Cause] = {}
    rest = []
    for one in changed:
        best = choice.best(one)
        if len(best) == 1:
            made[one.job] = best[0]
            origin = best[0].origin
            found[one.job] = same.get(origin) or same.setdefault(origin, Cause((origin,)))
        elif best:
            cause = Cause(tuple(dict.fromkeys(guess.origin for guess in best)), sure=False)
            found[one.job] = same.setdefault(cause, cause)
        else:
            rest.append(one)
    if really is None:
        found |= _of_expressions(changed, made)
    several.learn((one.template, found[one.job]) for one in changed if one.job in made)
    for one in rest:
        cause = several.cause(one)
        found[one.job] = same.setdefault(cause, cause)
    return found


# -- one edit --------------------------------------------------------------------------------------------------------


def _guesses(one: Changed, really: Really | None) -> list[_Guess]:
    """Each single edit that explains the change on its own."""
    old, new = one.old, one.new
    head, tail = _common_head(old, new), _common_tail(old, new)
    begin, length, size = 0, len(new), len(old)
    found = []
    for text, part in zip(*one.pieces, strict=True):
        end = begin + len(text)
        rest = length - end
        if begin <= head and rest <= tail and begin + rest <= size:
            was = old[begin : size - rest]
            swapped = bool(part.controls and text.strip() and was.strip())
            found += [_Guess(origin, part, was) for origin in _edits_of(part, one, really, swapped=swapped)]
        begin = end
    return found


def _joint_guesses(one: Changed, really: Really | None) -> list[_Guess]:
    """Each single edit that explains the change in several places of the text."""
    old = one.old
    gone = [frozenset(_edits_of(p, one, really)) for t, p in zip(*one.pieces, strict=True) if t not in old]
    if gone and not frozenset.intersection(*gone):  # what is not in the old text changed, whatever else did
        return []
    spots: dict[Origin, dict[Hashable, Part]] = defaultdict(dict)
    for part in one.pieces.parts:
        for origin in _edits_of(part, one, really):
            spots[origin][part.spot] = part
    return [
        _Guess(origin, next(iter(group.values())), None, len(group))
        for origin, group in spots.items()
        if len(group) > 1 and _fits(one, group)
    ]


def _edits_of(part: Part, one: Changed, really: Really | None, *, swapped: bool = False) -> Iterable[Origin]:
    """The edits that can change a piece: of its values, or of the template where it has none.

    A value that only decides whether the piece is there cannot have `swapped` it for another text, unless another one
    stands there if it decides otherwise.
    """
    controls = part.controls if part.either or not swapped else ()
    if really is None:
        own = (part.line,) if part.literal else part.values
        return (*own, *controls) or (part.line,)
    values = [origin for origin in (*part.values, *controls) if really(one, origin)]
    return values or ([part.line] if really(one, part.line) else [])


def _common_head(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    low, high = 0, min(len(one), len(other)) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _common_tail(one: str, other: str) -> int:
    """How many characters two texts end with alike."""
    low, high, end, other_end = 0, min(len(one), len(other)) + 1, len(one), len(other)
    while high - low > 1:
        middle = (low + high) // 2
        if one[end - middle : end - low] == other[other_end - middle : other_end - low]:
            low = middle
        else:
            high = middle
    return low


class _Choice:
    """Of several guesses for a job the likeliest: the one that explains most of what it would have changed."""

    def __init__(self, changed: Sequence[Changed], readers: Readers) -> None:
        self._changed = changed
        self._readers = readers
        #: By job.
        self.guesses: dict[str, list[_Guess]] = {}

    @cached_property
    def _fits(self) -> Counter[tuple[Hashable, Origin]]:
        fits: Counter[tuple[Hashable, Origin]] = Counter()
        for one in self._changed:
            fits.update({(one.template, guess.origin) for guess in self.guesses[one.job]})
        return fits

    def best(self, one: Changed) -> list[_Guess]:
        """The guesses that are left; none where no single edit explains the change."""
        guesses = self.guesses[one.job]
        if len(guesses) < 2:
            return guesses
        if len({guess.origin for guess in guesses}) > 1:
            ranked = [(self._rank(one, guess), guess) for guess in guesses]
            highest = max(rank for rank, _ in ranked)
            guesses = [guess for rank, guess in ranked if rank == highest]
        if len({(guess.origin.place.file if guess.origin.line else guess.origin) for guess in guesses}) == 1:
            return guesses[-1:]  # what is gone between two lines stood where the second begins
        return guesses

    def _rank(self, one: Changed, guess: _Guess) -> tuple[float, int, int]:
        fits = self._fits[one.template, guess.origin]
        return min(fits / max(self._readers(one.template, guess.origin), 1), 1.0), fits, -guess.spots


def _of_expressions(changed: Sequence[Changed], made: dict[str, _Guess]) -> dict[str, Cause]:
    """Jobs in which the template's expression was edited and not the values that it prints.

    So it was where different values stand in for one and the same text, or where a value stood as it is.
    """
    spots: dict[tuple[Hashable, Hashable], list[tuple[str, _Guess]]] = defaultdict(list)
    found = {}
    for one in changed:
        guess = made.get(one.job)
        if guess is None or guess.was is None or guess.origin not in guess.part.values:
            continue
        spots[one.template, guess.part.spot].append((one.job, guess))
        if guess.part.raw == guess.was:
            found[one.job] = Cause((guess.part.line,))
    for same in spots.values():
        origins = {guess.origin for _, guess in same}
        if len(origins) > 1 and len({guess.was for _, guess in same}) == 1:
            found |= {job: Cause((guess.part.line,)) for job, guess in same}
    return found


# -- several edits ---------------------------------------------------------------------------------------------------


class _Several:
    """Explains changes that no single edit does. What explained one job is tried for the next."""

    def __init__(self, really: Really | None) -> None:
        self._really = really
        self._known: dict[Hashable, list[frozenset[Hashable]]] = defaultdict(list)
        #: By template, what was edited for certain, since it explains other jobs on its own.
        self._edited: dict[Hashable, dict[Origin, None]] = defaultdict(dict)
        self._left = _LOOKED_AT

    def learn(self, told: Iterable[tuple[Hashable, Cause]]) -> None:
        """What explains jobs on its own is tried together first."""
        for template, cause in told:
            self._edited[template].update(dict.fromkeys(cause.origins))

    def cause(self, one: Changed) -> Cause:
        """All that was edited."""
        return self._of_known(one) or self._of_spots(one)

    def _of_known(self, one: Changed) -> Cause | None:
        """By edits that are known from other jobs, if they are all."""
        edited = self._edited.get(one.template, {})
        here = [origin for part in one.pieces.parts for origin in (part.line, *part.values, *part.controls)]
        origins = [origin for origin in dict.fromkeys(here) if origin in edited]
        if len(origins) < 2 or not self._fit(one, origins):
            return None
        for origin in tuple(origins):
            fewer = [each for each in origins if each is not origin]
            if self._fit(one, fewer):
                origins = fewer
        return Cause(tuple(origins))

    def _fit(self, one: Changed, origins: Sequence[Origin]) -> bool:
        return _fits(one, {p.spot for p in one.pieces.parts if any(o in _edits_of(p, one, None) for o in origins)})

    def _of_spots(self, one: Changed) -> Cause:
        free = self._spots(one)
        texts, parts = one.pieces
        stayed = sum(len(text) for text, part in zip(texts, parts, strict=True) if part.spot not in free)
        edited = [(text, part) for text, part in zip(texts, parts, strict=True) if part.spot in free]
        written = any(part.literal for _, part in edited)
        origins: dict[Origin, None] = {}
        for text, part in edited:
            moved = written and not part.literal and len(text) > 1 and text in one.old
            origins |= dict.fromkeys([part.line] if moved else self._origins(one, part))
        if self._really is None and len(origins) > 1 and stayed < _REWRITTEN * len(one.new):
            return Cause(())
        return Cause(tuple(origins))

    def _origins(self, one: Changed, part: Part) -> Iterable[Origin]:
        if part.literal:
            return (part.line,)
        return _edits_of(part, one, self._really, swapped=bool(part.values)) or part.values or (part.line,)

    def _spots(self, one: Changed) -> frozenset[Hashable]:
        """The spots of the template whose text must have been another."""
        known = self._known[one.template]
        for spots in known:
            if _fits(one, spots):
                return self._fewest(one, spots)
        spots = self._of_words(one)
        if spots not in known:
            known.insert(0, spots)
            del known[_REMEMBERED:]
        return spots

    def _of_words(self, one: Changed) -> frozenset[Hashable]:
        """The spots in which words differ, without those that need not."""
        spots = frozenset(_touched(one, self._spans(one)))
        if self._really is not None:
            sure = frozenset(p.spot for p in one.pieces.parts if _edits_of(p, one, self._really))
            spots = sure if _fits(one, sure) else spots | sure
        if not _fits(one, spots):
            spots = frozenset(part.spot for part in one.pieces.parts)
        return self._fewest(one, spots)

    def _spans(self, one: Changed) -> Iterator[tuple[int, int]]:
        self._left -= 1
        if self._left < 0:
            head = _common_head(one.old, one.new)
            yield head, max(len(one.new) - _common_tail(one.old, one.new), head)
            return
        yield from changed_spans(one.old, one.new)

    def _fewest(self, one: Changed, spots: frozenset[Hashable]) -> frozenset[Hashable]:
        """Without every spot that the others explain the change without; what is not in the old text has changed."""
        old = one.old
        changed = {p.spot for text, p in zip(*one.pieces, strict=True) if p.spot in spots and text not in old}
        doubtful = dict.fromkeys(p.spot for p in one.pieces.parts if p.spot in spots and p.spot not in changed)
        for spot in doubtful:
            if _fits(one, fewer := spots - {spot}):
                spots = fewer
        return spots


def _touched(one: Changed, spans: Iterable[tuple[int, int]]) -> Iterator[Hashable]:
    """The spots of pieces that spans of the new text lie in, or that they touch where something is gone."""
    wanted = list(spans)
    begin = 0
    for text, part in zip(*one.pieces, strict=True):
        end = begin + len(text)
        if any((low < end and begin < high) or (low == high and begin <= low <= end) for low, high in wanted):
            yield part.spot
        begin = end


def _fits(one: Changed, free: Collection[Hashable]) -> bool:
    """Whether the old prompt can be the new one with other texts in these spots."""
    fixed: list[list[str]] = [[]]
    for text, part in zip(*one.pieces, strict=True):
        if part.spot in free:
            fixed.append([])
        else:
            fixed[-1].append(text)
    head, *middle = ("".join(texts) for texts in fixed)
    if not middle:
        return one.old == head
    tail = middle.pop()
    old, at, end = one.old, len(head), len(one.old) - len(tail)
    if at > end or not old.startswith(head) or not old.endswith(tail):
        return False
    for text in middle:
        at = old.find(text, at, end)
        if at < 0:
            return False
        at += len(text)
    return True
