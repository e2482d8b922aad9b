"""Gathers what there is to say about one job: its result and who kept it, or the earlier one it is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from kling_render.errors import UsageError
from kling_render.lifecycle.records import Attempt, Result
from kling_render.planning.edits import prompt_reasons
from kling_render.planning.explanation import MEDIA, Change, changes, nearest
from kling_render.planning.manifest import Manifest, prompt_in
from kling_render.planning.records import Action, PlannedJob, Reason, ReasonCode
from kling_render.shotlist.records import Project
from kling_render.store.cache import Cache
from kling_render.store.queries import LedgerQueries
from kling_render.workspace.inputs.inspect import NAMES, bytes_of
from kling_render.workspace.workspace import Planned, Workspace

_LISTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSeen:
    """What is known of an input's content, now or once."""

    sha256: str | None
    url: str | None
    bytes: int | None
    #: As the shot list named it when it was first seen with this content.
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An edit that the user declared cosmetic."""

    #: The fingerprint whose result it is.
    fingerprint: str
    by: str
    #: Seconds since the epoch.
    at: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A job, and everything that its state rests on."""

    planned: PlannedJob
    project: Project
    #: The attempt that made the result which the job has.
    source: Attempt | None
    kept: Kept | None
    #: Of a result that the lock file brought: what else says what it was paid for; empty when nothing does.
    proof: str | None = None
    #: The attempt whose manifest the job's is held against; none for a result of the very same request.
    earlier: Attempt | None
    #: Its result, where the store still has one.
    earlier_result: Result | None
    changes: tuple[Change, ...]
    #: Of images and clips that changed: field → before and now.
    inputs: Mapping[str, tuple[InputSeen, InputSeen]]

    @property
    def result(self) -> Result | None:
        """The result that the job has."""
        return self.planned.result


def explain(workspace: Workspace, planned: Planned, name: str) -> Explained:
    """Explain the job that is meant by its id or the beginning of it.

    Raises:
        UsageError: none is meant, or several.
    """
    job = the_job(planned.everything.jobs, name)
    namespace, folder = planned.everything.namespace, str(planned.project.folder)
    with workspace.store.ledger.reading() as ledger:
        source = None if job.result is None else ledger.attempt(job.result.attempt)
        kept = kept_by(ledger, namespace, job.key, source)
        proof = None if source is None else _proof(ledger, source)
        if job.result is not None and (kept is not None or job.action is Action.PINNED):
            earlier = source if source is not None and source.manifest else None
        elif job.result is not None:
            earlier = None
        else:
            new = Manifest(job.manifest_json)
            earlier = nearest(job.job.id, folder, job.key, new, ledger.attempts(namespace))
        before = None if earlier is None else ledger.result(namespace, earlier.fingerprint)
    found: tuple[Change, ...] = ()
    if earlier is not None:
        edits = _edits(job, planned.project, earlier)
        found = changes(job.job, Manifest(earlier.manifest), Manifest(job.manifest_json), edits)
    return Explained(
        planned=job,
        project=planned.project,
        source=source,
        kept=kept,
        proof=proof,
        earlier=earlier,
        earlier_result=before if before is not None and before.attempt == (earlier and earlier.id) else None,
        changes=found,
        inputs={c.field: _seen(c, job, planned, workspace.store.cache) for c in found if c.field in MEDIA},
    )


def _edits(job: PlannedJob, project: Project, earlier: Attempt) -> tuple[Reason, ...]:
    """The edits of the prompt: as the plan names them, which looks at other jobs too, else as the job alone tells."""
    known = tuple(reason for reason in job.reasons if reason.code is ReasonCode.PROMPT_CHANGED)
    if known and (earlier.job, earlier.folder) == (job.job.id, str(project.folder)):
        return known
    return prompt_reasons(job.job, prompt_in(earlier.manifest), project)


def the_job(jobs: Sequence[PlannedJob], name: str) -> PlannedJob:
    """The one job that a name means: its id, or the beginning of it.

    Raises:
        UsageError: none is meant, or several.
    """
    path = name.rstrip("/")
    found = [job for job in jobs if job.job.id == path]
    found = found or [job for job in jobs if job.job.id.startswith(f"{path}/")]
    found = found or [job for job in jobs if path and job.job.id.startswith(path)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(job.job.id for job in found[:_LISTED]) + (" …" if len(found) > _LISTED else "")
        raise UsageError(f"'{name}' means {len(found)} jobs", help=f"name one of {shown}", code="ambiguous")
    ids = [job.job.id for job in jobs]
    near = get_close_matches(path, ids, n=3, cutoff=0.5)
    listed = ", ".join(sorted(ids)[:_LISTED]) + (", …" if len(ids) > _LISTED else "")
    help_ = f"did you mean {' or '.join(near)}?" if near else f"jobs here: {listed}" if ids else "there are no jobs"
    raise UsageError(f"there is no job '{name}'", help=help_, code="unknown-job")


def kept_by(ledger: LedgerQueries, namespace: str, key: str, source: Attempt | None) -> Kept | None:
    """Who gave a fingerprint the result of another one; None when it has one of its own."""
    origin = ledger.kept(namespace).get(key)
    if origin is None or source is None:
        return None
    said = [t for t in ledger.history(source.id) if t.event == "keep" and t.detail.get("fingerprint") == key]
    detail, at = (said[-1].detail, said[-1].at) if said else ({}, source.reserved_at)
    return Kept(fingerprint=origin, by=str(detail.get("by", "")), at=at, why=str(detail.get("why", "")))


def _proof(ledger: LedgerQueries, source: Attempt) -> str | None:
    said = [step.detail for step in ledger.history(source.id)[:1] if step.event == "adopt"]
    return str(said[0]["proof"]) if said and "proof" in said[0] else None


def _seen(change: Change, job: PlannedJob, planned: Planned, cache: Cache) -> tuple[InputSeen, InputSeen]:
    """An image or a clip before and now."""
    ref = job.job.request.image if change.field == "image" else job.job.request.video
    path = planned.inspection.files.get(ref)
    old, new = (_identified(str(value), change.field, cache) for value in (change.old, change.new))
    size = new.bytes if new.bytes is not None or path is None else _size(path)
    return old, InputSeen(sha256=new.sha256, url=new.url, bytes=size, name=ref.shown)


def _identified(value: str, field: str, cache: Cache) -> InputSeen:
    """What the cache remembers of a manifest's `sha256:…`, or a URL."""
    if not value.startswith("sha256:"):
        return InputSeen(sha256=None, url=value, bytes=None, name=None)
    digest = value.removeprefix("sha256:")
    name = cache.get(NAMES, digest)
    size = bytes_of(cache, "image" if field == "image" else "clip", digest)
    return InputSeen(sha256=digest, url=None, bytes=size, name=None if name is None else str(name))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
