"""What was seen in a clip between two times. Values only, JSON in and out (for caches)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

#: Raised when detectors answer differently, so that what they said before is not believed any more.
VERSION = "footage/1"

Subject = Literal["cuts", "camera", "speed"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Something between two times (seconds of the file); a cut is one moment with both equal."""

    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """What a clip shows in the part that is used."""

    cuts: tuple[Moment, ...] = ()
    camera: tuple[Moment, ...] = ()
    speed: tuple[Moment, ...] = ()
    #: The loudest tenth of a second, in dB below full scale; None without a sound track.
    loudest_db: float | None = None
    #: Subject → file name of a picture that shows it.
    pictures: tuple[tuple[str, str], ...] = ()
    #: False when the clip could not be decoded in time: nothing is known then.
    seen: bool = True

    def moments(self, subject: Subject) -> tuple[Moment, ...]:
        """What was found of one kind."""
        return {"cuts": self.cuts, "camera": self.camera, "speed": self.speed}[subject]


def key(sha256: str, start: Decimal | None, end: Decimal | None) -> str:
    """What the findings about a part of a clip are remembered under."""
    first, last = ("" if at is None else f"{at.normalize():f}" for at in (start, end))
    return f"{sha256}:{first}-{last}"


def to_json(footage: Footage) -> dict[str, Any]:
    """Plain values for `json.dumps`."""
    found = {name: [[m.start, m.end] for m in footage.moments(name)] for name in ("cuts", "camera", "speed")}
    return {**found, "loudest_db": footage.loudest_db, "pictures": dict(footage.pictures), "seen": footage.seen}


def from_json(data: Mapping[str, Any]) -> Footage:
    """The inverse of `to_json`.

    Raises:
        ValueError: the data is not what `to_json` of this version writes.
    """
    try:
        found = {
            name: tuple(Moment(float(start), float(end)) for start, end in data[name])
            for name in ("cuts", "camera", "speed")
        }
        loudest = None if data["loudest_db"] is None else float(data["loudest_db"])
        pictures = tuple((str(subject), str(name)) for subject, name in sorted(data["pictures"].items()))
        return Footage(
            cuts=found["cuts"],
            camera=found["camera"],
            speed=found["speed"],
            loudest_db=loudest,
            pictures=pictures,
            seen=bool(data["seen"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not findings about a clip: {error}") from error
