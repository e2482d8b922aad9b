"""What each clip shows, as a person sees it, and how it is made of the footage."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.media.labelled import derive
from tests.media.labelled.derive import Crop, cropped, noise, rate_of, read, there_and_back, write

Make = Callable[[Mapping[str, Path], Path], None]


@dataclass(frozen=True, slots=True)
class Label:
    """A clip: where its footage comes from, how it is made, and what is true of it."""

    name: str
    #: Short names of the files it needs.
    needs: tuple[str, ...]
    make: Make
    #: Times of its cuts, in seconds.
    cuts: tuple[float, ...] = ()
    #: None: people would disagree, so that it counts neither way.
    camera: bool | None = False
    speed: bool | None = False
    silence: bool | None = None


def _part(name: str, start: float, end: float, every: int = 1) -> Make:
    def make(files: Mapping[str, Path], target: Path) -> None:
        write(target, read(files[name], start, end, every), rate_of(files[name]))

    return make


def _joined(*parts: tuple[str, float, float]) -> Make:
    """Parts one after the other, 25 frames of each second's worth."""

    def make(files: Mapping[str, Path], target: Path) -> None:
        first = next(read(files[parts[0][0]], parts[0][1]))

        def pictures() -> derive.Iterator[derive.Picture]:
            for name, start, end in parts:
                rate = float(rate_of(files[name]))
                shown = list(read(files[name], start, end))
                for index in range(round((end - start) * 25)):
                    picture = shown[min(len(shown) - 1, int(index / 25 * rate))]
                    yield _like(picture, first)

        write(target, pictures(), 25)

    return make


def _like(picture: derive.Picture, first: derive.Picture) -> derive.Picture:
    if picture.shape == first.shape:
        return picture
    size = (first.shape[1], first.shape[0])
    return derive.np.asarray(derive.Image.fromarray(picture).resize(size))


def _moved(name: str, start: float, end: float, crop: Crop) -> Make:
    def make(files: Mapping[str, Path], target: Path) -> None:
        write(target, cropped(list(read(files[name], start, end)), crop), rate_of(files[name]))

    return make


def _faster(name: str, start: float, end: float, times: int, *, back: bool = False) -> Make:
    def make(files: Mapping[str, Path], target: Path) -> None:
        shown = list(read(files[name], start, end))
        write(target, (there_and_back(shown) if back else shown)[::times], rate_of(files[name]))

    return make


def _flashed(name: str, start: float, end: float, at: int, frames: int) -> Make:
    def make(files: Mapping[str, Path], target: Path) -> None:
        write(target, derive.flashed(list(read(files[name], start, end)), at, frames), rate_of(files[name]))

    return make


def _dimmed(name: str, start: float, end: float) -> Make:
    def make(files: Mapping[str, Path], target: Path) -> None:
        write(target, derive.dimmed(list(read(files[name], start, end))), rate_of(files[name]))

    return make


def _with_sound(name: str, start: float, end: float, db: float) -> Make:
    def make(files: Mapping[str, Path], target: Path) -> None:
        write(target, read(files[name], start, end), rate_of(files[name]), noise(end - start, db))

    return make


def _own(name: str) -> Make:
    """The file as it is."""

    def make(files: Mapping[str, Path], target: Path) -> None:
        target.write_bytes(files[name].read_bytes())

    return make


def _pan(reach: float, width: float = 0.6) -> Crop:
    return lambda t: (0.5 + reach * (t - 0.5), 0.5, width)


def _zoom(start: float, end: float) -> Crop:
    return lambda t: (0.5, 0.5, start + (end - start) * t)


def _handheld(size: float, turns: float) -> Crop:
    return lambda t: (
        0.5 + size * math.sin(2 * math.pi * turns * t),
        0.5 + size * math.sin(2 * math.pi * turns * 0.73 * t),
        0.7,
    )


def _one(name: str, source: str, make: Make, **labels: object) -> Label:
    return Label(name, (source,), make, **labels)  # type: ignore[arg-type]


_STILL = [("vtest", 0, 8), ("vtest", 20, 28), ("vtest", 50, 58), ("cup", 0, 7.9), ("box", 0, 7), ("box", 7, 15)]
_STILL += [("cap12", 0, 10), ("cap12", 20, 30), ("cap12", 30, 40), ("cap12", 42, 52), ("cap13", 0, 10)]
_STILL += [("cap13", 20, 30), ("franck", 0, 8), ("franck", 40, 50), ("franck", 70, 78), ("franck", 155, 165)]
_STILL += [("tree", 0, 10), ("world", 0, 10), ("carphone", 0, 4)]

_BIKES = (1.2, 3.04, 5.48, 7.48, 9.68)
_THREE = (("tree", 1, 3), ("vtest", 6, 8), ("cap13", 1, 4))
_INSERT = (("franck", 1, 3), ("box", 5, 6), ("franck", 3, 5))

LABELS: tuple[Label, ...] = (
    # A camera that stands still, one take.
    *(_one(f"{name} {start:g}-{end:g}", name, _part(name, start, end)) for name, start, end in _STILL),
    _one("hand before tree", "tree", _part("tree", 20, 29.6), speed=None),
    # Films as they are: cuts and camera moves that somebody made.
    _one("bikes", "bikes", _part("bikes", 0, 9.9), cuts=_BIKES, camera=True, speed=True),
    _one("bikes, man", "bikes", _part("bikes", 1.24, 3.0), camera=None, speed=None),
    _one("bikes, street", "bikes", _part("bikes", 3.08, 5.44), camera=True, speed=True),
    _one("bikes, fence", "bikes", _part("bikes", 5.52, 7.44), camera=True),
    _one("bikes, wall", "bikes", _part("bikes", 7.52, 9.64), camera=True, speed=True),
    _one("bunny", "bunny", _part("bunny", 0, 5.2), camera=True),
    _one("film", "megamind", _part("megamind", 0.2, 11.2), cuts=(3.92, 6.25, 8.17), camera=True),
    _one("film, one take", "megamind", _part("megamind", 0.2, 4.0), camera=True),
    # Takes joined at known times.
    Label("vtest+cup", ("vtest", "cup"), _joined(("vtest", 2, 5), ("cup", 1, 4)), (3.0,)),
    Label("cap12+franck", ("cap12", "franck"), _joined(("cap12", 0, 4), ("franck", 10, 13)), (4.0,)),
    Label("box+cap13", ("box", "cap13"), _joined(("box", 2, 4.4), ("cap13", 3, 6)), (2.4,)),
    Label("cup+world", ("cup", "world"), _joined(("cup", 0, 3), ("world", 3, 6)), (3.0,)),
    Label("tree+vtest+cap13", ("tree", "vtest", "cap13"), _joined(*_THREE), (2.0, 4.0)),
    Label("franck+box+franck", ("franck", "box"), _joined(*_INSERT), (2.0, 3.0)),
    Label("jump cut, vtest", ("vtest",), _joined(("vtest", 0, 4), ("vtest", 40, 43)), (4.0,)),
    Label("jump cut, franck", ("franck",), _joined(("franck", 0, 4), ("franck", 160, 163)), (4.0,)),
    Label("jump cut, cap12", ("cap12",), _joined(("cap12", 0, 4), ("cap12", 32, 35)), (4.0,)),
    Label("close-up, cap12", ("cap12",), _joined(("cap12", 0, 3), ("cap13", 26, 29)), (3.0,)),
    # Light that changes is no cut.
    _one("flash, franck", "franck", _flashed("franck", 20, 26, 60, 2)),
    _one("flash, vtest", "vtest", _flashed("vtest", 10, 16, 30, 1)),
    _one("flash, cap13", "cap13", _flashed("cap13", 5, 10, 50, 3)),
    _one("dimmed, cap12", "cap12", _dimmed("cap12", 5, 11)),
    _one("dimmed, vtest", "vtest", _dimmed("vtest", 30, 38)),
    # A camera that moves over what stood still.
    _one("pan, vtest", "vtest", _moved("vtest", 0, 6, _pan(0.3)), camera=True),
    _one("slow pan, vtest", "vtest", _moved("vtest", 20, 28, _pan(0.1)), camera=True),
    _one("pan, cap12", "cap12", _moved("cap12", 0, 6, _pan(0.35)), camera=True),
    _one("pan, box", "box", _moved("box", 2, 7, _pan(-0.35)), camera=True),
    _one("pan, cup", "cup", _moved("cup", 0, 5, _pan(0.3)), camera=True),
    _one("pan, tree", "tree", _moved("tree", 0, 8, _pan(0.25)), camera=True),
    _one("push in, vtest", "vtest", _moved("vtest", 40, 46, _zoom(0.9, 0.5)), camera=True),
    _one("push in, tree", "tree", _moved("tree", 5, 12, _zoom(0.9, 0.6)), camera=True),
    _one("pull out, cap13", "cap13", _moved("cap13", 3, 8, _zoom(0.6, 0.95)), camera=True),
    _one("handheld, vtest", "vtest", _moved("vtest", 10, 16, _handheld(0.05, 4)), camera=True),
    _one("handheld, cap12", "cap12", _moved("cap12", 6, 12, _handheld(0.06, 4)), camera=True),
    _one("handheld, franck", "franck", _moved("franck", 6, 12, _handheld(0.06, 4)), camera=True),
    _one("tilt, carphone", "carphone", _moved("carphone", 0, 4, lambda t: (0.5, 0.35 + 0.3 * t, 0.6)), camera=True),
    # Four times as fast as it was.
    _one("4x cup", "cup", _faster("cup", 0, 7.9, 4, back=True), speed=True),
    _one("4x box", "box", _faster("box", 0, 15, 4), speed=True),
    _one("4x cap12, leaning", "cap12", _faster("cap12", 20, 40, 4), speed=True),
    _one("4x cap12, hand", "cap12", _faster("cap12", 40, 53, 4), speed=None),
    _one("4x cap13", "cap13", _faster("cap13", 15, 30, 4), speed=True),
    _one("4x franck", "franck", _faster("franck", 40, 64, 4), speed=True),
    _one("4x franck, laughing", "franck", _faster("franck", 155, 175, 4), speed=True),
    _one("4x bunny", "bunny", _faster("bunny", 0, 5.2, 4, back=True), camera=None, speed=True),
    _one("4x film", "megamind", _faster("megamind", 0.2, 4.0, 4, back=True), camera=None, speed=True),
    _one("4x carphone", "carphone", _faster("carphone", 0, 4, 4, back=True), speed=True),
    _one("6x box", "box", _faster("box", 0, 15.1, 6), speed=True),
    _one("6x cap12, leaning", "cap12", _faster("cap12", 20, 40, 6), speed=True),
    _one("6x franck", "franck", _faster("franck", 40, 64, 6), speed=True),
    _one("2x cup", "cup", _faster("cup", 0, 7.9, 2), speed=None),
    _one("4x vtest", "vtest", _faster("vtest", 0, 16, 4), speed=None),
    # Sound.
    _one("sound, cup", "cup", _own("cup"), silence=False),
    _one("sound, box", "box", _own("box"), silence=False),
    _one("sound, bunny", "bunny", _own("bunny"), camera=True, silence=False),
    _one("silent track, world", "world", _own("world"), silence=True),
    _one("silent track, titles", "titles", _own("titles"), camera=None, silence=True),
    _one("no track, bikes", "bikes", _own("bikes"), cuts=_BIKES, camera=True, speed=True, silence=True),
    _one("no track, franck", "franck", _part("franck", 100, 104), silence=True),
    _one("muted, cap13", "cap13", _with_sound("cap13", 0, 4, -300), silence=True),
    _one("hiss of -75 dB, cap13", "cap13", _with_sound("cap13", 4, 8, -75), silence=True),
    _one("whisper of -45 dB, cap12", "cap12", _with_sound("cap12", 0, 4, -45), silence=False),
    _one("loud, vtest", "vtest", _with_sound("vtest", 0, 4, -12), silence=False),
)  # fmt: skip
