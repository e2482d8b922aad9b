"""What the inputs of a project are: digest, facts and broken limits. Unchanged files are neither hashed nor opened."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from kling_render.errors import Diagnostic, Problems
from kling_render.media.facts import ClipFacts, Facts, ImageFacts, Unreadable, from_json, to_json
from kling_render.media.refusals import changing
from kling_render.media.rules import (
    CODEC,
    LOCATION,
    Violation,
    check_clip,
    check_image,
    check_name,
    check_private,
    clip_seconds,
)
from kling_render.models import DEFAULT_MODEL, MODELS, Model
from kling_render.planning.manifest import InputIdentity
from kling_render.ports import Digests
from kling_render.shotlist.records import InputRef, Request
from kling_render.shotlist.redaction import redacted
from kling_render.store.cache import Cache

#: Part of the cache's key: facts read by an older reader are read again.
_FACTS = "media-facts/3"

#: Digest → how the shot list named the file when it was first looked at; only for people to read.
NAMES = "input-name/1"

_UNREADABLE = "0" * 64
_ALLOWED = {LOCATION: "location", CODEC: "codec"}
"""Warning → what `allow` calls it."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found out about the inputs of a project's jobs."""

    #: Input → the local file that holds its bytes (None: a remote input that was not fetched).
    files: Mapping[InputRef, Path | None]
    digests: Mapping[InputRef, str | None]
    facts: Mapping[InputRef, Facts]
    diagnostics: tuple[Diagnostic, ...]
    #: Input → why it cannot be used at all, however it is used.
    unusable: Mapping[InputRef, tuple[Diagnostic, ...]] = field(default_factory=dict)

    def refused(self, request: Request) -> tuple[Diagnostic, ...]:
        """The errors of a request's inputs, as it uses them: it is not sent while there is one."""
        whole = [d for ref in (request.image, request.video) for d in self.unusable.get(ref, ())]
        problems, seen = Problems(), set[object]()
        _check_image(request, self.facts, problems, seen)
        _check_clip(request, self.facts, problems, seen)
        return (*whole, *redacted(problems.errors))

    def identity(self, ref: InputRef) -> InputIdentity:
        """What the input is in a fingerprint: its bytes, its pin, or its URL."""
        if ref.url is not None:
            return InputIdentity(sha256=ref.pin) if ref.pin else InputIdentity(url=ref.url)
        return InputIdentity(sha256=self.digests[ref])

    def seconds(self, request: Request) -> Decimal | None:
        """Seconds of the clip's video stream after trims; None when the clip was not looked at."""
        facts = self.facts.get(request.video)
        return clip_seconds(facts, request.start, request.end) if isinstance(facts, ClipFacts) else None

    @property
    def broken(self) -> frozenset[InputRef]:
        """Inputs that cannot be used at all."""
        return frozenset(ref for ref, facts in self.facts.items() if isinstance(facts, Unreadable))


def bytes_of(cache: Cache, kind: str, sha256: str) -> int | None:
    """The size of an image or clip that was looked at once, by its digest."""
    stored = cache.get(_FACTS, f"{kind}:{sha256}")
    facts = from_json(stored) if stored is not None else None
    return None if facts is None or isinstance(facts, Unreadable) else facts.bytes


Fetch = Callable[[Iterable[InputRef], Problems], Mapping[InputRef, Path]]


def inspect(
    requests: Collection[Request],
    *,
    digests: Digests,
    cache: Cache,
    fetch: Fetch,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
    refused: Collection[tuple[str, int, int]] = (),
    pictures: Path | None = None,
) -> Inspection:
    """Look at every input that the requests use.

    Args:
        requests: the jobs' that matter.
        digests: the stat cache.
        cache: facts by digest.
        fetch: brings remote inputs; those it cannot bring stay unchecked (it reports why).
        progress: called with a few words, how many are done and how many there are.
        refused: file, line and column of inputs that are not to be touched: what is wrong with them was said already.
        pictures: clips are watched as well, for what the model would take and spoil; strips of it go to this folder.
    """
    problems = Problems()
    images = _distinct(request.image for request in requests)
    clips = _distinct(request.video for request in requests)
    expected: dict[InputRef, str] = dict.fromkeys(images, "image") | dict.fromkeys(clips, "clip")
    if refused:
        expected = {
            ref: kind
            for ref, kind in expected.items()
            if (ref.place.file, ref.place.line, ref.place.column) not in refused
        }
    remote = fetch([ref for ref in expected if ref.url is not None], problems)
    files = {ref: ref.path if ref.path is not None else remote.get(ref) for ref in expected}
    refusals = _Refusals(problems)
    sums, unread = _digests(files, digests, refusals, progress)
    readable = {ref: path for ref, path in files.items() if ref not in unread}
    facts = _facts(expected, readable, sums, cache, digests=digests, progress=progress) | unread
    _check_inputs(facts, refusals)
    unusable = {ref: tuple(redacted(errors)) for ref, errors in refusals.by_ref.items()}
    _check_limits(requests, facts, problems)
    if pictures is not None:
        from kling_render.workspace.inputs.advising import Looked, advise

        looked = Looked(files, sums, facts, lambda ref, path: _is_still(sums[ref], path, digests))
        advise(requests, looked, cache=cache, pictures=pictures, problems=problems, progress=progress)
    return Inspection(files, sums, facts, tuple(redacted(problems.found)), unusable)


@dataclass(frozen=True, slots=True)
class _Refusals:
    """Errors of inputs that cannot be used at all. By input, not by place: the files of a glob share theirs."""

    problems: Problems
    by_ref: dict[InputRef, list[Diagnostic]] = field(default_factory=dict)

    def error(self, ref: InputRef, code: str, message: str, help_: str) -> None:
        self.problems.error(code, message, ref.place, help=help_)
        self.by_ref.setdefault(ref, []).append(self.problems.found[-1])


def _distinct(refs: Iterable[InputRef]) -> dict[InputRef, None]:
    """Each input once. By object first: the jobs of a project share their records, and hashing one takes long."""
    return dict.fromkeys({id(ref): ref for ref in refs}.values())


def _digests(
    files: Mapping[InputRef, Path | None],
    digests: Digests,
    refusals: _Refusals,
    progress: Callable[[str, int, int], None],
) -> tuple[dict[InputRef, str | None], dict[InputRef, Facts]]:
    """The digest of each file; and why some cannot be read."""
    read = digests.sha256_many(
        [path for path in files.values() if path is not None],
        lambda done, count: progress("reading inputs", done, count),
    )
    found: dict[InputRef, str | None] = {}
    unread: dict[InputRef, Facts] = {}
    for ref, path in files.items():
        digest = None if path is None else read[path]
        if isinstance(digest, OSError):
            help_ = "check the path" if isinstance(digest, FileNotFoundError) else "check its permissions"
            unread[ref] = Unreadable("KR0201", f"cannot be read: {digest.strerror}", help_, passing=True)
            digest = _UNREADABLE
        elif ref.pin and digest not in (None, ref.pin):
            message = f"{ref.shown} does not have the pinned content: its SHA-256 is {digest}, pinned is {ref.pin}"
            help_ = "bring back the file that was pinned, or update `sha256:` if the new content is wanted"
            refusals.error(ref, "KR0219", message, help_)
        found[ref] = digest
    return found, unread


def _facts(
    expected: Mapping[InputRef, str],
    files: Mapping[InputRef, Path | None],
    sums: Mapping[InputRef, str | None],
    cache: Cache,
    *,
    digests: Digests,
    progress: Callable[[str, int, int], None],
) -> dict[InputRef, Facts]:
    known = cache.all(_FACTS)
    facts: dict[InputRef, Facts] = {}
    missing: list[tuple[InputRef, Path]] = []
    for ref, path in files.items():
        stored = known.get(f"{expected[ref]}:{sums[ref]}")
        if stored is not None:
            facts[ref] = from_json(stored)
        elif path is not None:
            missing.append((ref, path))
    if missing:
        from kling_render.media.probe import Prober

        with Prober() as prober:
            items = [(path, expected[ref]) for ref, path in missing]
            read = prober.probe_many(items, lambda done: progress("looking at media", done, len(items)))  # type: ignore[arg-type]
        for (ref, path), found in zip(missing, read, strict=True):
            facts[ref] = found if _is_still(sums[ref], path, digests) else changing(expected[ref])  # type: ignore[arg-type]
            _remember(cache, expected[ref], str(sums[ref]), ref, facts[ref])
    return facts


def _is_still(sha256: str | None, path: Path, digests: Digests) -> bool:
    """Whether a file that was looked at has the bytes that were hashed: else other bytes' facts would be believed."""
    try:
        return digests.sha256(path) == sha256
    except OSError:
        return False


def _remember(cache: Cache, kind: str, sha256: str, ref: InputRef, found: Facts) -> None:
    if isinstance(found, Unreadable) and found.passing:
        return
    cache.put(_FACTS, f"{kind}:{sha256}", to_json(found))
    cache.put(NAMES, sha256, ref.shown)


def _check_inputs(facts: Mapping[InputRef, Facts], refusals: _Refusals) -> None:
    for ref, found in facts.items():
        if isinstance(found, Unreadable):
            refusals.error(ref, found.code, f"{ref.shown}: {found.message}", _remedy(found, ref))
        elif ref.url is None:
            _report([*check_name(ref.shown, found), *check_private(found)], ref, refusals.problems)


def _check_limits(requests: Iterable[Request], facts: Mapping[InputRef, Facts], problems: Problems) -> None:
    """Each input is held against the limits once per way it is used, and reported where it is declared."""
    seen: set[object] = set()
    looked_at: set[object] = set()  # by object: the jobs of a project share their records, and hashing one takes long
    for request in requests:
        image, clip = (id(request.image), request.model), _use(id(request.video), request)
        if image not in looked_at:
            looked_at.add(image)
            _check_image(request, facts, problems, seen)
        if clip not in looked_at:
            looked_at.add(clip)
            _check_clip(request, facts, problems, seen)


def _use(clip: object, request: Request) -> tuple[object, ...]:
    return clip, request.model, request.orientation, request.start, request.end


def _check_image(request: Request, facts: Mapping[InputRef, Facts], problems: Problems, seen: set[object]) -> None:
    image, model = facts.get(request.image), _model(request)
    use = (request.image, model.id)
    if isinstance(image, ImageFacts) and use not in seen:
        seen.add(use)
        _report(check_image(image, model), request.image, problems)


def _check_clip(request: Request, facts: Mapping[InputRef, Facts], problems: Problems, seen: set[object]) -> None:
    clip, use = facts.get(request.video), _use(request.video, request)
    if isinstance(clip, ClipFacts) and use not in seen:
        seen.add(use)
        found = check_clip(clip, _model(request), request.orientation, request.start, request.end)
        _report(found, request.video, problems)


def _model(request: Request) -> Model:
    """An unknown model is held against the limits of the default one."""
    return MODELS.get(request.model) or replace(MODELS[DEFAULT_MODEL], id=request.model)


def _report(found: Iterable[Violation], ref: InputRef, problems: Problems) -> None:
    for violation in found:
        if _ALLOWED.get(violation.code, "") not in ref.allow:
            add = problems.error if violation.severity == "error" else problems.warning
            add(violation.code, f"{ref.shown}: {violation.message}", ref.place, help=_remedy(violation, ref))


def _remedy(found: Violation | Unreadable, ref: InputRef) -> str:
    """A corrected copy stands beside the original: of a remote input there is none."""
    return found.by_fix if found.by_fix and ref.url is None else found.help
