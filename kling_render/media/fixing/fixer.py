"""Has inputs corrected in a child process with limits; a copy appears under its name whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kling_render.disk.publish import part_name, umask
from kling_render.media import limits
from kling_render.media.child import Child, ChildError, ChildTimeoutError
from kling_render.media.facts import ClipFacts
from kling_render.media.fixing.pictures import Picture, picture_from_json
from kling_render.media.fixing.records import ClipSpec, ImageSpec, Shape
from kling_render.media.fixing.windows import Motion, motion_from_json
from kling_render.media.work import WorkError

_CHILD = "kling_render.media.fixing.fixing_child"
_STALL_S = 120.0
"""Seconds without a sign of life."""

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Made:
    """A corrected copy under its temporary name."""

    part: Path
    #: `png`, `jpeg` or `mp4`.
    kind: str
    width: int
    height: int
    #: How it was encoded, for people.
    how: str


class Fixer:
    """One child, started when first needed. Not for several threads at once."""

    def __init__(self, *, command: Sequence[str] | None = None, stall_s: float = _STALL_S) -> None:
        self._child = Child(command or limits.command(_CHILD))
        self._stall_s = stall_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close()

    def survey(self, path: Path) -> Picture:
        """What a picture is once it is decoded.

        Raises:
            WorkError: it is no picture that could be converted.
        """
        return picture_from_json(self._ask({"do": "survey", "source": os.fspath(path)}, path))

    def shape(self, path: Path) -> Shape:
        """How the header of a clip says it is shown.

        Raises:
            WorkError: it cannot be opened.
        """
        answer = self._ask({"do": "shape", "source": os.fspath(path)}, path)
        return Shape(Fraction(answer["wide"]), answer["slant"], answer["is_mirrored"])

    def motion(self, path: Path, progress: Progress) -> Motion:
        """How much a clip moves, and where its cuts are.

        Raises:
            WorkError: it cannot be decoded.
        """
        return motion_from_json(self._ask({"do": "motion", "source": os.fspath(path)}, path, progress))

    def draw(self, source: Path, spec: ImageSpec) -> Made:
        """Write the corrected copy of a picture beside it, under a temporary name.

        Raises:
            WorkError: it cannot be made.
        """
        return self._make(source, {"do": "image", "spec": spec.to_json()}, lambda _share: None)

    def recode(self, source: Path, facts: ClipFacts, spec: ClipSpec, progress: Progress) -> Made:
        """The same for a clip.

        Raises:
            WorkError: it cannot be made.
        """
        question = {"do": "clip", "spec": spec.to_json()}
        return self._make(source, question | {"see_through": facts.alpha, "steady": not facts.variable_rate}, progress)

    def _make(self, source: Path, question: Mapping[str, Any], progress: Progress) -> Made:
        part = source.with_name(part_name())
        try:
            answer = self._ask({**question, "source": os.fspath(source), "part": os.fspath(part)}, source, progress)
            return Made(part, answer["kind"], answer["width"], answer["height"], answer["how"])
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def _ask(self, question: Mapping[str, Any], path: Path, progress: Progress = lambda _share: None) -> dict[str, Any]:
        try:
            answer = self._child.ask(question, self._stall_s, lambda told: progress(float(told["progress"])))
        except ChildTimeoutError:
            answer = {"problem": f"nothing happened for {self._stall_s:g} s"}
        except ChildError:
            answer = {"problem": "the process that works on it died"}
        if "errno" in answer:
            raise not_written(path.name, answer["errno"])
        if "problem" in answer:
            raise WorkError(f"{path.name}: {answer['problem']}", help="look whether it can be shown; export it again")
        return answer


def not_written(name: str, fault: int | None) -> WorkError:
    """The disk refused the copy of this file."""
    reason = os.strerror(fault) if fault is not None else "the disk refused"
    full = fault in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    help_ = "make room on the disk" if full else "make its folder writable, or copy the original to a folder that is"
    return WorkError(f"the copy of {name} cannot be written beside it: {reason}", help=help_)


def put_beside(made: Made, target: Path) -> bool:
    """Give the copy its name; never in place of another file.

    Returns whether it is new: False when a file with the same bytes stands there already.

    Raises:
        FileExistsError: another file stands there; the copy is gone.
        OSError: the disk refused; the copy is gone.
    """
    try:
        made.part.chmod(0o666 & ~umask())
        if not os.path.lexists(target):
            with contextlib.suppress(FileExistsError):  # made meanwhile, perhaps by another run of this command
                _name_it(made.part, target)
                return True
        if not _same(made.part, target):
            raise FileExistsError(errno.EEXIST, "another file stands there", os.fspath(target))
        return False
    finally:
        with contextlib.suppress(OSError):
            made.part.unlink(missing_ok=True)


def _name_it(part: Path, target: Path) -> None:
    """A link fails where a file of that name was made meanwhile; a rename would replace it."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a disk without links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "another file stands there", os.fspath(target)) from None
        part.replace(target)


def _same(one: Path, other: Path) -> bool:
    if not other.is_file():  # a folder, a pipe, a link that leads nowhere
        return False
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as a, other.open("rb") as b:
        while block := a.read(1 << 20):
            if block != b.read(1 << 20):
                return False
    return True
