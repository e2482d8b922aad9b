"""Edits declared cosmetic: an earlier result stays a job's, under its new fingerprint. Sends nothing; undoable."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from kling_render.errors import UsageError
from kling_render.lifecycle.records import Attempt, Result
from kling_render.lifecycle.states import Event, State
from kling_render.planning.explanation import MADE, MEDIA, Change, changes
from kling_render.planning.manifest import Manifest
from kling_render.planning.prices import total_usd
from kling_render.planning.records import Action, PlannedJob
from kling_render.store.hashing import sha256_of
from kling_render.store.opening import Store
from kling_render.store.transaction import SqliteTransaction
from kling_render.workspace.doubts.resolving import Decision
from kling_render.workspace.inputs.inspect import bytes_of
from kling_render.workspace.workspace import PREVIZ, Planned

Compare = Callable[[Path, Path], str]
"""What differs between an old and a new file; empty when nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepable:
    """A job that would be rendered, and the earlier result that may stay its result."""

    planned: PlannedJob
    result: Result
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A job that is to be rendered all the same, and why."""

    job: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What can be kept, and what cannot."""

    jobs: tuple[Keepable, ...]
    left: tuple[Left, ...]

    @property
    def saves_usd(self) -> Decimal | None:
        """What rendering the jobs would cost; jobs that share a request are paid for once."""
        return total_usd({job.planned.key: job.planned.estimate_usd for job in self.jobs}.values())


def refuse_rehearsals(planned: Planned) -> None:
    """Raises:
    UsageError: rehearsals show what was edited, and cost nothing.
    """
    if planned.project.provider == PREVIZ:
        raise UsageError(
            "this shot list is rendered by previz: rehearsals cost nothing, so none is kept",
            help="add --provider aimlapi to keep results of the model",
        )


def offer(store: Store, planned: Planned) -> Offer:
    """Every selected job that would be rendered, with its own newest earlier result."""
    jobs, folder = _to_render(planned.plan.jobs), str(planned.project.folder)
    left = _invalid(planned)
    if not jobs:
        return Offer(jobs=(), left=tuple(left))
    with store.ledger.reading() as ledger:
        newest = _newest(ledger.attempts(planned.plan.namespace), folder)
        results = ledger.results(planned.plan.namespace)
    keep: dict[str, Keepable] = {}
    for job in jobs:
        earlier = newest.get(job.job.id)
        result = None if earlier is None else results.get(earlier.fingerprint)
        if earlier is None or result is None:
            left.append(Left(job=job.job.id, why="it has no earlier result"))
            continue
        before = earlier.manifest or job.manifest_json  # of what the lock file brought only the fingerprint is known
        found = changes(job.job, Manifest(before), Manifest(job.manifest_json))
        keep.setdefault(job.key, Keepable(planned=job, result=result, changes=found))
    shared = {job.job.id: keep[job.key] for job in jobs if job.key in keep}  # one result serves all of a request
    return Offer(jobs=tuple(keep.values()), left=tuple(one for one in left if one.job not in shared))


def _invalid(planned: Planned) -> list[Left]:
    """The jobs that could not be rendered either, because their inputs break a rule."""
    blocked = [job for job in planned.plan.jobs if job.action is Action.BLOCKED]
    found = ((job.job.id, planned.inspection.refused(job.job.request)) for job in blocked)
    return [Left(job=name, why=why[0].message) for name, why in found if why]


def _to_render(jobs: Iterable[PlannedJob]) -> list[PlannedJob]:
    return [job for job in jobs if job.action is Action.RENDER or (job.action is Action.ADOPT and job.result is None)]


def _newest(attempts: Iterable[Attempt], folder: str) -> Mapping[str, Attempt]:
    """Job id → the attempt that brought its newest result, of one project."""
    newest: dict[str, Attempt] = {}
    for attempt in attempts:
        if attempt.state in MADE and attempt.folder == folder:
            known = newest.get(attempt.job)
            if known is None or attempt.reserved_at > known.reserved_at:
                newest[attempt.job] = attempt
    return newest


# -- the same pictures and sound ------------------------------------------------------------------------------------


def only_same_media(offered: Offer, planned: Planned, store: Store, old_files: Sequence[Path]) -> Offer:
    """Of an offer the jobs whose images and clips were rewritten without a change of picture or sound.

    Args:
        offered: everything that could be kept.
        planned: the project, whose inputs are the new files.
        store: where the bytes of remote inputs lie.
        old_files: files as they were before, as far as the user has them.

    Raises:
        UsageError: one of the old files cannot be read.
    """
    from kling_render.media.sameness import Decoder

    known = {_digest(path): path for path in old_files}
    keep, left = [], list(offered.left)
    with Decoder() as decoder:
        for job in offered.jobs:
            why = next(_differences(job, planned, store, known, decoder.difference), "")
            if why:
                left.append(Left(job=job.planned.job.id, why=why))
            else:
                keep.append(job)
    return Offer(jobs=tuple(keep), left=tuple(left))


def _differences(
    job: Keepable, planned: Planned, store: Store, known: Mapping[str, Path], compare: Compare
) -> Iterator[str]:
    """Why a job's inputs cannot be called the same; nothing when they can."""
    if not job.changes:
        yield "what its earlier result was made from is not known here, so nothing is proven"
    others = [change.field for change in job.changes if change.field not in MEDIA]
    if others:
        yield f"not only its media changed: {', '.join(others)}"
    for change in job.changes:
        request = job.planned.job.request
        word, ref = ("image", request.image) if change.field == "image" else ("clip", request.video)
        new, digest = planned.inspection.files.get(ref), str(change.old).removeprefix("sha256:")
        if new is None:
            yield f"the {word} was not fetched, so nothing is proven"
        elif (old := known.get(digest) or _at_hand(store, digest, word, new)) is None:
            yield f"the old {word} (sha256 {digest[:12]}) is not at hand, so nothing is proven; --old FILE names it"
        elif difference := compare(old, new):
            yield f"the {word} is another one: {difference}"


def _at_hand(store: Store, digest: str, kind: str, beside: Path) -> Path | None:
    """Bytes of that digest: a remote input that was fetched once, or a file beside the new one."""
    try:
        if stored := store.blobs.verified(digest):
            return stored
    except ValueError:  # a URL: nobody knows what it held
        return None
    size = bytes_of(store.cache, kind, digest)
    with contextlib.suppress(OSError):
        for path in sorted(beside.parent.iterdir()):
            if path.is_file() and path.stat().st_size == size and sha256_of(path) == digest:
                return path
    return None


def _digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", help="--old names a file") from None


# -- the ledger ------------------------------------------------------------------------------------------------------


def keep(store: Store, offered: Offer, namespace: str, decision: Decision) -> Offer:
    """Record it, as far as nothing came in between; returns what is kept now and what is not."""
    kept, left = [], list(offered.left)
    with store.ledger.writing() as ledger:
        for job in offered.jobs:
            why = _occupied(ledger, store, namespace, job.planned.key, decision)
            source = ledger.attempt(job.result.attempt)
            detail = decision.detail | {"job": job.planned.job.id, "manifest": job.planned.manifest_json}
            if not why and ledger.keep(namespace, job.planned.key, job.result.fingerprint, decision.at, **detail):
                kept.append(job)
            else:
                why = why or ("its earlier result is gone" if source is None else "its earlier result was lost")
                left.append(Left(job=job.planned.job.id, why=why))
    return Offer(jobs=tuple(kept), left=tuple(left))


def _occupied(ledger: SqliteTransaction, store: Store, namespace: str, key: str, decision: Decision) -> str:
    """Who holds the fingerprint; a claim of a dead process, for which nothing was sent, is let go."""
    standing = ledger.standing(namespace, key)
    if standing is None:
        return ""
    if standing.state is State.RESERVED and not store.is_alive(standing.owner):
        ledger.record(standing.id, Event.RELEASE, decision.at)
        return ""
    return f"it has an attempt of its own meanwhile ({standing.state.value})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """A job that has to be rendered again, and the result that was kept for it."""

    planned: PlannedJob
    result: Result
    kept_from: str


def undo(store: Store, jobs: Iterable[PlannedJob], namespace: str, decision: Decision) -> list[Undone]:
    """Take back what was kept for these jobs; jobs with a result of their own are left alone."""
    undone = []
    with store.ledger.writing() as ledger:
        kept = ledger.kept(namespace)
        for job in jobs:
            result = ledger.result(namespace, job.key) if job.key in kept else None
            if result is not None and ledger.unkeep(namespace, job.key, decision.at, **decision.detail):
                undone.append(Undone(planned=job, result=result, kept_from=kept[job.key]))
    return undone
