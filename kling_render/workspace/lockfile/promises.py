"""What the lock file brings of the jobs that would be paid for else, as far as this store can tell; nobody is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from kling_render.disk.project_files import DiskFiles
from kling_render.lifecycle.records import Attempt, Result
from kling_render.outputs.sidecar import SUFFIX, parsed
from kling_render.planning.lock import Locked, LockFile, Promise, is_missing
from kling_render.planning.records import Plan, PlannedJob
from kling_render.shotlist.records import Project
from kling_render.store.cache import Cache
from kling_render.store.digests import StatDigests
from kling_render.store.opening import Store
from kling_render.workspace.lockfile.locked_claims import contradiction, holder
from kling_render.workspace.lockfile.locking import source_of_results
from kling_render.workspace.workspace import Workspace

_DEAD = "dead-generation"
_SIDECAR = 1 << 20
"""Bytes; a sidecar holds one prompt."""


class Claim(NamedTuple):
    """An entry of the lock file for a job that lacks its result, and what the store knows about it."""

    entry: Locked
    #: The attempt that paid for it, where the store knows it.
    known: Attempt | None
    #: Its bytes are in the store.
    stored: bool
    #: Why it is not believed; empty when nothing speaks against it.
    against: str


class Wanted(NamedTuple):
    """A result that is missing and that the lock file names; jobs that share a request share it."""

    planned: PlannedJob
    claims: tuple[Claim, ...]

    @property
    def key(self) -> str:
        """The result's name in the ledger."""
        return self.planned.key


def wanted_of(
    store: Store, plan: Plan, lock: LockFile, *, results: Mapping[str, Result] | None = None, exactly: bool = False
) -> list[Wanted]:
    """One per result that is missing and that the file names; a renamed job finds its own under the old id.

    Args:
        store: what is known already.
        plan: of the jobs that are meant.
        lock: the file.
        results: of the store, where they were read before.
        exactly: only a job's own entry counts.
    """
    known = {} if exactly else lock.by_fingerprint()
    named: dict[str, tuple[PlannedJob, Sequence[Locked]]] = {}
    for job in plan.jobs:
        entries = lock.jobs.get(job.job.id, ())[:1] if exactly else known.get(job.key, ())
        if entries and job.key not in named and is_missing(job):
            named[job.key] = (job, entries)
    if not named:
        return []
    with store.ledger.reading() as ledger:
        found = ledger.results(plan.namespace) if results is None else results
        by_blob = {result.blob: result for result in found.values()}

        def claim(entry: Locked) -> Claim:
            attempt = holder(ledger, plan.namespace, entry, by_blob)
            stored = attempt is not None and entry.sha256 in by_blob
            return Claim(entry, attempt, stored, contradiction(ledger, entry, attempt))

        return [Wanted(job, tuple(map(claim, entries))) for job, entries in named.values()]


def promises_of(
    workspace: Workspace, project: Project, plan: Plan, results: Mapping[str, Result], digests: StatDigests
) -> dict[str, Promise]:
    """By result key, what the lock file names for jobs that lack it."""
    if not any(map(is_missing, plan.jobs)):
        return {}
    lock = source_of_results(workspace, project)
    found = {}
    for wanted in wanted_of(workspace.store, plan, lock, results=results) if lock is not None else ():
        if promise := _promise(wanted, project, digests, workspace.store.cache):
            found[wanted.key] = promise
    return found


def named(workspace: Workspace, project: Project, plan: Plan) -> dict[str, Promise]:
    """The same by the file's word alone: for a plan that looks at no store."""
    lock = source_of_results(workspace, project) if any(map(is_missing, plan.jobs)) else None
    entries = {} if lock is None else lock.by_fingerprint()
    found = ((key, next((one for one in entries[key] if one.generation_id), None)) for key in entries)
    return {key: Promise(entry, here=False) for key, entry in found if entry is not None}


def _promise(wanted: Wanted, project: Project, digests: StatDigests, cache: Cache) -> Promise | None:
    for claim in wanted.claims:
        entry = claim.entry
        if claim.against:
            continue
        if claim.stored or tree_proof(project, wanted.planned, entry, digests) is not None:
            return Promise(entry, here=True)
        if entry.generation_id is not None and cache.get(_DEAD, entry.generation_id) is None:
            return Promise(entry, here=False)
    return None


def tree_proof(project: Project, planned: PlannedJob, entry: Locked, digests: StatDigests) -> str | None:
    """What says that the locked bytes at the job's path were paid for its request; empty when nothing does.

    None when others stand there, or their sidecar names another request.
    """
    path = project.folder / project.output_dir / planned.job.output
    try:
        if digests.sha256(path) != entry.sha256:
            return None
        beside = DiskFiles().read_text_bytes(path.with_name(path.name + SUFFIX), _SIDECAR)
    except FileNotFoundError:
        return "" if path.exists() else None
    except OSError:
        return None
    told = parsed(beside)
    fingerprint = told.get("fingerprint") if told and told.get("sha256") == entry.sha256 else None
    if not isinstance(fingerprint, str):
        return ""
    return "its sidecar in the output folder names the same request" if entry.is_of(fingerprint) else None


def mark(cache: Cache, generations: Iterable[str], *, dead: bool) -> None:
    """Remember which generations the provider has no longer: a plan promises nothing of them. They are tried again."""
    marks = [one for one in generations if dead or cache.get(_DEAD, one) is not None]
    for one in marks:
        cache.put(_DEAD, one, True if dead else None)
    if marks:
        cache.save()
