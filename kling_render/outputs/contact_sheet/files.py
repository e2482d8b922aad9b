"""Which files a contact sheet consists of: a page and pictures of the project, and of each shot."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from kling_render.outputs.contact_sheet.layout import Page, pages
from kling_render.outputs.contact_sheet.page import Links, page
from kling_render.outputs.contact_sheet.records import Sheet, Shown, Stills
from kling_render.outputs.contact_sheet.shelf import FOLDER, Wanted, recipe

VERSION = 4
"""Raised when sheets look different: they are made again."""
PICTURES = f"{FOLDER}/media"
_LONGEST = 200
"""Characters of a file's name without what is appended; disks take 255 bytes."""
_INSIDE_BYTES = 24_000_000
"""What previews may add to a page that holds everything itself."""


def sheet_files(sheet: Sheet, root: Path) -> list[Wanted]:
    """Every file of a sheet in a folder: pictures first, so that no page ever refers to what is not there."""
    found = list(_stills(sheet))
    names = _names([shot.id for shot in sheet.shots])
    links = {shot: quote(f"{FOLDER}/{name}.html") for shot, name in names.items()}
    found += _sheet(sheet, root, PurePosixPath("contact-sheet"), links)
    if len(sheet.shots) > 1:
        for shot in sheet.shots:
            one = Sheet(project=sheet.project, provider=sheet.provider, selection=sheet.selection, shots=(shot,))
            found += _sheet(one, root, PurePosixPath(FOLDER, names[shot.id]), {})
    return found


def single_page(sheet: Sheet, target: Path) -> bytes:
    """A page that holds its pictures itself; only the films are linked."""
    previews = sum(_size(take.stills.preview) for take in sheet.takes if take.stills)
    moving = previews <= _INSIDE_BYTES

    def inside(take: Shown, *, preview: bool) -> str:
        assert take.stills is not None
        data = (take.stills.preview if preview and moving else take.stills.poster).read_bytes()
        return "data:image/webp;base64," + base64.b64encode(data).decode()

    links = Links(
        poster=lambda take: inside(take, preview=False),
        preview=lambda take: inside(take, preview=True),
        film=lambda take: _relative(take.film, target.parent),
    )
    return page(sheet, links)


def single_pictures(sheet: Sheet, target: Path) -> Iterator[tuple[Path, bytes]]:
    """The pages of one picture, further ones beside the first: `sheet.png`, `sheet-2.png`, …."""
    from kling_render.outputs.contact_sheet.picture import picture

    found = pages(sheet.shots)
    for number, each in enumerate(found, 1):
        name = target.name if number == 1 else f"{target.stem}-{number}{target.suffix}"
        yield target.with_name(name), picture(sheet, each, number, len(found))


def _sheet(sheet: Sheet, root: Path, stem: PurePosixPath, shots: Mapping[str, str]) -> Iterator[Wanted]:
    folder = root / stem.parent
    up = "../" * (len(stem.parts) - 1)
    links = Links(
        poster=lambda take: f"{up}{_poster(take.stills)}",
        preview=lambda take: f"{up}{_preview(take.stills)}",
        film=lambda take: _relative(take.film, folder),
        shots=shots,
    )
    text = page(sheet, links)
    yield Wanted(f"{stem}.html", recipe(VERSION, text.decode()), lambda: text)
    found = pages(sheet.shots)
    for number, each in enumerate(found, 1):
        name = f"{stem}.png" if number == 1 else f"{stem}{_further(stem)}{number}.png"
        yield Wanted(name, _recipe(sheet, number, len(found)), _drawn(sheet, each, number, len(found)))


def _drawn(sheet: Sheet, each: Page, number: int, count: int) -> _Drawn:
    return _Drawn(sheet, each, number, count)


class _Drawn:
    """Draws a page when it is asked for."""

    def __init__(self, sheet: Sheet, each: Page, number: int, count: int) -> None:
        self._what = sheet, each, number, count

    def __call__(self) -> bytes:
        from kling_render.outputs.contact_sheet.picture import picture

        return picture(*self._what)


def _recipe(sheet: Sheet, number: int, count: int) -> str:
    """All that a picture shows: everything but where the files lie."""
    shots = [
        [shot.id, [asdict(row) for row in shot.rows], [asdict(column) for column in shot.columns]]
        + [[row, column, [_shown(take) for take in takes]] for (row, column), takes in shot.cells.items()]
        for shot in sheet.shots
    ]
    return recipe(VERSION, sheet.project, sheet.provider, sheet.selection, number, count, shots)


def _shown(take: Shown) -> list[object]:
    stills = take.stills and (take.stills.name, take.stills.width, take.stills.height)
    return [
        take.id,
        take.label,
        take.state,
        str(take.usd),
        take.paid,
        take.payment,
        take.due,
        take.note,
        take.warnings,
        take.final,
        stills,
    ]


def _stills(sheet: Sheet) -> Iterator[Wanted]:
    """Copies of posters and previews, each film once."""
    seen = {take.stills.name: take.stills for take in sheet.takes if take.stills}
    for _, stills in sorted(seen.items()):
        yield Wanted(_poster(stills), stills.poster.name, stills.poster.read_bytes, derived=True)
        yield Wanted(_preview(stills), stills.preview.name, stills.preview.read_bytes, derived=True)


def _further(stem: PurePosixPath) -> str:
    """What stands before the number of a further page; no shot's id has a `.`, so it is no other shot's first one."""
    return "-" if len(stem.parts) == 1 else "."


def _poster(stills: Stills | None) -> str:
    assert stills is not None
    return f"{PICTURES}/{stills.name}.webp"


def _preview(stills: Stills | None) -> str:
    assert stills is not None
    return f"{PICTURES}/{stills.name}-moving.webp"


def _names(ids: list[str]) -> dict[str, str]:
    """Shot → the name of its files; ids that differ in case only, which some disks do not tell apart, get a number, and
    so do those that are too long for a name.
    """
    names: dict[str, str] = {}
    taken: set[str] = {"media", "files"}
    for shot in ids:
        name, number = shot[:_LONGEST], 1
        while name.casefold() in taken:
            number += 1
            name = f"{shot[:_LONGEST]}~{number}"
        taken.add(name.casefold())
        names[shot] = name
    return names


def _relative(film: Path | None, folder: Path) -> str:
    assert film is not None
    try:
        return quote(os.fsencode(Path(os.path.relpath(film, folder)).as_posix()))
    except ValueError:  # another drive
        return film.as_uri()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
