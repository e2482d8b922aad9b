"""A plan whose reasons name the edit behind each changed prompt: the value or the line of a template, and its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kling_render.planning.manifest import prompt_in
from kling_render.planning.records import SENTENCES, Plan, PlannedJob, Reason, ReasonCode, reason
from kling_render.shotlist.records import Job, Project

if TYPE_CHECKING:
    from kling_render.planning.prompt_edits import Cause, Changed, Readers
    from kling_render.shotlist.declarations import Template
    from kling_render.shotlist.origins import Origin, PromptOrigins

_NAMED = 6
"""Edits of one prompt that are named one by one."""
_CHANGED = SENTENCES[ReasonCode.PROMPT_CHANGED]


@dataclass(frozen=True, slots=True)
class Before:
    """An earlier shot list that is at hand: what was really edited need not be guessed."""

    #: Job id → the job as it was.
    jobs: Mapping[str, Job]
    origins: PromptOrigins


def with_edits(plan: Plan, earlier: Mapping[str, str], project: Project, before: Before | None = None) -> Plan:
    """The plan with the edits of prompts named.

    Args:
        plan: of the project.
        earlier: job id → manifest of its earlier result.
        project: says what its prompts are made of; without that the plan stays as it is.
        before: the earlier shot list, if it is at hand.
    """
    changed = [planned for planned in plan.jobs if _is_edited(planned)] if plan.totals.render else []
    if not changed or project.origins is None:
        return plan
    olds = ((p.job, prompt_in(earlier.get(p.job.id, ""))) for p in changed)
    found = _reasons(olds, project.origins(), _readers(plan.jobs), before)
    jobs = []
    for planned in plan.jobs:
        edits = found.get(planned.job.id)
        jobs.append(planned if edits is None else replace(planned, reasons=_named(planned.reasons, edits)))
    return replace(plan, jobs=tuple(jobs))


def with_edits_of(whole: Plan, part: Plan) -> Plan:
    """A part of a plan with the edits that the whole plan names."""
    if not part.totals.render or not any(_is_edited(planned) for planned in part.jobs):
        return part
    named = {planned.job.id: planned.reasons for planned in whole.jobs if _is_edited(planned)}
    return replace(part, jobs=tuple(replace(p, reasons=named.get(p.job.id, p.reasons)) for p in part.jobs))


def _is_edited(planned: PlannedJob) -> bool:
    return any(each.code is ReasonCode.PROMPT_CHANGED for each in planned.reasons)


def prompt_reasons(job: Job, old: str, project: Project) -> tuple[Reason, ...]:
    """The edits between an earlier prompt and a job's own, as far as this job alone tells; empty if it does not."""
    if project.origins is None:
        return ()
    return _reasons([(job, old)], project.origins(), lambda _template, _origin: 1, None).get(job.id, ())


def _reasons(
    olds: Iterable[tuple[Job, str]], origins: PromptOrigins, readers: Readers, before: Before | None
) -> dict[str, tuple[Reason, ...]]:
    from kling_render.planning.prompt_edits import Changed, causes  # most plans have no edited prompt

    jobs: dict[str, Job] = {}
    changed = []
    for job, old in olds:
        pieces = origins.pieces(job) if old and job.request.prompt else None
        if pieces is not None:
            jobs[job.id] = job
            changed.append(Changed(job.id, _template(job), old, job.request.prompt, pieces))
    really = None if before is None else _Really(jobs, origins, before)
    said: dict[tuple[Hashable, int], tuple[Reason, ...]] = {}
    found = {}
    told = causes(changed, readers, really)  # equal ones are one object
    for name, cause in told.items():
        key = (_template(jobs[name]), id(cause))
        if key not in said:
            said[key] = _told(cause, jobs[name])
        found[name] = said[key]
    return found


def _template(job: Job) -> Hashable:
    return id(job.settings.prompt) if job.settings is not None else None


def _named(reasons: tuple[Reason, ...], edits: tuple[Reason, ...]) -> tuple[Reason, ...]:
    named: list[Reason] = []
    for one in reasons:
        named += edits if one.code is ReasonCode.PROMPT_CHANGED else (one,)
    return tuple(named)


# -- in words --------------------------------------------------------------------------------------------------------


def _told(cause: Cause, job: Job) -> tuple[Reason, ...]:
    """A reason for each edit; where it is not known which of them it was, one for all."""
    origins = sorted(cause.origins, key=lambda origin: bool(origin.name))
    whole = job.prompt_place or job.place
    if not origins:
        return (reason(ReasonCode.PROMPT_CHANGED, at=whole),)
    if len(origins) > _NAMED:
        few = ", ".join(map(_called, origins[:_NAMED]))
        return (reason(ReasonCode.PROMPT_CHANGED, f"{_CHANGED}: {few} and {len(origins) - _NAMED} more", at=whole),)
    if not cause.sure:
        first, *others = origins
        here = f": {first.name}, or" if first.name else ", here or in"
        text = f"{_CHANGED}{here} {' or '.join(map(_called, others))}"
        return (reason(ReasonCode.PROMPT_CHANGED, text, at=first.place),)
    lines: dict[str, list[Origin]] = {}
    for origin in origins:
        if not origin.name:
            lines.setdefault(origin.place.file, []).append(origin)
    told = [_of_lines(found) for found in lines.values()]
    told += [reason(ReasonCode.PROMPT_CHANGED, f"{_CHANGED}: {o.name}", at=o.place) for o in origins if o.name]
    return tuple(told)


def _of_lines(origins: list[Origin]) -> Reason:
    numbers = sorted({origin.place.line for origin in origins})
    text = f"{_CHANGED}: lines {', '.join(map(str, numbers))}" if len(numbers) > 1 else ""
    return reason(ReasonCode.PROMPT_CHANGED, text, at=min(origins, key=lambda o: o.place.line).place)


def _called(origin: Origin) -> str:
    at = f"{origin.place.file}:{origin.place.line}"
    return f"{origin.name} ({at})" if origin.name else at


# -- who reads what --------------------------------------------------------------------------------------------------


def _readers(jobs: Iterable[PlannedJob]) -> Readers:
    """How many jobs that were rendered before see an origin; counted when it is first asked for."""
    counts: Counter[tuple[Hashable, tuple[str, ...]]] = Counter()

    def count() -> None:
        for planned in jobs:
            if planned.result is None and not _is_edited(planned):
                continue
            job, template = planned.job, _template(planned.job)
            scopes = [(), ("character", job.character), ("motion", job.motion), ("shot", job.shot)]
            scopes += [("value", *value) for value in job.values]
            counts.update((template, scope) for scope in scopes)

    def readers(template: Hashable, origin: Origin) -> int:
        if not counts:
            count()
        return counts[template, origin.scope]

    return readers


class _Really:
    """Whether a value or a line is another one than in the earlier shot list."""

    def __init__(self, jobs: Mapping[str, Job], origins: PromptOrigins, before: Before) -> None:
        self._jobs = jobs
        self._origins = origins
        self._before = before
        self._values: dict[Origin, bool] = {}
        self._lines: dict[tuple[Hashable, Hashable], frozenset[int]] = {}

    def __call__(self, one: Changed, origin: Origin) -> bool:
        old = self._before.jobs.get(one.job)
        if old is None or origin.included:
            return True
        if not origin.name:
            return origin.line in self._edited(self._jobs[one.job], old)
        if origin not in self._values:
            was = self._before.origins.value(old, origin.path)
            now = self._origins.value(self._jobs[one.job], origin.path)
            self._values[origin] = type(was) is not type(now) or was != now
        return self._values[origin]

    def _edited(self, new: Job, old: Job) -> frozenset[int]:
        key = (_template(new), _template(old))
        if key not in self._lines:
            sides = [job.settings.prompt if job.settings is not None else None for job in (old, new)]
            self._lines[key] = frozenset(_edited_lines(*sides))
        return self._lines[key]


def _edited_lines(old: Template | None, new: Template | None) -> set[int]:
    """The lines of a template that are new or changed, and those beside which something is gone."""
    from difflib import SequenceMatcher

    before, after = (of.text.split("\n") if of is not None else [] for of in (old, new))
    found: set[int] = set()
    for tag, _, _, begin, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "delete":
            found |= {begin, begin + 1}
        elif tag != "equal":
            found |= set(range(begin + 1, end + 1))
    return found
