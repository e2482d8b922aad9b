"""What is known to be wrong with results: kept in the store's cache, read without looking at anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kling_render.planning.records import PlannedJob
from kling_render.store.cache import Cache

VERSION = 1
"""Raised when results are looked at otherwise: they are looked at again."""
SAID = f"result-warnings/{VERSION}"
"""What was found wrong with each result that was watched; empty for most."""
UNWATCHABLE = "it cannot be watched to its end"

Warnings = Mapping[str, tuple[str, ...]]
"""Job → what is wrong with its result; only jobs with something to say."""


def known_warnings(jobs: Iterable[PlannedJob], cache: Cache) -> Warnings:
    """What is known to be wrong with the results of jobs."""
    said = {key: texts for key, texts in cache.all(SAID).items() if texts}
    if not said:
        return {}
    keys = {planned.job.id: said_key(planned, planned.result.blob) for planned in jobs if planned.result is not None}
    return {job: tuple(said[key]) for job, key in keys.items() if key in said}


def unwatched(jobs: Iterable[PlannedJob], cache: Cache) -> list[PlannedJob]:
    """Jobs with a result that nobody watched to its end: the run that brought it was killed, or left."""
    said = cache.all(SAID)
    return [job for job in jobs if job.result is not None and said_key(job, job.result.blob) not in said]


def said_key(planned: PlannedJob, sha256: str) -> str:
    """What a judgement depends on: the result's bytes and what they were to be."""
    request, clip = planned.job.request, planned.video
    return f"{sha256} {clip.sha256 or clip.url} {request.start} {request.end} {request.keep_audio}"
