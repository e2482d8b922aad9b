"""Corrects inputs: finds what is meant, decides what is wrong, has the copies made, and says what to write."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

from kling_render.disk.publish import is_part
from kling_render.errors import UsageError, did_you_mean
from kling_render.media.facts import ClipFacts, Facts, Unreadable
from kling_render.media.fixing.fixer import Fixer, Made, put_beside
from kling_render.media.fixing.footage import Judgement, Use, is_too_long, judge_clip, strictest, text_of
from kling_render.media.fixing.pictures import judge_picture
from kling_render.media.fixing.records import Correction, Unfixable, Wish
from kling_render.media.fixing.windows import Window, best_windows, measured
from kling_render.media.probe import Prober
from kling_render.media.refusals import IMAGE_TYPE, TOO_MANY_PIXELS
from kling_render.media.rules import DURATION, Orientation, check_clip, check_image
from kling_render.media.sniff import HEAD_BYTES, IMAGES, sniff
from kling_render.media.work import WorkError
from kling_render.models import DEFAULT_MODEL, MODELS, Model
from kling_render.shotlist.records import Character, InputRef, Motion, Project
from kling_render.workspace.inputs.list_edits import Change, change, renamed, trimmed, written

Kind = Literal["image", "clip"]
Report = Callable[[str, int, int], None]

_PICTURES = frozenset({*IMAGES, "GIF", "BMP", "TIFF", "AVIF"})
_CONVERTED = frozenset({IMAGE_TYPE, TOO_MANY_PIXELS})
"""Refusals of a picture that a copy may mend."""
_ENDINGS = {"png": ".png", "jpeg": ".jpg", "mp4": ".mp4"}
_LEFT_S = 3_600.0
"""Seconds after which a temporary file belongs to nobody any more."""


@dataclass(frozen=True, slots=True)
class Item:
    """One input that is to be corrected."""

    #: As the user would type it.
    shown: str
    path: Path | None
    kind: Kind
    #: The entry of the shot list; None: it names no such file.
    entry: Character | Motion | None = None
    uses: tuple[Use, ...] = ()
    #: What is added to the copy's name where several entries share a file.
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


@dataclass(slots=True)
class Outcome:
    """What became of one input."""

    item: Item
    corrections: list[Correction] = field(default_factory=list)
    unfixable: list[Unfixable] = field(default_factory=list)
    #: The parts that may be kept, the best or the chosen one first.
    windows: list[Window] = field(default_factory=list)
    #: The trim in the shot list that does without a copy.
    trim: Change | None = None
    #: Where the copy stands.
    copy: Path | None = None
    #: Whether it was made now; False: the same bytes stood there.
    is_new: bool = False
    #: How the copy was encoded, and its size in pixels.
    how: str = ""
    size: tuple[int, int] | None = None
    change: Change | None = None
    notes: list[str] = field(default_factory=list)


def items_of(inputs: Sequence[str], project: Project | None, cwd: Path, orientation: Orientation | None) -> list[Item]:
    """What the inputs mean: files, or ids of characters and motions.

    Raises:
        UsageError: one of them is neither.
    """
    found: list[Item] = []
    for text in inputs:
        entries = _entries(text, project, cwd)
        if entries:
            found += [_declared(entry, project, orientation, alone=len(entries) == 1) for entry in entries]
        elif (cwd / text).is_file():
            found.append(_undeclared(text, cwd / text, orientation))
        elif os.path.lexists(cwd / text):
            what = "a folder" if (cwd / text).is_dir() else "no regular file"
            raise UsageError(f"{text or 'an empty name'} is {what}", help="name files, or ids of the shot list")
        else:
            known = [*project.characters, *project.motions] if project else []
            help_ = "name a file, or an id of a character or a motion"
            raise UsageError(f"no such file or input: {text}{did_you_mean(text, known)}", help=help_)
    return list({(item.path, item.entry.id if item.entry else ""): item for item in found}.values())


def _entries(text: str, project: Project | None, cwd: Path) -> list[Character | Motion]:
    """The entries of a file, or of an id; a file wins."""
    if project is None:
        return []
    every: list[Character | Motion] = [*project.characters.values(), *project.motions.values()]
    if (cwd / text).is_file():
        path = (cwd / text).resolve()
        return [entry for entry in every if _ref(entry).path == path]
    facet, _, name = text.rpartition(":")
    sections = {"character": Character, "motion": Motion}
    return [entry for entry in every if entry.id == name and (not facet or isinstance(entry, sections.get(facet, ())))]


def _ref(entry: Character | Motion) -> InputRef:
    return entry.image if isinstance(entry, Character) else entry.video


def _declared(
    entry: Character | Motion, project: Project | None, orientation: Orientation | None, *, alone: bool
) -> Item:
    ref = _ref(entry)
    return Item(
        ref.shown,
        ref.path,
        "image" if isinstance(entry, Character) else "clip",
        entry,
        _uses(entry, project, orientation),
        "" if alone else f".{entry.id}",
    )


def _uses(entry: Character | Motion, project: Project | None, orientation: Orientation | None) -> tuple[Use, ...]:
    """How jobs use an entry; the way a job would by default when there is none."""
    start, end = (entry.start, entry.end) if isinstance(entry, Motion) else (None, None)
    found: dict[tuple[str, str], Use] = {}
    for job in project.jobs if project else ():
        if (job.motion if isinstance(entry, Motion) else job.character) == entry.id:
            request = job.request
            facing = orientation or request.orientation
            found[request.model, facing] = Use(_model(request.model), facing, start, end)
    return tuple(found.values()) or (Use(MODELS[DEFAULT_MODEL], orientation or "image", start, end),)


def _model(name: str) -> Model:
    return MODELS.get(name) or replace(MODELS[DEFAULT_MODEL], id=name)


def _undeclared(text: str, path: Path, orientation: Orientation | None) -> Item:
    with path.open("rb") as file:
        kind: Kind = "image" if sniff(file.read(HEAD_BYTES)) in _PICTURES else "clip"
    return Item(text, path, kind, None, (Use(MODELS[DEFAULT_MODEL], orientation or "image"),))


@dataclass(slots=True)
class Fixing:
    """Corrects one input after the other."""

    prober: Prober
    fixer: Fixer
    wish: Wish
    cwd: Path
    #: Whether copies are made; else everything is only shown.
    writes: bool = True
    report: Report = lambda _what, _done, _all: None

    def fix(self, item: Item) -> Outcome:
        """Correct one input; what cannot be mended is said in the outcome."""
        outcome = Outcome(item)
        if item.path is None:
            outcome.unfixable.append(
                Unfixable("", "it is remote, and a copy cannot stand beside it", "download it into the project first")
            )
            return outcome
        facts = self.prober.probe(item.path, item.kind)
        try:
            if item.kind == "image":
                self._fix_image(outcome, item.path, facts)
            else:
                self._fix_clip(outcome, item.path, facts)
        except WorkError as problem:
            outcome.unfixable.append(Unfixable("", problem.message, problem.help))
        return outcome

    # -- pictures ----------------------------------------------------------------------------------------------

    def _fix_image(self, outcome: Outcome, path: Path, facts: Facts) -> None:
        if isinstance(facts, Unreadable) and facts.code not in _CONVERTED:
            outcome.unfixable.append(Unfixable(facts.code, facts.message, facts.help))
            return
        try:
            picture = self.fixer.survey(path)
        except WorkError:
            if isinstance(facts, Unreadable):  # the reason that the user knows from `check`
                outcome.unfixable.append(Unfixable(facts.code, facts.message, facts.help))
                return
            raise
        model = outcome.item.uses[0].model
        outcome.corrections, spec = judge_picture(picture, model, self.wish)
        if not outcome.corrections or not self.writes:
            return
        self.report(f"correcting {path.name}", 0, 1)
        made = self.fixer.draw(path, spec)
        self.report(f"correcting {path.name}", 1, 1)
        self._publish(outcome, path, made, lambda found: _errors(check_image(found, model)))  # type: ignore[arg-type]

    # -- clips -------------------------------------------------------------------------------------------------

    def _fix_clip(self, outcome: Outcome, path: Path, facts: Facts) -> None:
        if not isinstance(facts, ClipFacts):
            assert isinstance(facts, Unreadable)
            outcome.unfixable.append(Unfixable(facts.code, facts.message, facts.help))
            return
        use, item = strictest(outcome.item.uses), outcome.item
        in_list = item.declared != (None, None)
        window = self._window(outcome, path, facts, use)
        judged = self._judged(facts, use, window, in_list=in_list)
        outcome.corrections, outcome.unfixable = list(judged.corrections), list(judged.unfixable)
        if window is not None:
            outcome.trim = self._edit(
                item, trimmed(text_of(window.start), text_of(window.end)), _window_fields(item, window)
            )
        by_trim_only = in_list and {one.code for one in outcome.corrections} <= {DURATION}
        if not outcome.corrections or outcome.unfixable or by_trim_only or not self.writes:
            return
        made = self.fixer.recode(path, facts, judged.spec, lambda share: self._tell(f"encoding {path.name}", share))
        self._tell(f"encoding {path.name}", 1.0)
        after = Use(use.model, use.orientation) if judged.spec.start is not None or judged.spec.end is not None else use
        if in_list and window is not None:
            after = replace(use, start=window.start, end=window.end)
        self._publish(
            outcome,
            path,
            made,
            lambda found: _errors(check_clip(found, after.model, after.orientation, after.start, after.end)),  # type: ignore[arg-type]
        )

    def _window(self, outcome: Outcome, path: Path, facts: ClipFacts, use: Use) -> Window | None:
        """The part to keep: the user's, or the best one of a clip that is too long."""
        wish = self.wish
        chosen = wish.start is not None or wish.end is not None
        if not chosen and not is_too_long(facts, use, wish):
            return None
        motion = self.fixer.motion(path, lambda share: self._tell(f"looking for motion in {path.name}", share))
        self._tell(f"looking for motion in {path.name}", 1.0)
        first, last = use.start or Decimal(0), min(use.end or facts.duration_s, facts.duration_s)
        outcome.windows = best_windows(motion, first, last, use.shortest_s, use.longest_s)
        if chosen:
            start = wish.start or Decimal(0)
            window = measured(motion, start, facts.duration_s if wish.end is None else wish.end)
            outcome.windows = [window, *outcome.windows]
        if not outcome.windows:
            raise WorkError(f"{path.name}: no part of it can be kept", help="choose one with --start and --end")
        return outcome.windows[0]

    def _judged(self, facts: ClipFacts, use: Use, window: Window | None, *, in_list: bool) -> Judgement:
        if window is None or not in_list:
            return judge_clip(facts, use, self.wish, window)
        # What the shot list trims stays trimmed there: the copy is as long as the clip.
        unwished = replace(self.wish, start=None, end=None)
        kept = judge_clip(facts, replace(use, start=window.start, end=window.end), unwished, None)
        wrong = next(
            (
                v.message
                for v in check_clip(facts, use.model, use.orientation, use.start, use.end)
                if v.code == DURATION
            ),
            "another part is wanted",
        )
        done = f"start: {text_of(window.start)}, end: {text_of(window.end)} in the shot list"
        return replace(kept, corrections=(Correction(DURATION, wrong, done), *kept.corrections))

    def _tell(self, what: str, share: float) -> None:
        self.report(what, int(share * 100), 100)

    # -- both --------------------------------------------------------------------------------------------------

    def _publish(self, outcome: Outcome, path: Path, made: Made, wrong: Callable[[Facts], list[str]]) -> None:
        """Look at the copy as at every input, then give it its name."""
        target = path.with_name(f"{path.stem}{outcome.item.infix}.fixed{_ENDINGS[made.kind]}")
        found = self.prober.probe(made.part, outcome.item.kind)
        problems = [found.message] if isinstance(found, Unreadable) else wrong(found)
        if problems:
            made.part.unlink(missing_ok=True)
            raise WorkError(f"{path.name}: its copy would not do either: {problems[0]}", help="see `check`")
        try:
            outcome.is_new = put_beside(made, target)
        except FileExistsError:
            help_ = "move it away, then run the command again; nothing is overwritten"
            raise WorkError(f"{target.name} stands there already and is another file", help=help_) from None
        except OSError as fault:
            raise WorkError(
                f"{target.name} cannot be written: {fault.strerror}", help="make room on the disk"
            ) from fault
        outcome.copy, outcome.how, outcome.size = target, made.how, (made.width, made.height)
        _sweep(path.parent)
        outcome.change = self._edit(outcome.item, renamed(target.name), _copy_fields(outcome.item, target))
        ref = outcome.item.ref
        if ref is not None and ref.place.text and ref.shown not in ref.place.text:
            outcome.notes.append(
                f"a pattern of the shot list names {path.name}; where it matches {target.name} too, that is a further "
                f"character or motion: move {path.name} away, or give the copy its name"
            )

    def _edit(self, item: Item, edit: Callable[[str, object], str], fields: Mapping[str, str]) -> Change | None:
        """The change of the shot list; None when it does not name the input."""
        ref, entry = item.ref, item.entry
        if ref is None or entry is None:
            return None
        place = ref.place
        try:
            text = (self.cwd / place.file).read_text("utf-8-sig")
        except (OSError, UnicodeError):  # from standard input
            text = ""
        found = change(text, place.file, place.line, place.column, edit) if text else None
        section = "characters" if isinstance(entry, Character) else "motions"
        return found or written(place.file, place.line, section, entry.id, fields)


def _errors(found: Iterable[object]) -> list[str]:
    return [v.message for v in found if v.severity == "error"]  # type: ignore[attr-defined]


def _window_fields(item: Item, window: Window) -> dict[str, str]:
    shown = item.ref.shown if item.ref else ""
    return {"video": shown, "start": text_of(window.start), "end": text_of(window.end)}


def _copy_fields(item: Item, target: Path) -> dict[str, str]:
    shown = item.ref.shown if item.ref else ""
    return {"image" if item.kind == "image" else "video": f"{shown.rpartition('/')[0]}/{target.name}".lstrip("/")}


def _sweep(folder: Path) -> None:
    """Remove temporary files that a killed process left behind."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if is_part(path.name) and time.time() - path.stat().st_mtime > _LEFT_S:
                path.unlink(missing_ok=True)
