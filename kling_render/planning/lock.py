"""The lock file as values: which result each job of a project has, what it should say, and what it promises. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from kling_render.lifecycle.identity import PREFIX_LENGTH
from kling_render.lifecycle.records import Result, usd_of
from kling_render.lifecycle.states import SPENT_NOTHING
from kling_render.planning.document import money
from kling_render.planning.plan import totals
from kling_render.planning.records import Action, Plan, PlannedJob, Reason, ReasonCode, reason

FIELDS = frozenset({"fingerprint", "sha256", "generation_id", "usd", "kept"})
"""Of an entry, as far as this version knows."""
GENERATION = re.compile(r"[A-Za-z0-9_-]{1,128}")
_KEPT = frozenset({Action.UP_TO_DATE, Action.PINNED})
_MISSING = frozenset({Action.RENDER, Action.ADOPT, Action.BLOCKED})
_SHOWN = 12


class Kept(NamedTuple):
    """The decision to keep a result for another request than the one it was paid for."""

    #: The fingerprint it was paid for; its first 32 hex digits where nobody knows more.
    origin: str
    by: str
    #: ISO 8601, UTC, whole seconds: of the decision, so it never changes by itself. Empty when nobody said.
    at: str
    why: str


class Locked(NamedTuple):
    """The result of one job, as the lock file holds it. A tuple, for there are as many as jobs in every run."""

    job: str
    fingerprint: str
    sha256: str
    #: None for a result that was adopted from a file.
    generation_id: str | None
    #: What it cost, in USD, as exact decimal text; None when the provider did not say.
    usd: str | None
    #: Who kept it for this request; None for one that was paid for it.
    kept: Kept | None = None
    #: Fields that are not known or cannot be read, as JSON: they stay as they are.
    rest: tuple[tuple[str, str], ...] = ()

    @property
    def restored(self) -> Locked:
        """As it was before the result was kept: the request that it was made by."""
        assert self.kept is not None
        return self._replace(fingerprint=self.kept.origin, kept=None)

    def is_of(self, fingerprint: str) -> bool:
        """Whether a generation that was paid for this request may be the entry's: its own, or the one it was kept from.

        The account's log knows the first 32 hex digits only.
        """
        origins = (self.fingerprint, self.kept.origin if self.kept else "")
        return fingerprint[:PREFIX_LENGTH] in [origin[:PREFIX_LENGTH] for origin in origins]


class Flaw(NamedTuple):
    """Something in a file that cannot be read."""

    job: str
    #: "the entry", "the usd".
    what: str

    def __str__(self) -> str:
        return f"{self.what} of {self.job}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """What a lock file says."""

    #: By job id. Several only in a damaged file: both sides of a conflict, ours first.
    jobs: Mapping[str, tuple[Locked, ...]] = field(default_factory=dict)
    #: The API's origin, or `sandbox`: results of one are none of the other.
    api: str | None = None
    project: str | None = None
    #: Why it is to be written anew ("has merge conflicts"); empty for a sound one.
    problem: str = ""
    #: Why it must be left alone ("was written by a newer version"); empty for one of ours.
    foreign: str = ""
    #: Job id → the JSON of an entry that cannot be read, and stays as it is.
    unread: Mapping[str, str] = field(default_factory=dict)
    #: What cannot be read of it, entries included.
    flaws: tuple[Flaw, ...] = ()
    #: Jobs with a block of which only a part is there, and how many parts there are besides.
    torn: frozenset[str] = frozenset()
    nameless: int = 0
    #: Fields of the whole file that this version does not know, as JSON.
    more: tuple[tuple[str, str], ...] = ()

    @property
    def is_ambiguous(self) -> bool:
        """Whether a job has several entries."""
        return any(len(entries) > 1 for entries in self.jobs.values())

    def by_fingerprint(self) -> dict[str, list[Locked]]:
        """Every result by the request it belongs to: a renamed job has its result under another id."""
        found: dict[str, list[Locked]] = {}
        for entries in self.jobs.values():
            for entry in entries:
                found.setdefault(entry.fingerprint, []).append(entry)
        return found


# -- what it should say --------------------------------------------------------------------------------------------


def _never(_entry: Locked) -> bool:
    return False


def entries_of(
    plan: Plan,
    old: LockFile | None,
    *,
    kept: Mapping[str, Kept] | None = None,
    undone: Callable[[Locked], bool] = _never,
) -> list[Locked]:
    """What the file should say after a run: one entry for each job of the plan that has or had a result.

    A job whose result stands in its place is described by it. One that was edited and not rendered keeps its entry, for
    the old result stands in its place still. A damaged file gets what the store knows besides.

    Args:
        plan: of everything.
        old: what the file says now.
        kept: by fingerprint, who kept a result for it.
        undone: whether the keeping that an entry tells of was taken back here.
    """
    known = None if old is None else old.by_fingerprint()
    told = (_told(planned, old, known or {}, kept or {}, undone) for planned in plan.jobs)
    return [entry for entry in told if entry is not None]


def _told(
    planned: PlannedJob,
    old: LockFile | None,
    known: Mapping[str, list[Locked]],
    kept: Mapping[str, Kept],
    undone: Callable[[Locked], bool],
) -> Locked | None:
    if planned.result is not None and (planned.action in _KEPT or (old is not None and old.problem)):
        mine = _of_result(planned.job.id, planned.result, kept)
        return mine if old is None else _with_more(mine, old)
    earlier = None if old is None else _earlier(planned, old, known)
    if earlier is None or earlier.kept is None or len(earlier.kept.origin) != len(earlier.fingerprint):
        return earlier
    return earlier.restored if undone(earlier) else earlier


def _with_more(mine: Locked, old: LockFile) -> Locked:
    """The same result as another store or version knows it: what it says besides stays."""
    same = next((e for e in old.jobs.get(mine.job, ()) if e[1:3] == mine[1:3]), None)
    if same is None:
        return mine
    return mine._replace(
        generation_id=mine.generation_id or same.generation_id,
        usd=same.usd if mine.usd is None else mine.usd,
        kept=mine.kept or same.kept,
        rest=tuple(one for one in same.rest if one[0] not in FIELDS),
    )


def _earlier(planned: PlannedJob, old: LockFile, known: Mapping[str, list[Locked]]) -> Locked | None:
    """The entry of a job without a result in its place: what fits it, under whatever id it stands; else its own."""
    own, wanted = old.jobs.get(planned.job.id, ()), wanted_fingerprint(planned)
    fitting = [entry for entry in own if entry.fingerprint == wanted] or known.get(wanted, [])
    found = next(iter([*fitting, *own]), None)
    return None if found is None else found._replace(job=planned.job.id)


def is_settled(plan: Plan) -> bool:
    """Whether every job's entry is told by its result, so that the old file says nothing more."""
    return all(planned.action in _KEPT and planned.result is not None for planned in plan.jobs)


def _of_result(job: str, result: Result, kept: Mapping[str, Kept]) -> Locked:
    named = result.generation_id is not None and GENERATION.fullmatch(result.generation_id)
    generation = result.generation_id if named else None
    usd = _usd_text(result.charge)
    return Locked(job, result.fingerprint, result.blob, generation, usd, kept.get(result.fingerprint))


@lru_cache(maxsize=256)
def _usd_text(charge: int | None) -> str | None:
    return None if charge is None else money(usd_of(charge))


# -- against a plan ------------------------------------------------------------------------------------------------


def wanted_fingerprint(planned: PlannedJob) -> str:
    """What a job's entry should name: its request, or for a picked take the one it was made by."""
    if planned.action is Action.PINNED and planned.result is not None:
        return planned.result.fingerprint
    return planned.key


def differences(plan: Plan, lock: LockFile, *, whole: bool) -> list[str]:
    """Why a plan's jobs are not those of the lock file, a sentence each; `whole`: the plan holds every job."""
    found = [text for planned in plan.jobs if (text := _difference(planned, lock))]
    if whole:
        known = {planned.job.id for planned in plan.jobs}
        found += [f"{job} is in the lock file and not in the shot list" for job in lock.jobs if job not in known]
    return found


def _difference(planned: PlannedJob, lock: LockFile) -> str:
    job, entries = planned.job.id, lock.jobs.get(planned.job.id)
    if not entries:
        return f"{job} is not in the lock file"
    entry, fingerprint = entries[0], wanted_fingerprint(planned)
    if entry.fingerprint != fingerprint:
        return f"{job} was edited: its request is {fingerprint[:_SHOWN]}…, the locked one {entry.fingerprint[:_SHOWN]}…"
    if planned.result is not None and planned.result.blob != entry.sha256:
        return (
            f"{job} has another result in this store: {planned.result.blob[:_SHOWN]}…, "
            f"the locked one is {entry.sha256[:_SHOWN]}…"
        )
    return ""


# -- what it promises ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Promise:
    """A result that a plan need not pay for, as the lock file says."""

    entry: Locked
    #: Its bytes are in the store or in the output folder: nobody has to be asked.
    here: bool

    @property
    def reason(self) -> Reason:
        """Why the job is not rendered."""
        kept = self.entry.kept
        more = f", kept from {kept.origin[:_SHOWN]} by {kept.by or 'somebody'}" if kept else ""
        if self.here:
            return reason(ReasonCode.LOCKED_HERE, f"locked: its bytes are here{more}")
        paid = f"paid generation {self.entry.generation_id}"
        return reason(ReasonCode.LOCKED, f"locked: {paid}, fetched for nothing while its link lives{more}")


def is_missing(planned: PlannedJob) -> bool:
    """Nothing is known of it that is or may be paid: what only the user can settle stays with the user."""
    attempt = planned.attempt
    open_to_all = attempt is None or planned.action is not Action.BLOCKED or attempt.state in SPENT_NOTHING
    return planned.action in _MISSING and planned.result is None and open_to_all


def promised(plan: Plan, promises: Mapping[str, Promise]) -> Plan:
    """The plan with what the lock file brings, by result key: it is tried before anything is paid."""
    if not promises:
        return plan
    jobs = tuple(_promised(planned, promises.get(planned.key)) for planned in plan.jobs)
    return replace(plan, jobs=jobs, totals=totals(jobs))


def _promised(planned: PlannedJob, promise: Promise | None) -> PlannedJob:
    if promise is None or not is_missing(planned):
        return planned
    return replace(planned, action=Action.ADOPT, reasons=(promise.reason,))
