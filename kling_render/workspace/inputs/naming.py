"""What `fix` is asked to correct: files, or characters and motions of a shot list, and how jobs use them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from mimetypes import MimeTypes
from pathlib import Path
from typing import Literal

from kling_render.errors import UsageError, did_you_mean
from kling_render.media.fixing.footage import Use, strictest
from kling_render.media.rules import Orientation
from kling_render.media.sniff import CLIPS, HEAD_BYTES, IMAGES, sniff
from kling_render.models import DEFAULT_MODEL, MODELS, Model
from kling_render.shotlist.records import Character, InputRef, Motion, Project
from kling_render.shotlist.urls import is_url, masked

Kind = Literal["image", "clip"]

DRAWN = frozenset({*IMAGES, "GIF", "BMP", "TIFF", "AVIF"})
"""Pictures of which a copy can be made."""
_STILLS = DRAWN | {"HEIC", "CR3", "PSD", "EPS", "PDF", "ICO", "JPEG XL", "JPEG 2000", "EXR", "SVG"}
_FILMS = frozenset({*CLIPS, "FLV", "WMV", "MPEG", "AVI", "WEBM", "MKV", "MPEG-TS"})
_NAME_ONE = "name a file, or an id of a character or a motion"


@dataclass(frozen=True, slots=True)
class Item:
    """One input that is to be corrected."""

    #: As the user would type it.
    shown: str
    #: Under the name that the user knows: a symbolic link is not followed. None: it is remote.
    path: Path | None
    #: None: neither.
    kind: Kind | None
    #: The entry of the shot list; None: it names no such file.
    entry: Character | Motion | None = None
    uses: tuple[Use, ...] = ()
    #: What is added to the copy's name where entries that share a file need different ones.
    infix: str = ""

    @property
    def ref(self) -> InputRef | None:
        """How the shot list names it."""
        if self.entry is None:
            return None
        return self.entry.image if isinstance(self.entry, Character) else self.entry.video

    @property
    def declared(self) -> tuple[Decimal | None, Decimal | None]:
        """`start` and `end` of the entry."""
        return (self.entry.start, self.entry.end) if isinstance(self.entry, Motion) else (None, None)


def items_of(inputs: Sequence[str], project: Project | None, cwd: Path, orientation: Orientation | None) -> list[Item]:
    """What the inputs mean: files, or ids of characters and motions.

    Raises:
        UsageError: one of them is neither.
    """
    found: list[Item] = []
    for text in inputs:
        entries = _entries(text, project, cwd)
        if entries and project is not None:
            found += [_declared(entry, project, orientation, cwd) for entry in entries]
        elif not text:
            raise UsageError("an input has an empty name", help=_NAME_ONE)
        elif is_url(text):
            help_ = "download it into the project first, then name the file"
            raise UsageError(f"{masked(text)} is remote: no copy can stand beside it", help=help_)
        elif (cwd / text).is_file():
            found.append(_undeclared(text, cwd / text, orientation))
        elif os.path.lexists(cwd / text):
            what = "a folder" if (cwd / text).is_dir() else "no regular file"
            raise UsageError(f"{text} is {what}", help="name files, or ids of the shot list")
        else:
            known = [*project.characters, *project.motions] if project else []
            raise UsageError(f"no such file or input: {text}{did_you_mean(text, known)}", help=_NAME_ONE)
    return list({(item.path, item.entry.id if item.entry else ""): item for item in found}.values())


def _entries(text: str, project: Project | None, cwd: Path) -> list[Character | Motion]:
    """The entries of a file, or of an id; a file wins."""
    if project is None:
        return []
    every = _every(project)
    if text and (cwd / text).is_file():
        path = (cwd / text).resolve()
        return [entry for entry in every if _ref(entry).path == path]
    if is_url(text):
        return [entry for entry in every if _ref(entry).url == text]
    facet, _, name = text.rpartition(":")
    sections = {"character": Character, "motion": Motion}
    return [entry for entry in every if entry.id == name and (not facet or isinstance(entry, sections.get(facet, ())))]


def _every(project: Project) -> list[Character | Motion]:
    return [*project.characters.values(), *project.motions.values()]


def _ref(entry: Character | Motion) -> InputRef:
    return entry.image if isinstance(entry, Character) else entry.video


def _declared(entry: Character | Motion, project: Project, orientation: Orientation | None, cwd: Path) -> Item:
    ref, uses = _ref(entry), _uses(entry, project, orientation)
    kind: Kind = "image" if isinstance(entry, Character) else "clip"
    return Item(ref.shown, _named(ref, cwd), kind, entry, uses, _infix(entry, uses, project, orientation))


def _named(ref: InputRef, cwd: Path) -> Path | None:
    """The file under the name that the shot list has for it: the copy of a link's target stands beside the link."""
    if ref.path is None:
        return None
    named = Path(os.path.normpath(cwd.joinpath(ref.place.file).parent / ref.shown))
    with contextlib.suppress(OSError):
        if named.resolve() == ref.path:
            return named
    return ref.path


def _infix(entry: Character | Motion, uses: tuple[Use, ...], project: Project, orientation: Orientation | None) -> str:
    """Entries that share a file share its copy, unless they need different parts of it."""
    kinds: dict[object, str] = {}
    for other in _every(project) if _ref(entry).path is not None else ():
        if type(other) is type(entry) and _ref(other).path == _ref(entry).path:
            kinds.setdefault(_part(other, _uses(other, project, orientation)), other.id)
    return f".{kinds[_part(entry, uses)]}" if len(kinds) > 1 else ""


def _part(entry: Character | Motion, uses: tuple[Use, ...]) -> object:
    """What decides which part of a clip its copy has; a trim of the shot list stays there, and the copy is whole."""
    if isinstance(entry, Character) or entry.start is not None or entry.end is not None:
        return "whole"
    use = strictest(uses)
    return use.shortest_s, use.longest_s


def _uses(entry: Character | Motion, project: Project, orientation: Orientation | None) -> tuple[Use, ...]:
    """How jobs use an entry; the way a job would by default when there is none."""
    start, end = (entry.start, entry.end) if isinstance(entry, Motion) else (None, None)
    found: dict[tuple[str, str], Use] = {}
    for job in project.jobs:
        if (job.motion if isinstance(entry, Motion) else job.character) == entry.id:
            request = job.request
            facing = orientation or request.orientation
            found[request.model, facing] = Use(_model(request.model), facing, start, end)
    return tuple(found.values()) or (Use(MODELS[DEFAULT_MODEL], orientation or "image", start, end),)


def _model(name: str) -> Model:
    return MODELS.get(name) or replace(MODELS[DEFAULT_MODEL], id=name)


def _undeclared(text: str, path: Path, orientation: Orientation | None) -> Item:
    try:
        with path.open("rb") as file:
            found = sniff(file.read(HEAD_BYTES))
    except OSError as fault:
        raise UsageError(f"{text} cannot be read: {fault.strerror}", help="check its permissions") from None
    kind: Kind | None = "image" if found in _STILLS else "clip" if found in _FILMS else _kind_of_name(path.name)
    return Item(text, path, kind, None, (Use(MODELS[DEFAULT_MODEL], orientation or "image"),))


def _kind_of_name(name: str) -> Kind | None:
    """What a file of no known type is meant to be."""
    guessed = MimeTypes().guess_type(name)[0] or ""
    return {"image": "image", "video": "clip"}.get(guessed.partition("/")[0])  # type: ignore[return-value]
