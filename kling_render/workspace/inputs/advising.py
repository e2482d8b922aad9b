"""Warnings about inputs that the model would take and spoil, from what they show; remembered by content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from kling_render.errors import Diagnostic, Problems
from kling_render.media.facts import ClipFacts, Facts, ImageFacts
from kling_render.media.footage import findings
from kling_render.media.footage.advice import CODES, Advice, about_clip, about_image, about_sound
from kling_render.media.footage.findings import Footage
from kling_render.media.refusals import DAMAGED
from kling_render.media.rules import check_clip, check_image
from kling_render.models import DEFAULT_MODEL, MODELS, Model
from kling_render.shotlist.records import InputRef, Request
from kling_render.store.cache import Cache

ADVICE = frozenset(CODES.values())
"""Codes of the warnings that come from here."""

_SEEN = frozenset(CODES) - {"size"}
"""Names of what shows only when a clip is watched; one of which all is allowed is not."""

_UNSEEN_HELP = "play it: where it stops or falls to pieces, so would the model's reading of it; copy or export it again"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class _Use:
    """A part of a clip, the way a job uses it."""

    ref: InputRef
    facts: ClipFacts
    model: Model
    start: Decimal | None
    end: Decimal | None
    key: str


@dataclass(frozen=True, slots=True)
class Looked:
    """What is known about the inputs so far."""

    files: Mapping[InputRef, Path | None]
    digests: Mapping[InputRef, str | None]
    facts: Mapping[InputRef, Facts]
    #: Whether a file has the bytes of its digest still.
    is_still: Callable[[InputRef, Path], bool]


def advise(
    requests: Iterable[Request],
    looked: Looked,
    *,
    cache: Cache,
    pictures: Path,
    problems: Problems,
    progress: Progress,
) -> None:
    """Add every warning about what the inputs show; each is reported once, where the input is declared.

    Args:
        requests: the jobs'.
        looked: files, digests and facts of their inputs.
        cache: findings by content; a clip that is in it is not opened.
        pictures: the folder for strips that show what is meant; made when there is one to write.
        problems: takes the warnings.
        progress: called with a few words, how many are done and how many there are.
    """
    uses: dict[tuple[object, ...], _Use] = {}
    loud: dict[tuple[object, ...], None] = {}
    seen: set[tuple[object, ...]] = set()  # by object: the jobs of a project share their records
    for request in requests:
        mode = str(dict(request.params).get("mode", ""))
        image = id(request.image), request.model, mode
        if image not in seen:
            seen.add(image)
            _add_image(request, looked, mode, problems)
        clip: tuple[object, ...] = id(request.video), request.start, request.end
        if clip not in uses:
            use = _use(request, looked)
            if use is not None and not set(use.ref.allow) >= _SEEN:
                uses[clip] = use
        if request.keep_audio:
            loud.setdefault(clip)
    found = _footage(list(uses.values()), looked, cache, pictures, progress)
    for clip, use in uses.items():
        footage = found.get(use.key)
        if footage is not None and not footage.seen:
            message = f"{use.ref.shown}: it cannot be watched to its end, so it may be damaged"
            problems.warning(DAMAGED, message, use.ref.place, help=_UNSEEN_HELP)
        elif footage is not None:
            said = about_clip(use.facts, footage, use.start, use.end, use.model.limits.clip_min_s.value)
            _add(use.ref, [*said, *(about_sound(footage) if clip in loud else [])], problems, footage, pictures)


def _add_image(request: Request, looked: Looked, mode: str, problems: Problems) -> None:
    facts, model = looked.facts.get(request.image), _model(request)
    if isinstance(facts, ImageFacts) and not any(v.severity == "error" for v in check_image(facts, model)):
        default = model.params["mode"].default if "mode" in model.params else ""
        _add(request.image, about_image(facts, model, mode or default), problems)


def _use(request: Request, looked: Looked) -> _Use | None:
    """None for a clip that is not at hand, or that is refused anyway."""
    ref, sha256 = request.video, looked.digests.get(request.video)
    facts = looked.facts.get(ref)
    if not isinstance(facts, ClipFacts) or sha256 is None:
        return None
    refused = check_clip(facts, _model(request), request.orientation, request.start, request.end)
    if any(violation.severity == "error" for violation in refused):
        return None
    return _Use(
        ref, facts, _model(request), request.start, request.end, findings.key(sha256, request.start, request.end)
    )


def _model(request: Request) -> Model:
    return MODELS.get(request.model) or MODELS[DEFAULT_MODEL]


def _footage(uses: list[_Use], looked: Looked, cache: Cache, pictures: Path, progress: Progress) -> dict[str, Footage]:
    if not uses:
        return {}
    paths = {use.key: looked.files.get(use.ref) for use in uses}
    found = {key: findings.from_json(stored) for key, stored in cache.all(findings.VERSION).items() if key in paths}
    known = {key: footage for key, footage in found.items() if footage.seen and _all_there(pictures, footage)}
    missing = {use.key: (use, path) for use in uses if use.key not in known and (path := paths[use.key]) is not None}
    if missing:
        from kling_render.media.footage.viewer import Part, watch_many

        parts = [Part(path, use.start, use.end, _stem(use.key)) for use, path in missing.values()]
        watched = watch_many(parts, _made(pictures), lambda done: progress("watching clips", done, len(parts)))
        for (key, (use, path)), footage in zip(missing.items(), watched, strict=True):
            known[key] = footage
            if footage.seen and looked.is_still(use.ref, path):  # a reader that died may live another time
                cache.put(findings.VERSION, key, findings.to_json(footage))
    return found | known


def _all_there(pictures: Path, footage: Footage) -> bool:
    """Whether no strip was deleted since: the clip is watched again then, for a warning is easier believed with it."""
    return all((pictures / name).is_file() for _, name in footage.pictures)


def _made(folder: Path) -> Path | None:
    """The folder; None where it cannot be made: a warning needs no picture."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    return folder


def _stem(key: str) -> str:
    sha256, _, part = key.partition(":")
    return f"{sha256[:16]}-{part}" if part != "-" else sha256[:16]


def _add(
    ref: InputRef, said: Iterable[Advice], problems: Problems, footage: Footage | None = None, pictures: Path = Path()
) -> None:
    drawn = dict(footage.pictures) if footage is not None else {}
    for advice in said:
        if advice.name in ref.allow:
            continue
        picture = pictures / drawn[advice.name] if advice.name in drawn else None
        shown = str(picture) if picture is not None and picture.is_file() else ""
        message = f"{ref.shown}: {advice.message}"
        problems.add(Diagnostic(advice.code, message, ref.place, advice.help, "warning", picture=shown))
