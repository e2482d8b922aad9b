"""Claim: results are watched beside the run, what is found reaches the report, and nobody who leaves has to wait."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from kling_render.engine.work import JobReport, JobState, Progress, RunReport, Stop
from kling_render.media.probe import Prober
from kling_render.planning.records import PlannedJob
from kling_render.shotlist.records import InputRef
from kling_render.store.hashing import sha256_of
from kling_render.store.opening import Store
from kling_render.workspace.inputs.inspect import Inspection
from kling_render.workspace.results.beholding import Beholder, Missed
from kling_render.workspace.results.looks import UNWATCHABLE, known_warnings, unwatched
from tests.e2e.harness import wait_until
from tests.media.films import Part, film
from tests.planning.build import World, identity, job, request


class Heard:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []

    def tell(self, progress: Progress) -> None:
        self.progress.append(progress)


class Studio:
    """A store with one result, and the clip that it was made from."""

    def __init__(self, folder: Path, result: list[Part], clip: list[Part]) -> None:
        self.store = Store.open(folder / "store")
        source = film(folder / "clip.mp4", clip)
        ref = InputRef(shown="wave.mp4", path=source, place=job().request.video.place)
        with Prober(1) as prober:
            facts = prober.probe(source, "clip")
        self.inspection = Inspection({ref: source}, {ref: sha256_of(source)}, {ref: facts}, ())
        wanted = job(request=request(video=ref))
        world = World(facts={"identities": identity, "seconds": lambda _request: Decimal(4)})
        made = film(folder / "result.mp4", result)
        self.sha256 = sha256_of(made)
        temporary = self.store.blobs.temporary()
        shutil.copyfile(made, temporary)
        self.store.blobs.adopt(temporary, self.sha256)
        world.render(wanted)
        key = next(iter(world.results))
        world.results[key] = replace(world.results[key], blob=self.sha256)
        self.planned: PlannedJob = world.one(wanted)
        self.heard = Heard()
        self.beholder = Beholder(self.heard, self.store, self.inspection, [self.planned])

    @property
    def arrived(self) -> JobReport:
        """What a run reports of the result."""
        return JobReport(job=self.planned.job.id, state=JobState.DONE, sha256=self.sha256, warning="charged more")

    def tell(self) -> None:
        self.beholder.tell(Progress(event="job", job=self.planned.job.id, facts={"report": self.arrived}))

    def late(self) -> Beholder:
        """Who watches what an earlier run left."""
        missed = [Missed(self.planned, self.sha256, self.store.blobs.path(self.sha256))]
        return Beholder(self.heard, self.store, self.inspection, [self.planned], missed)

    def endless(self) -> None:
        """The film is a pipe that nobody writes to: watching it never ends."""
        path = self.store.blobs.path(self.sha256)
        path.unlink()
        os.mkfifo(path)

    def report(self, **stops: str) -> RunReport:
        report = RunReport(stops={Stop(name): text for name, text in stops.items()})
        report.jobs[self.planned.job.id] = self.arrived
        return report


def test_what_is_found_joins_what_the_run_said_and_is_remembered(tmp_path: Path) -> None:
    """The picture stands still while the clip moves; a second report of the same film looks at nothing again."""
    studio = Studio(tmp_path, [("moving", 1), ("still", 3)], [("moving", 4)])
    studio.tell()
    assert len(studio.heard.progress) == 1
    report = studio.report()
    asyncio.run(studio.beholder.finish(report))
    studio.beholder.close()
    said = report.jobs[studio.planned.job.id].warning
    assert said is not None
    assert said.startswith("charged more; frozen at 1.")
    known = known_warnings([studio.planned], studio.store.cache)
    assert known == {studio.planned.job.id: tuple(said.split("; ")[1:])}
    look = Progress(event="look", job=studio.planned.job.id, facts={"warnings": said.split("; ")[1:]})
    assert [progress for progress in studio.heard.progress if progress.event == "look"] == [look]
    studio.store.blobs.path(studio.sha256).unlink()  # nobody reads it again
    again = Beholder(studio.heard, studio.store, studio.inspection, [studio.planned])
    again.tell(Progress(event="job", facts={"report": studio.arrived}))
    second = studio.report()
    asyncio.run(again.finish(second))
    again.close()
    assert second.jobs == report.jobs
    studio.store.close()


def test_a_good_result_is_reported_as_it_was(tmp_path: Path) -> None:
    """Also where the clip holds the pose that the result holds."""
    studio = Studio(tmp_path, [("moving", 1), ("still", 3)], [("moving", 1), ("breathing", 3)])
    studio.tell()
    report = studio.report()
    asyncio.run(studio.beholder.finish(report))
    studio.beholder.close()
    assert report.jobs == {studio.planned.job.id: studio.arrived}
    assert known_warnings([studio.planned], studio.store.cache) == {}
    assert unwatched([studio.planned], studio.store.cache) == []
    assert [progress.event for progress in studio.heard.progress] == ["job"]
    studio.store.close()


@pytest.mark.parametrize("stop", ["interrupted", "superseded"])
@pytest.mark.parametrize("when", ["before", "while it waits"])
def test_who_leaves_waits_for_no_look(stop: str, when: str, tmp_path: Path) -> None:
    """Whoever pressed Ctrl-C wants to leave, a newer save wants to start; what was not seen is known as unseen."""
    studio = Studio(tmp_path, [("moving", 1), ("still", 2)], [("moving", 3)])
    studio.endless()
    studio.tell()
    report = studio.report(**({stop: "x"} if when == "before" else {}))

    async def run() -> None:
        waiting = asyncio.create_task(studio.beholder.finish(report))
        if when != "before":
            await asyncio.to_thread(wait_until, lambda: "note" in {each.event for each in studio.heard.progress})
            report.stops[Stop(stop)] = "x"
        await asyncio.wait_for(waiting, 30)

    asyncio.run(run())
    assert report.jobs == {studio.planned.job.id: studio.arrived}
    assert unwatched([studio.planned], studio.store.cache) == [studio.planned]
    studio.store.close()


def test_what_an_earlier_run_left_unwatched_is_made_up_for(tmp_path: Path) -> None:
    """By a run that has nothing to do with it; the job keeps its state, and nothing was paid."""
    studio = Studio(tmp_path, [("moving", 1), ("still", 3)], [("moving", 4)])
    assert unwatched([studio.planned], studio.store.cache) == [studio.planned]
    late = studio.late()
    report = RunReport()
    asyncio.run(late.finish(report))
    (job,) = report.jobs.values()
    assert (job.state, job.sha256, job.credits) == (JobState.UP_TO_DATE, studio.sha256, 0)
    assert job.warning is not None
    assert job.warning.startswith("frozen at 1.")
    assert unwatched([studio.planned], studio.store.cache) == []
    studio.store.close()


def test_old_films_hold_a_run_up_no_longer_than_they_may(tmp_path: Path) -> None:
    """The rest is said, and left to the next run."""
    studio = Studio(tmp_path, [("moving", 2)], [("moving", 2)])
    studio.endless()
    missed = [Missed(studio.planned, studio.sha256)] * 3
    late = Beholder(studio.heard, studio.store, studio.inspection, [studio.planned], missed, missed_s=0.0)
    report = RunReport(stops={})

    async def run() -> None:
        waiting = asyncio.create_task(late.finish(report))
        await asyncio.to_thread(wait_until, lambda: report.notices)
        report.stops[Stop.INTERRUPTED] = "the first one is still being watched"
        await asyncio.wait_for(waiting, 30)

    asyncio.run(run())
    assert report.jobs == {}
    assert report.notices == [
        "2 results of earlier runs were not watched to the end yet; the next `render` or `pull` goes on with that"
    ]
    studio.store.close()


def test_damaged_bytes_are_not_watched_for_the_whole_ones(tmp_path: Path) -> None:
    """What they show would be remembered of a result that may be had again whole."""
    studio = Studio(tmp_path, [("moving", 2)], [("moving", 2)])
    path = studio.store.blobs.path(studio.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    report = RunReport()
    asyncio.run(studio.late().finish(report))
    path.unlink()
    asyncio.run(studio.late().finish(report))
    assert (report.jobs, report.notices) == ({}, [])
    assert unwatched([studio.planned], studio.store.cache) == [studio.planned]
    studio.store.close()


def test_a_film_that_nobody_can_watch_is_said_to_be_one_and_not_tried_for_ever(tmp_path: Path) -> None:
    """A codec that is not known here, sound only: it is paid for and kept."""
    studio = Studio(tmp_path, [("moving", 1)], [("moving", 1)])
    studio.store.blobs.path(studio.sha256).write_bytes(b"no film at all")
    studio.tell()
    report = studio.report()
    asyncio.run(studio.beholder.finish(report))
    assert report.jobs[studio.planned.job.id].warning == f"charged more; {UNWATCHABLE}"
    assert unwatched([studio.planned], studio.store.cache) == []
    studio.store.close()


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.FAILED, JobState.UP_TO_DATE])
def test_only_what_arrives_is_watched(state: JobState, tmp_path: Path) -> None:
    """No thread and no child for a run without results."""
    studio = Studio(tmp_path, [("still", 2)], [("moving", 2)])
    report = replace(studio.arrived, state=state)
    studio.beholder.tell(Progress(event="job", facts={"report": report}))
    studio.beholder.tell(Progress(event="note", facts={"text": "x"}))
    whole = studio.report()
    asyncio.run(studio.beholder.finish(whole))
    studio.beholder.close()
    assert whole.jobs == {studio.planned.job.id: studio.arrived}
    studio.store.close()
