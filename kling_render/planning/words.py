"""Two texts word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

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


def changed_spans(old: str, new: str) -> Iterator[tuple[int, int]]:
    """Where in the new text words differ, as begin and end; both are the same where something is only gone."""
    at = 0
    before = Side.BOTH
    for piece in word_diff(old, new):
        if piece.side is Side.BOTH and before is Side.OLD:
            yield at, at
        elif piece.side is Side.NEW:
            yield at, at + len(piece.text)
        if piece.side is not Side.OLD:
            at += len(piece.text)
        before = piece.side
    if before is Side.OLD:
        yield at, at
