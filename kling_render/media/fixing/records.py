"""What is wrong with an input, and what is to be done about it. Values only; the specs go to the child as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

BLUR = "blur"
WHITE = "#ffffff"

Kept = Literal["png", "jpeg"]


@dataclass(frozen=True, slots=True)
class Correction:
    """One thing that is wrong, and what the copy does about it."""

    #: The code of the rule it breaks; empty when nothing forbids it.
    code: str
    wrong: str
    done: str


@dataclass(frozen=True, slots=True)
class Unfixable:
    """What no copy can mend."""

    code: str
    message: str
    help: str


@dataclass(frozen=True, slots=True)
class Shape:
    """What a clip's header says of how its picture is shown, beside the quarter turns."""

    #: Width of a stored pixel, as a multiple of its height.
    wide: Fraction = Fraction(1)
    #: Degrees clockwise that it is turned, where that is no quarter turn; else 0.
    slant: int = 0
    #: Whether left and right are exchanged after the turn.
    is_mirrored: bool = False


PLAIN = Shape()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asked for."""

    #: Seconds; the part of a clip to keep.
    start: Decimal | None = None
    end: Decimal | None = None
    #: What borders are made of: `blur`, or a colour.
    pad: str = BLUR
    #: What see-through parts are laid on: a colour.
    background: str = WHITE


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """How a corrected picture is made."""

    picture: tuple[int, int]
    canvas: tuple[int, int]
    kind: Kept
    pad: str
    background: str
    #: Bytes it may have.
    most: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSpec:
    """How a corrected clip is made."""

    picture: tuple[int, int]
    canvas: tuple[int, int]
    #: Seconds; None: from the beginning, to the end.
    start: Decimal | None
    end: Decimal | None
    pad: str
    background: str
    #: Bytes it may have.
    most: int
    #: Whether picture and sound are taken over as they are, without encoding.
    as_is: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {name: None if (at := getattr(self, name)) is None else str(at) for name in _TIMES}


_TIMES = ("start", "end")
