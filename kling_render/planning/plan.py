"""From jobs and what is known about the world to a plan. Pure: the same facts give the same plan."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import NamedTuple

from kling_render.lifecycle.records import Attempt, Result
from kling_render.planning.learning import NOTHING, Lesson, hold, most
from kling_render.planning.manifest import InputIdentity, Manifests, fingerprint_of
from kling_render.planning.prices import Price, estimate, price_key, total_usd
from kling_render.planning.reasons import Verdict, judge_attempt, judge_output, render_reasons
from kling_render.planning.records import (
    Action,
    Pick,
    Plan,
    PlannedJob,
    Presence,
    Reason,
    ReasonCode,
    Totals,
    reason,
)
from kling_render.shotlist.records import InputRef, Job, Project, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything a plan depends on besides the shot list; the callables answer from what was read before."""

    namespace: str
    identities: Callable[[InputRef], InputIdentity]
    #: Length of the clip's video stream after trims; None when it is not known.
    seconds: Callable[[Request], Decimal | None]
    prices: Callable[[Request], Price | None]
    #: Model → what its charges taught about the bill.
    lessons: Mapping[str, Lesson] = field(default_factory=dict)
    #: What stands at a path (POSIX style, relative to the shot list), compared with bytes of that SHA-256.
    present: Callable[[str, str], Presence]
    #: By result key.
    results: Mapping[str, Result]
    latest: Mapping[str, Attempt]
    #: Job id → manifest of its newest earlier result: tells an edit from a new job.
    earlier: Mapping[str, str] = field(default_factory=dict)
    #: Job id → why it cannot be rendered.
    blocked: Mapping[str, tuple[Reason, ...]] = field(default_factory=dict)
    #: Cell id → the take that was picked.
    picked: Mapping[str, Pick] = field(default_factory=dict)
    #: Why a failed attempt is not followed by another one by itself (a content refusal), or None.
    held_back: Callable[[Attempt], str | None] = lambda _attempt: None
    #: The name of a job's results: the fingerprint; a free provider may add what its pictures show.
    key: Callable[[Job, str], str] = lambda _job, digest: digest


class _Draft(NamedTuple):
    """A job with its identity, before the decision."""

    job: Job
    manifest: str
    fingerprint: str
    key: str
    image: InputIdentity
    video: InputIdentity


class _Cost(NamedTuple):
    """Seconds of the clip, the estimate, the most it can be, and what is held in a budget."""

    seconds: Decimal | None
    about: Decimal | None
    most: Decimal | None
    hold: Decimal | None


class _Bill:
    """Duration and cost of requests; every clip's length and every price is asked for once."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.prices: dict[Hashable, Price | None] = {}
        self._known: dict[Hashable, _Cost] = {}

    def of(self, request: Request, video: InputIdentity) -> _Cost:
        """What a render costs."""
        terms = price_key(request)
        clip = (terms, video.sha256, video.url, request.start, request.end)
        known = self._known.get(clip)
        if known is None:
            if terms not in self.prices:
                self.prices[terms] = self._facts.prices(request)
            price, seconds = self.prices[terms], self._facts.seconds(request)
            lesson = self._facts.lessons.get(request.model, NOTHING)
            cost = seconds, estimate(price, seconds), most(price, seconds, lesson), hold(price, seconds, lesson)
            known = self._known[clip] = _Cost(*cost)
        return known


def make_plan(
    project: Project,
    facts: Facts,
    *,
    select: Callable[[Job], bool] = lambda _job: True,
    stale_outputs: Iterable[str] = (),
) -> Plan:
    """Decide about every selected job."""
    chosen = jobs = [job for job in project.jobs if select(job)]
    if len(chosen) < len(project.jobs):  # a cell's final depends on all of its takes
        touched = {job.cell for job in chosen}
        jobs = [job for job in project.jobs if job.cell in touched]
    drafts = _drafts(jobs, facts)
    finals = _finals(drafts.values(), facts)
    order = sorted(chosen, key=lambda job: -job.priority)  # stable: the list's order within a priority
    bill = _Bill(facts)
    decided = _decide((drafts[job.id] for job in order), finals, project.output_dir, facts, bill)
    return Plan(
        project=project.name,
        provider=project.provider,
        namespace=facts.namespace,
        output_dir=project.output_dir,
        prices=tuple(dict.fromkeys(price for price in bill.prices.values() if price is not None)),
        jobs=decided,
        stale_outputs=tuple(stale_outputs),
        totals=totals(decided),
    )


def repriced(plan: Plan, facts: Facts) -> Plan:
    """The same decisions with other prices."""
    bill = _Bill(facts)
    jobs = []
    for planned in plan.jobs:
        cost = bill.of(planned.job.request, planned.video)
        jobs.append(
            replace(
                planned,
                duration_s=cost.seconds,
                estimate_usd=cost.about,
                up_to_usd=cost.most,
                hold_usd=cost.hold,
            )
        )
    used = tuple(dict.fromkeys(price for price in bill.prices.values() if price is not None))
    return replace(plan, jobs=tuple(jobs), prices=used, totals=totals(jobs))


def totals(jobs: Iterable[PlannedJob]) -> Totals:
    """Counts and money of these jobs; a shared result is paid once, so only `render` counts."""
    planned = tuple(jobs)
    actions = [job.action for job in planned]
    free = (Action.UP_TO_DATE, Action.RESTORE, Action.ADOPT)  # a set would hash every action, in plain Python
    codes = {p.key: p.reasons[0].code for p in planned if p.action is Action.ADOPT and p.reasons}
    locked = {key for key, code in codes.items() if code is ReasonCode.LOCKED}  # those that share one are paid once
    return Totals(
        jobs=len(planned),
        render=actions.count(Action.RENDER),
        up_to_date=actions.count(Action.UP_TO_DATE),
        restore=actions.count(Action.RESTORE),
        resume=actions.count(Action.RESUME),
        adopt=actions.count(Action.ADOPT),
        blocked=actions.count(Action.BLOCKED),
        pinned=actions.count(Action.PINNED),
        estimate_usd=total_usd(job.estimate_usd for job in planned if job.action is Action.RENDER),
        up_to_usd=total_usd(job.up_to_usd for job in planned if job.action is Action.RENDER),
        saved_usd=total_usd(job.estimate_usd for job in planned if job.action in free and job.key not in locked),
        locked=sum(job.key in locked for job in planned) if locked else 0,
        locked_up_to_usd=total_usd({job.key: job.up_to_usd for job in planned if job.key in locked}.values()),
    )


def _drafts(jobs: Iterable[Job], facts: Facts) -> dict[str, _Draft]:
    """Manifest, fingerprint and key of each job; every input is asked for once."""
    seen: dict[int, InputIdentity] = {}  # by object: the jobs of a project share their input records

    def identity(ref: InputRef) -> InputIdentity:
        found = seen.get(id(ref))
        if found is None:
            found = seen[id(ref)] = facts.identities(ref)
        return found

    drafts, manifests = {}, Manifests()
    for job in jobs:
        image, video = identity(job.request.image), identity(job.request.video)
        record = manifests.text(job.request, image, video)
        digest = fingerprint_of(record)
        drafts[job.id] = _Draft(job, record, digest, facts.key(job, digest), image, video)
    return drafts


def _finals(drafts: Iterable[_Draft], facts: Facts) -> dict[str, str]:
    """Job id → SHA-256 its cell's final should hold: the picked take, else the lowest finished one."""
    cells: dict[str, list[_Draft]] = {}
    finals: dict[str, str] = {}
    if not facts.results and not facts.picked:
        return finals
    for draft in drafts:
        cells.setdefault(draft.job.cell, []).append(draft)
    for cell, members in cells.items():
        pick = facts.picked.get(cell)
        if pick is not None:
            owner = next((d for d in members if d.job.take == pick.take), members[0])
            finals[owner.job.id] = pick.sha256
        elif done := [d for d in members if d.key in facts.results]:
            lowest = min(done, key=lambda d: d.job.take) if len(done) > 1 else done[0]
            finals[lowest.job.id] = facts.results[lowest.key].blob
    return finals


def _decide(
    drafts: Iterable[_Draft], finals: Mapping[str, str], output_dir: str, facts: Facts, bill: _Bill
) -> tuple[PlannedJob, ...]:
    """One decision per job; a request that several jobs share is rendered or resumed once."""
    claimed: dict[str, str] = {}
    decided = []
    for draft in drafts:
        final = finals.get(draft.job.id)
        verdict = _verdict(draft, final, output_dir, facts)
        if verdict.action in (Action.RENDER, Action.RESUME):
            first = claimed.setdefault(draft.key, draft.job.id)
            if first != draft.job.id:
                shared = reason(ReasonCode.SHARED, f"the same request as {first}, rendered and paid once")
                verdict = Verdict(Action.ADOPT, (shared,))
        cost = bill.of(draft.job.request, draft.video)
        decided.append(
            PlannedJob(
                job=draft.job,
                fingerprint=draft.fingerprint,
                key=draft.key,
                manifest_json=draft.manifest,
                action=verdict.action,
                reasons=verdict.reasons,
                estimate_usd=cost.about,
                up_to_usd=cost.most,
                hold_usd=cost.hold,
                duration_s=cost.seconds,
                result=verdict.result,
                attempt=facts.latest.get(draft.key),
                image=draft.image,
                video=draft.video,
                final_sha256=final,
            )
        )
    return tuple(decided)


def _verdict(draft: _Draft, final: str | None, output_dir: str, facts: Facts) -> Verdict:
    """The decision about one job on its own. What is under way comes first: it is paid for."""
    job, result, attempt = draft.job, facts.results.get(draft.key), facts.latest.get(draft.key)
    if attempt is not None and (open_work := judge_attempt(attempt, has_result=result is not None)):
        return open_work._replace(result=result)
    pick = facts.picked.get(job.cell) if facts.picked else None
    if pick is not None and pick.take == job.take and (result is None or result.blob != pick.sha256):
        return _pinned(job, pick, final, output_dir, facts)
    if result is not None:
        return judge_output(job, result, final, output_dir, facts.present)
    if hindrance := _hindrance(job, pick, attempt, facts):
        return hindrance
    return Verdict(Action.RENDER, render_reasons(job, draft.manifest, facts.earlier.get(job.id), attempt))


def _hindrance(job: Job, pick: Pick | None, attempt: Attempt | None, facts: Facts) -> Verdict | None:
    """Why a job without a result is not rendered all the same."""
    if pick is not None and job.id in facts.earlier:  # an edit; a further take of a picked cell is rendered
        return Verdict(Action.PINNED, (reason(ReasonCode.PICKED, at=job.place),))
    if why := facts.blocked.get(job.id):
        return Verdict(Action.BLOCKED, why)
    if attempt is not None and (text := facts.held_back(attempt)):
        return Verdict(Action.BLOCKED, (reason(ReasonCode.HELD_BACK, text),))
    return None


def _pinned(job: Job, pick: Pick, final: str | None, output_dir: str, facts: Facts) -> Verdict:
    """A picked take whose request was edited: its file and final keep the picked bytes."""
    kept = next((result for result in facts.results.values() if result.blob == pick.sha256), None)
    stays = reason(ReasonCode.PICKED, at=job.place)
    if kept is None:  # picked from a file, or on another machine: nothing to restore it from
        return Verdict(Action.PINNED, (stays,))
    standing = judge_output(job, kept, final, output_dir, facts.present)
    if standing.action is Action.UP_TO_DATE:
        return Verdict(Action.PINNED, (stays,), kept)
    return Verdict(standing.action, (stays, *standing.reasons), kept)
