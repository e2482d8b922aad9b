"""Letters of every script: the machine's own fonts where they have them, else Latin letters that sound alike.

Runs in a child only.
"""

from __future__ import annotations

import functools
import os
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from anyascii import anyascii
from PIL import ImageDraw, ImageFont, features

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int, int]

#: Fonts that come with systems and their usual packages: Latin, Greek and Cyrillic first, then other scripts, then
#: symbols. Names without their folder, in lower case; the first that has a letter draws it.
_WANTED = (
    "notosans-regular.ttf", "dejavusans.ttf", "segoeui.ttf", "helveticaneue.ttc", "liberationsans-regular.ttf",
    "arial.ttf", "notosanscjk-regular.ttc", "notosanscjkjp-regular.otf", "notosansjp-regular.ttf",
    "sourcehansans-regular.ttc", "hiragino sans gb.ttc", "pingfang.ttc", "applesdgothicneo.ttc", "msyh.ttc",
    "yugothm.ttc", "meiryo.ttc", "malgun.ttf", "msgothic.ttc", "simsun.ttc", "wqy-microhei.ttc",
    "wqy-zenhei.ttc", "droidsansfallbackfull.ttf", "ipagp.ttf", "ipag.ttf", "nanumgothic.ttf",
    "takaopgothic.ttf", "vl-pgothic-regular.ttf", "unifont.otf", "notosansarabic-regular.ttf",
    "notosanshebrew-regular.ttf", "notosansdevanagari-regular.ttf", "notosansthai-regular.ttf",
    "notosansbengali-regular.ttf", "notosanstamil-regular.ttf", "nirmala.ttc", "nirmala.ttf", "tahoma.ttf",
    "leelawui.ttf", "arial unicode.ttf", "notoemoji-regular.ttf", "seguiemj.ttf", "symbola.ttf",
    "notosanssymbols2-regular.ttf", "seguisym.ttf", "freesans.ttf",
)  # fmt: skip
_MOST_FILES = 20_000
_RIGHT_TO_LEFT = ("R", "AL", "AN")
#: No character of Unicode: what a font draws for it, it draws for everything that it lacks.
_NOWHERE = "\uffff"


def folders() -> tuple[Path, ...]:
    """Where systems keep their fonts."""
    if sys.platform == "win32":
        return (Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "Fonts",)
    if sys.platform == "darwin":
        return Path("/System/Library/Fonts"), Path("/Library/Fonts")
    return Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path("/run/current-system/sw/share/X11/fonts")


def installed(places: tuple[Path, ...]) -> list[Path]:
    """The wanted fonts that lie below these folders, best first."""
    found: dict[str, Path] = {}
    for path in _files(places):
        found.setdefault(path.name.lower(), path)
    return [found[name] for name in _WANTED if name in found]


def _files(places: tuple[Path, ...]) -> Iterator[Path]:
    count = 0
    for place in places:
        for folder, inner, names in os.walk(place):
            inner.sort()
            for name in sorted(names):
                count += 1
                if count > _MOST_FILES:
                    return
                yield Path(folder, name)


@functools.cache
def _system() -> tuple[Path, ...]:
    return tuple(installed(folders()))


@dataclass(slots=True)
class Letters:
    """One size of letters, from the built-in font and what the machine has besides."""

    size: float
    files: tuple[Path, ...] = field(default_factory=_system)
    _fonts: list[Font] = field(default_factory=list)
    _known: dict[str, Font | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._fonts.append(ImageFont.load_default(self.size))

    def drawable(self, text: str) -> str:
        """The text on one line: what no font has, in Latin letters or, at worst, in signs that name it."""
        plain = unicodedata.normalize("NFC", " ".join(text.split()))
        seen = (c for c in plain if unicodedata.category(c) not in ("Cc", "Cf", "Cs") and not "\ufe00" <= c <= "\ufe0f")
        return "".join(c if self._font(c) else _latin(c) for c in seen)

    def length(self, text: str) -> float:
        """Its width in pixels."""
        return sum(font.getlength(run) for font, run in self._runs(text))

    def draw(self, pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, colour: Colour) -> None:
        """Draw with the left end of the line's middle at that point."""
        x, y = at
        for font, run in self._runs(text):
            # Fonts differ in height, and letters must stand on one line: the middle of small letters.
            pen.text((x, y + self.size * 0.34), run, colour, font=font, anchor="ls")
            x += font.getlength(run)

    def _runs(self, text: str) -> list[tuple[Font, str]]:
        """Pieces of one font each; spaces belong to what is before them."""
        runs: list[tuple[Font, str]] = []
        for letter in text:
            font = self._font(letter) or self._fonts[0]
            if runs and (letter == " " or runs[-1][0] is font):
                runs[-1] = (runs[-1][0], runs[-1][1] + letter)
            else:
                runs.append((font, letter))
        return runs

    def _font(self, letter: str) -> Font | None:
        if letter not in self._known:
            self._known[letter] = self._look(letter)
        return self._known[letter]

    def _look(self, letter: str) -> Font | None:
        joined = unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT
        if joined and not features.check("fribidi"):
            return None  # in the wrong order, and in letters that do not join, it could not be read
        number = 0
        while (font := self._opened(number)) is not None:
            if letter == " " or _has(font, letter):
                return font
            number += 1
        return None

    def _opened(self, number: int) -> Font | None:
        """The font of that number; files are opened when it comes to them."""
        while len(self._fonts) <= number:
            if len(self._fonts) > len(self.files):
                return None
            try:
                # `ImageFont.truetype` would look for another file of that name when this one is damaged.
                font: Font = ImageFont.FreeTypeFont(os.fspath(self.files[len(self._fonts) - 1]), self.size)
            except OSError:
                font = self._fonts[0]
            self._fonts.append(font)
        return self._fonts[number]


def _has(font: Font, letter: str) -> bool:
    try:
        drawn = font.getmask(letter)
        return drawn.getbbox() is not None and bytes(drawn) != _missing(font)
    except (OSError, ValueError):
        return False


@functools.lru_cache(maxsize=128)
def _missing(font: Font) -> bytes:
    return bytes(font.getmask(_NOWHERE))


def _latin(letter: str) -> str:
    """`é` as e, `日` as Ri, an emoji as its name; what has neither as its number."""
    return anyascii(letter) or f"<{ord(letter):04X}>"
