"""What a change of the shot list costs, from fingerprints alone: two revisions of it, and no store.

The earlier revision counts as rendered: what it asked for costs nothing again, under whatever id it stands now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from kling_render.lifecycle.records import Result
from kling_render.planning.document import plan_document
from kling_render.planning.edits import Before, with_edits
from kling_render.planning.manifest import InputIdentity, Manifests, fingerprint_of
from kling_render.planning.plan import Facts, make_plan
from kling_render.planning.prices import Price
from kling_render.planning.records import Action, Plan, PlannedJob, Presence, Reason, ReasonCode, reason
from kling_render.planning.text import LISTED, jobs_word, plan_text, visible
from kling_render.shotlist.records import InputRef, Job, Project, Request


class Change(StrEnum):
    """What became of a job between two revisions."""

    ADDED = "added"
    #: Its request is another one.
    CHANGED = "changed"
    #: Its request stood under another id; costs nothing.
    MOVED = "moved"
    UNCHANGED = "unchanged"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class BaseJob:
    """A job of the earlier revision."""

    job: Job
    fingerprint: str
    manifest_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The earlier revision."""

    #: As the user named it, and the commit it stands for.
    ref: str
    commit: str
    #: By job id; empty when the revision has no shot list.
    jobs: Mapping[str, BaseJob]
    #: Its shot list, which tells what was edited since; None when it has none that counts.
    project: Project | None = None
    #: What the user should know, a sentence each.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two revisions, job by job."""

    base: Base
    #: The later one as a plan; what the earlier one asked for is up to date.
    plan: Plan
    #: Job id → what became of it, in the plan's order.
    changes: Mapping[str, Change]
    #: New id → old id.
    moved: Mapping[str, str]
    removed: tuple[BaseJob, ...]

    @property
    def counts(self) -> list[tuple[Change, int]]:
        """How many of each."""
        counted = Counter(self.changes.values())
        counted[Change.REMOVED] = len(self.removed)
        return [(change, counted[change]) for change in Change]


def base_jobs(jobs: Iterable[Job], identities: Callable[[InputRef], InputIdentity]) -> dict[str, BaseJob]:
    """The jobs of a revision with their fingerprints."""
    found, manifests = {}, Manifests()
    for job in jobs:
        record = manifests.text(job.request, identities(job.request.image), identities(job.request.video))
        found[job.id] = BaseJob(job, fingerprint_of(record), record)
    return found


def compare(
    project: Project,
    base: Base,
    *,
    namespace: str,
    identities: Callable[[InputRef], InputIdentity],
    seconds: Callable[[Request], Decimal | None],
    prices: Callable[[Request], Price | None],
    chosen: Collection[str] | None = None,
) -> Comparison:
    """Hold a project against an earlier revision; `chosen` are the ids that are meant, of both (None: all)."""
    old = {job.fingerprint: job for job in base.jobs.values()}
    facts = Facts(
        namespace=namespace,
        identities=identities,
        seconds=seconds,
        prices=prices,
        present=lambda _path, _sha256: Presence.HERE,
        results={key: _result(namespace, key) for key in old},
        latest={},
        earlier={name: job.manifest_json for name, job in base.jobs.items()},
    )
    plan = make_plan(project, facts, select=lambda job: chosen is None or job.id in chosen)
    known = _Known(base.jobs.values())
    named = tuple(replace(p, reasons=_reasons(p, base, project, known)) for p in plan.jobs)
    jobs = with_edits(replace(plan, jobs=named), facts.earlier, project, _before(base)).jobs
    changes = {p.job.id: _change(p, base) for p in jobs}
    moved = {p.job.id: old[p.fingerprint].job.id for p in jobs if changes[p.job.id] is Change.MOVED}
    here, gone = {job.id for job in project.jobs}, set(moved.values())
    removed = tuple(
        job
        for name, job in base.jobs.items()
        if name not in here and name not in gone and (chosen is None or name in chosen)
    )
    return Comparison(base=base, plan=replace(plan, jobs=jobs), changes=changes, moved=moved, removed=removed)


def _before(base: Base) -> Before | None:
    if base.project is None or base.project.origins is None:
        return None
    return Before({name: one.job for name, one in base.jobs.items()}, base.project.origins())


def comparison_document(of: Comparison) -> dict[str, Any]:
    """The document of the plan, with `base`: what became of which job since then."""
    named = {change: [name for name, found in of.changes.items() if found is change] for change in Change}
    return {
        **plan_document(of.plan),
        "base": {
            "ref": of.base.ref,
            "commit": of.base.commit,
            "added": named[Change.ADDED],
            "changed": named[Change.CHANGED],
            "moved": [{"id": new, "was": old} for new, old in of.moved.items()],
            "removed": [job.job.id for job in of.removed],
            "unchanged": len(named[Change.UNCHANGED]),
            "notes": list(of.base.notes),
        },
    }


def comparison_text(of: Comparison, *, verbose: bool = False) -> str:
    """The comparison as plain lines; ends with a newline."""
    return "\n".join([*map(visible, _head(of)), "", plan_text(of.plan, verbose=verbose), *map(visible, _tail(of))])


def counts_text(of: Comparison) -> str:
    """`2 added, 1 changed, …`."""
    return ", ".join(f"{count} {change}" for change, count in of.counts if count) or "no jobs"


def _head(of: Comparison) -> Iterator[str]:
    yield f"compared with {of.base.ref} ({of.base.commit[:12]}): {counts_text(of)}"
    yield from (f"note: {note}" for note in of.base.notes)


def _tail(of: Comparison) -> Iterator[str]:
    for title, lines in (
        ("moved, and so free", [f"{old} → {new}" for new, old in of.moved.items()]),
        ("removed", [job.job.id for job in of.removed]),
    ):
        if lines:
            yield f"{title} ({jobs_word(len(lines))})"
            yield from (f"  {line}" for line in lines[:LISTED])
            if len(lines) > LISTED:
                yield f"  … and {len(lines) - LISTED} more"
            yield ""


def _result(namespace: str, key: str) -> Result:
    """Stands for whatever the earlier revision's request brought."""
    return Result(
        namespace=namespace, fingerprint=key, blob=key, size=0, attempt="", charge=None, generation_id=None, made_at=0.0
    )


def _change(planned: PlannedJob, base: Base) -> Change:
    before = base.jobs.get(planned.job.id)
    if before is not None and before.fingerprint == planned.fingerprint:
        return Change.UNCHANGED
    if planned.action is Action.UP_TO_DATE:
        return Change.MOVED
    return Change.ADDED if before is None else Change.CHANGED


class _Known:
    """What the earlier revision had: shots, characters, motions, values of axes."""

    def __init__(self, jobs: Iterable[BaseJob]) -> None:
        of = [job.job for job in jobs]
        self.shots = {job.shot for job in of}
        self.characters = {job.character for job in of}
        self.motions = {job.motion for job in of}
        self.values = {value for job in of for value in job.values}
        self.cells = {job.cell for job in of}


def _reasons(planned: PlannedJob, base: Base, project: Project, known: _Known) -> tuple[Reason, ...]:
    """Of a job that is there for the first time: which edit brought it, and where that stands."""
    job = planned.job
    if planned.action is not Action.RENDER or job.id in base.jobs:
        return planned.reasons
    if not base.jobs:
        return (reason(ReasonCode.NEW, "new", job.place),)
    character, motion = project.characters.get(job.character), project.motions.get(job.motion)
    found = []
    if job.shot not in known.shots:
        found.append(reason(ReasonCode.NEW, f"new shot {job.shot}", job.place))
    if job.character not in known.characters:
        at = character.place if character is not None else job.place
        found.append(reason(ReasonCode.NEW, f"new character {job.character}", at))
    if job.motion not in known.motions:
        at = motion.place if motion is not None else job.place
        found.append(reason(ReasonCode.NEW, f"new motion {job.motion}", at))
    if job.shot in known.shots:
        for axis, value in job.values:
            if (axis, value) not in known.values:
                written = project.origins().axis_value(job, axis) if project.origins is not None else None
                found.append(reason(ReasonCode.NEW, f"new value {axis}: {value}", written or job.place))
    if not found and job.cell in known.cells:
        said = job.settings.places if job.settings is not None else {}
        return (reason(ReasonCode.NEW, "new take", said.get("takes", job.place)),)
    return tuple(found) or (reason(ReasonCode.NEW, "new cell", job.place),)
