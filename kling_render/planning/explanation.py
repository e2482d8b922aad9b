"""Why a job is up to date or not: its manifest held against that of the nearest earlier result, field by field. Pure.

The differences are those of the two manifests and nothing else, so an explanation can neither name a field that did not
change the fingerprint nor miss one that did.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any
from unicodedata import normalize

from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State
from kling_render.planning.manifest import Manifest, differences
from kling_render.planning.reasons import place_of
from kling_render.shotlist.records import Job

MADE = frozenset({State.FETCHED, State.DONE})
"""States of attempts that brought a result."""

MEDIA = frozenset({"image", "video"})
"""The fields whose value is a file's content."""

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


class Side(StrEnum):
    """Which of two texts a piece stands in."""

    BOTH = "same"
    OLD = "old"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words that two prompts share, or that only one of them has."""

    side: Side
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """A field whose value differs; None stands for "left out"."""

    #: Its name in the manifest; parameters of the model as `params.NAME`.
    field: str
    old: Any
    new: Any
    #: Where the new value is written, as `file:line`.
    at: str
    #: For the prompt: both texts, word by word.
    words: tuple[Piece, ...] = ()
    #: What the eye cannot see in the two values; may be empty.
    note: str = ""


def nearest(job: str, folder: str, key: str, new: Manifest, attempts: Iterable[Attempt]) -> Attempt | None:
    """The attempt whose result a job's manifest is best held against.

    The job's own newest result comes first, for that is what its owner remembers. Else it is the result of the store
    with the fewest fields that differ; among equals one of the same project, then the newest.

    Args:
        job: its id.
        folder: of the project.
        key: the name of the job's own result, which is no earlier one.
        new: the job's manifest.
        attempts: of the store, in the order they were made.
    """
    made = [a for a in attempts if a.state in MADE and a.manifest and a.fingerprint != key]
    own = [a for a in made if a.job == job and a.folder == folder]
    if own:
        return max(own, key=lambda a: a.reserved_at)
    known: dict[str, int] = {}
    for manifest in {a.manifest for a in made}:
        known[manifest] = len(differences(Manifest(manifest), new))
    return min(made, key=lambda a: (known[a.manifest], a.folder != folder, -a.reserved_at), default=None)


def changes(job: Job, old: Manifest, new: Manifest) -> tuple[Change, ...]:
    """Every field that differs, each once, in the order of their names."""
    found = []
    for one in differences(old, new):
        place = place_of(job, one.field)
        words = word_diff(one.old or "", one.new or "") if one.field == "prompt" else ()
        note = _unseen(one.old or "", one.new or "") if one.field == "prompt" else ""
        found.append(Change(one.field, one.old, one.new, f"{place.file}:{place.line}", words, note))
    return tuple(found)


def word_diff(old: str, new: str) -> tuple[Piece, ...]:
    """Both texts in pieces: joined without the new ones they are the old text, without the old ones the new text."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    pieces: list[Piece] = []
    matched = SequenceMatcher(None, before, after, autojunk=False)
    for tag, old_from, old_to, new_from, new_to in matched.get_opcodes():
        if tag == "equal":
            pieces.append(Piece(Side.BOTH, "".join(before[old_from:old_to])))
            continue
        pieces += [Piece(Side.OLD, text)] if (text := "".join(before[old_from:old_to])) else []
        pieces += [Piece(Side.NEW, text)] if (text := "".join(after[new_from:new_to])) else []
    return _joined(pieces)


def _joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    """Blanks between two changed words belong to the change: words are read, not the blanks they share."""
    out: list[Piece] = []
    for at, piece in enumerate(pieces):
        inner = 0 < at < len(pieces) - 1 and piece.side is Side.BOTH and piece.text.isspace()
        if inner and "\n" not in piece.text:
            out += [Piece(Side.OLD, piece.text), Piece(Side.NEW, piece.text)]
        else:
            out.append(piece)
    runs: list[Piece] = []
    changed: dict[Side, str] = {}
    for piece in out:
        if piece.side is not Side.BOTH:
            changed[piece.side] = changed.get(piece.side, "") + piece.text
            continue
        runs += _run(changed)
        changed = {}
        runs.append(piece)
    return (*runs, *_run(changed))


def _run(changed: dict[Side, str]) -> list[Piece]:
    """What was replaced, old before new."""
    return [Piece(side, changed[side]) for side in (Side.OLD, Side.NEW) if changed.get(side)]


def _unseen(old: str, new: str) -> str:
    """In words, what two texts that look the same differ in."""
    if "".join(old.split()) == "".join(new.split()):
        return "only white space differs"
    if normalize("NFC", old) == normalize("NFC", new):
        return "the same characters in another Unicode form"
    if normalize("NFKC", old).casefold() == normalize("NFKC", new).casefold():
        return "only case or the form of characters differs"
    return ""
