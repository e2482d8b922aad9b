"""Corrects inputs: finds what is meant, decides what is wrong, has the copies made, and says what to write."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from kling_render.disk.publish import is_part
from kling_render.media.facts import ClipFacts, Facts, Unreadable
from kling_render.media.fixing.fixer import Fixer, Made, not_written, put_beside
from kling_render.media.fixing.footage import Judgement, Use, is_too_long, judge_clip, strictest, text_of
from kling_render.media.fixing.pictures import judge_picture
from kling_render.media.fixing.records import ClipSpec, Correction, ImageSpec, Shape, Unfixable, Wish
from kling_render.media.fixing.windows import Window, best_windows, measured
from kling_render.media.probe import Prober
from kling_render.media.refusals import IMAGE_TYPE, TOO_MANY_PIXELS, article
from kling_render.media.rules import DURATION, check_clip, check_image
from kling_render.media.sniff import HEAD_BYTES, sniff
from kling_render.media.work import WorkError
from kling_render.shotlist.records import Character, InputRef
from kling_render.workspace.inputs.list_edits import Change, change, renamed, trimmed, written
from kling_render.workspace.inputs.naming import DRAWN, Item

Report = Callable[[str, int, int], None]

_CONVERTED = frozenset({IMAGE_TYPE, TOO_MANY_PIXELS})
"""Refusals of a picture that a copy may mend."""
_ENDINGS = {"png": ".png", "jpeg": ".jpg", "mp4": ".mp4"}
_LEFT_S = 3_600.0
"""Seconds after which a temporary file belongs to nobody any more."""


@dataclass(slots=True)
class Outcome:
    """What became of one input."""

    item: Item
    corrections: list[Correction] = field(default_factory=list)
    unfixable: list[Unfixable] = field(default_factory=list)
    #: Why a copy that would have been of use was not made.
    failures: list[Unfixable] = field(default_factory=list)
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

    @property
    def problems(self) -> list[Unfixable]:
        """Everything that keeps this input from being corrected."""
        return [*self.unfixable, *self.failures]


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
    #: Copies of this run, for entries that share one.
    _copies: dict[tuple[Path, object], Outcome] = field(default_factory=dict)

    def fix(self, item: Item) -> Outcome:
        """Correct one input; what cannot be mended is said in the outcome."""
        outcome = Outcome(item)
        if item.path is None:
            outcome.unfixable.append(
                Unfixable("", "it is remote, and a copy cannot stand beside it", "download it into the project first")
            )
            return outcome
        if item.kind is None:
            outcome.unfixable.append(Unfixable("", *_neither(item.path)))
            return outcome
        facts = self.prober.probe(item.path, item.kind)
        try:
            if item.kind == "image":
                self._fix_image(outcome, item.path, facts)
            else:
                self._fix_clip(outcome, item.path, facts)
        except WorkError as problem:
            outcome.failures.append(Unfixable("", problem.message, problem.help))
        return outcome

    # -- pictures ----------------------------------------------------------------------------------------------

    def _fix_image(self, outcome: Outcome, path: Path, facts: Facts) -> None:
        if isinstance(facts, Unreadable) and facts.code not in _CONVERTED:
            outcome.unfixable.append(Unfixable(facts.code, facts.message, facts.help))
            return
        try:
            picture = self.fixer.survey(path)
        except WorkError:
            # What could be drawn if it were whole has a better reason than the one from `check`.
            if isinstance(facts, Unreadable) and not _is_drawn(path):
                outcome.unfixable.append(Unfixable(facts.code, facts.message, facts.help))
                return
            raise
        model = outcome.item.uses[0].model
        outcome.corrections, spec = judge_picture(picture, model, self.wish)
        if not outcome.corrections or not self.writes or self._shares(outcome, path, spec):
            return
        with self._telling(f"correcting {path.name}"):
            made = self.fixer.draw(path, spec)
        self._publish(outcome, path, made, lambda found: _errors(check_image(found, model)))  # type: ignore[arg-type]
        self._copies[path, spec] = outcome

    # -- clips -------------------------------------------------------------------------------------------------

    def _fix_clip(self, outcome: Outcome, path: Path, facts: Facts) -> None:
        if not isinstance(facts, ClipFacts):
            assert isinstance(facts, Unreadable)
            outcome.unfixable.append(Unfixable(facts.code, facts.message, facts.help))
            return
        use, item = strictest(outcome.item.uses), outcome.item
        in_list = item.declared != (None, None)
        shape = self.fixer.shape(path)
        window = self._window(outcome, path, facts, use)
        judged = self._judged(facts, use, window, shape, in_list=in_list)
        outcome.corrections, outcome.unfixable = list(judged.corrections), list(judged.unfixable)
        if not outcome.corrections or outcome.unfixable:
            return
        by_trim_only = window is not None and in_list and len(outcome.corrections) == 1
        if window is not None and (by_trim_only or (judged.trim_is_enough and not in_list)):
            outcome.trim = self._edit(item, _window_fields(item, window), _trim(window))
        if by_trim_only or not self.writes or self._shares(outcome, path, judged.spec, window if in_list else None):
            return
        with self._telling(f"encoding {path.name}") as tell:
            made = self.fixer.recode(path, facts, judged.spec, tell)
        after = Use(use.model, use.orientation) if judged.spec.start is not None or judged.spec.end is not None else use
        if in_list and window is not None:
            after = replace(use, start=window.start, end=window.end)
        self._publish(
            outcome,
            path,
            made,
            lambda found: _errors(check_clip(found, after.model, after.orientation, after.start, after.end)),  # type: ignore[arg-type]
            window if in_list else None,
        )
        self._copies[path, judged.spec] = outcome

    def _window(self, outcome: Outcome, path: Path, facts: ClipFacts, use: Use) -> Window | None:
        """The part to keep: the user's, or the best one of a clip that is too long."""
        wish = self.wish
        chosen = wish.start is not None or wish.end is not None
        if not chosen and not is_too_long(facts, use, wish):
            return None
        with self._telling(f"looking for motion in {path.name}") as tell:
            motion = self.fixer.motion(path, tell)
        first, last = use.start or Decimal(0), min(use.end or facts.duration_s, facts.duration_s)
        outcome.windows = best_windows(motion, first, last, use.shortest_s, use.longest_s)
        if chosen:
            window = measured(motion, wish.start or Decimal(0), facts.duration_s if wish.end is None else wish.end)
            outcome.windows = [window, *outcome.windows]
        if not outcome.windows:
            raise WorkError(f"{path.name}: no part of it can be kept", help="choose one with --start and --end")
        return outcome.windows[0]

    def _judged(self, facts: ClipFacts, use: Use, window: Window | None, shape: Shape, *, in_list: bool) -> Judgement:
        if not in_list:
            return judge_clip(facts, use, self.wish, window, shape)
        # What the shot list trims stays trimmed there: the copy is as long as the clip.
        if window is None:
            return judge_clip(facts, use, self.wish, None, shape)
        kept = judge_clip(facts, replace(use, start=window.start, end=window.end), self.wish, None, shape)
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

    @contextlib.contextmanager
    def _telling(self, what: str) -> Iterator[Callable[[float], None]]:
        """Progress, which is over at the end, also when that is an error."""
        self.report(what, 0, 100)
        try:
            yield lambda share: self.report(what, int(share * 100), 100)
        finally:
            self.report(what, 100, 100)

    # -- both --------------------------------------------------------------------------------------------------

    def _publish(
        self,
        outcome: Outcome,
        path: Path,
        made: Made,
        wrong: Callable[[Facts], list[str]],
        window: Window | None = None,
    ) -> None:
        """Look at the copy as at every input, then give it its name; `window`: what the shot list is to trim too."""
        assert outcome.item.kind is not None
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
            raise not_written(path.name, fault.errno) from fault
        _sweep(path.parent)
        outcome.copy, outcome.how, outcome.size = target, made.how, (made.width, made.height)
        self._suggest(outcome, path, target.name, window)

    def _shares(self, outcome: Outcome, path: Path, spec: ImageSpec | ClipSpec, window: Window | None = None) -> bool:
        """Whether the copy was made already, for another entry of the same file."""
        other = self._copies.get((path, spec))
        if other is None or other.copy is None:
            return False
        outcome.copy, outcome.is_new, outcome.how, outcome.size = other.copy, other.is_new, other.how, other.size
        self._suggest(outcome, path, other.copy.name, window)
        return True

    def _suggest(self, outcome: Outcome, path: Path, name: str, window: Window | None) -> None:
        """The change of the shot list that uses the copy of this name."""
        trims = [] if window is None else [_trim(window)]
        changed = self._edit(outcome.item, _copy_fields(outcome.item, name, window), renamed(name), *trims)
        outcome.change, ref = changed, outcome.item.ref
        if changed is not None and not changed.diff and ref is not None and _is_by_pattern(ref):
            outcome.notes.append(
                f"a pattern of the shot list names {path.name}; where it matches {name} too, that is a further "
                f"character or motion, which is rendered and paid: move {path.name} away, or give the copy its name"
            )

    def _edit(self, item: Item, fields: Mapping[str, str], *edits: Callable[[str, object], str]) -> Change | None:
        """The change of the shot list; None when it does not name the input."""
        ref, entry = item.ref, item.entry
        if ref is None or entry is None:
            return None
        place = ref.place
        try:
            text = (self.cwd / place.file).read_text("utf-8-sig")
        except (OSError, UnicodeError):  # from standard input
            text = ""
        found = change(text, place.file, place.line, place.column, *edits) if text else None
        section = "characters" if isinstance(entry, Character) else "motions"
        return found or written(place.file, place.line, section, entry.id, fields, entire=_is_by_pattern(ref))


def _errors(found: Iterable[object]) -> list[str]:
    return [v.message for v in found if v.severity == "error"]  # type: ignore[attr-defined]


def _is_by_pattern(ref: InputRef) -> bool:
    """Whether an entry has no line of its own."""
    return ref.shown not in ref.place.text and any(mark in ref.place.text for mark in "*?[")


def _is_drawn(path: Path) -> bool:
    with path.open("rb") as file:
        return sniff(file.read(HEAD_BYTES)) in DRAWN


def _neither(path: Path) -> tuple[str, str]:
    """What to say of a file that nobody would take for a picture or a clip."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    found = sniff(head)
    looks = f" (looks like {article(found)})" if found else "" if head else " (it is empty)"
    return f"neither a picture nor a clip{looks}", "name a picture, or an MP4 or MOV file"


def _trim(window: Window) -> Callable[[str, object], str]:
    return trimmed(text_of(window.start), text_of(window.end))


def _window_fields(item: Item, window: Window) -> dict[str, str]:
    shown = item.ref.shown if item.ref else ""
    return {"video": shown, "start": text_of(window.start), "end": text_of(window.end)}


def _copy_fields(item: Item, name: str, window: Window | None) -> dict[str, str]:
    shown = item.ref.shown if item.ref else ""
    named = {"image" if item.kind == "image" else "video": f"{shown.rpartition('/')[0]}/{name}".lstrip("/")}
    times = item.declared if window is None else (window.start, window.end)
    return named | {key: text_of(at) for key, at in zip(("start", "end"), times, strict=True) if at is not None}


def _sweep(folder: Path) -> None:
    """Remove temporary files that a killed process left behind."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if is_part(path.name) and time.time() - path.stat().st_mtime > _LEFT_S:
                path.unlink(missing_ok=True)
