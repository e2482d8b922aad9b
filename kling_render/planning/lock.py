"""The lock file: which result each job of a project has, made for git. Pure text in, values out, and back.

One block per job, sorted by id, and nothing in it that changes by itself: two clones write the same bytes, and a merge
conflict stays within a job's block. A damaged file is read as far as its blocks are whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard

from kling_render.lifecycle.records import Result, usd_of
from kling_render.planning.document import money
from kling_render.planning.records import Action, Plan, PlannedJob

FORMAT = "kling-render.lock/1"
_FAMILY = FORMAT.rpartition("/")[0] + "/"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_GENERATION = re.compile(r"[A-Za-z0-9_-]{1,128}")
_USD = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_BLOCK = re.compile(r'"([^"\\]{1,512})"\s*:\s*(\{[^{}]*\})')
_MARKS = ("<<<<<<<", ">>>>>>>")
_KEPT = frozenset({Action.UP_TO_DATE, Action.PINNED})
_SHOWN = 12


class Locked(NamedTuple):
    """The result of one job, as the lock file holds it. A tuple, for there are as many as jobs in every run."""

    job: str
    fingerprint: str
    sha256: str
    #: None for a result that was adopted from a file.
    generation_id: str | None
    #: What it cost, in USD, as exact decimal text; None when the provider did not say.
    usd: str | None


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

    def by_fingerprint(self) -> dict[str, list[Locked]]:
        """Every result by the request it belongs to: a renamed job has its result under another id."""
        found: dict[str, list[Locked]] = {}
        for entries in self.jobs.values():
            for entry in entries:
                found.setdefault(entry.fingerprint, []).append(entry)
        return found


def lock_text(*, project: str | None, provider: str, api: str, entries: Iterable[Locked]) -> bytes:
    """The file's bytes; `project` is left out where it only repeats the folder's name, which clones choose freely."""
    head = {"format": FORMAT, "project": project, "provider": provider, "api": api}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)},\n" for name, value in head.items() if value is not None]
    blocks = [_block(entry) for entry in sorted(entries)]
    jobs = "{\n" + ",\n".join(blocks) + "\n  }" if blocks else "{}"
    return ("{\n" + "".join(lines) + f'  "jobs": {jobs}\n' + "}\n").encode()


def _block(entry: Locked) -> str:
    """By hand: the encoder takes a slow path for indented text, and a run with nothing to do comes here too."""
    job, fingerprint, sha256, generation, usd = entry
    return (
        f"    {json.dumps(job)}: {{\n"
        f'      "fingerprint": "{fingerprint}",\n'
        f'      "sha256": "{sha256}",\n'
        f'      "generation_id": {_quoted(generation)},\n'
        f'      "usd": {_quoted(usd)}\n'
        "    }"
    )


def _quoted(word: str | None) -> str:
    """Digits, letters and points only: nothing to escape."""
    return "null" if word is None else f'"{word}"'


# -- reading -------------------------------------------------------------------------------------------------------


def parse(data: bytes) -> LockFile:
    """What the bytes say, however damaged they are."""
    text = data.decode("utf-8-sig", "replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return _salvaged(text)
    said = content.get("format") if isinstance(content, dict) else None
    if said != FORMAT:
        newer = isinstance(said, str) and said.startswith(_FAMILY)
        return LockFile(foreign=f"has the unknown format '{said}'" if newer else "is no lock file of kling-render")
    jobs = content.get("jobs")
    blocks = jobs if isinstance(jobs, dict) else {}
    found = {job: entry for job, block in blocks.items() if (entry := _locked(job, block)) is not None}
    whole = isinstance(jobs, dict) and len(found) == len(jobs)
    return LockFile(
        jobs={job: (entry,) for job, entry in found.items()},
        api=_word(content.get("api")),
        project=_word(content.get("project")),
        problem="" if whole else "has entries that cannot be read",
    )


def is_json(data: bytes) -> bool:
    """Whether the bytes are whole: quicker than to read what they say."""
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _salvaged(text: str) -> LockFile:
    """Every whole block of a file that is no JSON; of a conflict those of both sides."""
    said = _field(text, "format")
    if said is not None and said != FORMAT:
        return LockFile(foreign=f"has the unknown format '{said}'")
    conflict = any(line.startswith(_MARKS) for line in text.splitlines())
    jobs: dict[str, tuple[Locked, ...]] = {}
    for side in _sides(text):
        for match in _BLOCK.finditer(side):
            entry = _locked(match[1], _json(match[2]))
            if entry is not None and entry not in jobs.get(entry.job, ()):
                jobs[entry.job] = (*jobs.get(entry.job, ()), entry)
    return LockFile(
        jobs=jobs,
        api=_field(text, "api"),
        project=_field(text, "project"),
        problem="has merge conflicts" if conflict else "is no complete JSON",
    )


def _sides(text: str) -> tuple[str, str]:
    """The text as each side of a merge has it; the common ancestor, where it is shown, is left out."""
    ours: list[str] = []
    theirs: list[str] = []
    into: tuple[list[str], ...] = (ours, theirs)
    for line in text.splitlines():
        if line.startswith("<<<<<<<"):
            into = (ours,)
        elif line.startswith("|||||||"):
            into = ()
        elif line.startswith("======="):
            into = (theirs,)
        elif line.startswith(">>>>>>>"):
            into = (ours, theirs)
        else:
            for side in into:
                side.append(line)
    return "\n".join(ours), "\n".join(theirs)


def _locked(job: str, block: Any) -> Locked | None:
    """A block's entry; None when something in it is not what it should be."""
    if not isinstance(block, dict):
        return None
    fingerprint, sha256 = block.get("fingerprint"), block.get("sha256")
    generation, usd = block.get("generation_id"), block.get("usd")
    if (generation is not None and not _is(generation, _GENERATION)) or (usd is not None and not _is(usd, _USD)):
        return None
    if _is(fingerprint, _DIGEST) and _is(sha256, _DIGEST):
        return Locked(job=job, fingerprint=fingerprint, sha256=sha256, generation_id=generation, usd=usd)
    return None


def _is(value: object, pattern: re.Pattern[str]) -> TypeGuard[str]:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _field(text: str, name: str) -> str | None:
    match = re.search(rf'"{name}"\s*:\s*"([^"\\]*)"', text)
    return match[1] if match else None


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None


# -- against a plan ------------------------------------------------------------------------------------------------


def entries_of(plan: Plan, old: LockFile | None) -> list[Locked]:
    """What the file should say after a run: one entry for each job of the plan that has or had a result.

    A job whose result stands in its place is described by it. One that was edited and not rendered keeps its entry, for
    the old result stands in its place still. A damaged file gets what the store knows besides.
    """
    told = (_standing(planned) or _earlier(planned, old) for planned in plan.jobs)
    return [entry for entry in told if entry is not None]


def is_settled(plan: Plan) -> bool:
    """Whether every job's entry is told by its result, so that the old file says nothing more."""
    return all(planned.action in _KEPT and planned.result is not None for planned in plan.jobs)


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


def _standing(planned: PlannedJob) -> Locked | None:
    if planned.action not in _KEPT or planned.result is None:
        return None
    return _of_result(planned.job.id, planned.result)


def _earlier(planned: PlannedJob, old: LockFile | None) -> Locked | None:
    if old is None:
        return None
    if old.problem and planned.result is not None:
        return _of_result(planned.job.id, planned.result)
    entries = old.jobs.get(planned.job.id, ())
    fitting = [entry for entry in entries if entry.fingerprint == wanted_fingerprint(planned)]
    return next(iter([*fitting, *entries]), None)


def _of_result(job: str, result: Result) -> Locked:
    generation = result.generation_id if _is(result.generation_id, _GENERATION) else None
    return Locked(job, result.fingerprint, result.blob, generation, _usd_text(result.charge))


@lru_cache(maxsize=256)
def _usd_text(charge: int | None) -> str | None:
    return None if charge is None else money(usd_of(charge))
