"""Claim: results are watched beside the run, what is found reaches the report, and nobody who leaves has to wait."""

from __future__ import annotations

import shutil
import time
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
from kling_render.workspace.results.beholding import Beholder
from kling_render.workspace.results.looks import known_warnings
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
    studio.beholder.add_to(report)
    studio.beholder.close()
    said = report.jobs[studio.planned.job.id].warning
    assert said is not None
    assert said.startswith("charged more; frozen at 1.")
    known = known_warnings([studio.planned], studio.store.cache)
    assert known == {studio.planned.job.id: tuple(said.split("; ")[1:])}
    studio.store.blobs.path(studio.sha256).unlink()  # nobody reads it again
    again = Beholder(studio.heard, studio.store, studio.inspection, [studio.planned])
    again.tell(Progress(event="job", facts={"report": studio.arrived}))
    second = studio.report()
    again.add_to(second)
    again.close()
    assert second.jobs == report.jobs
    studio.store.close()


def test_a_good_result_is_reported_as_it_was(tmp_path: Path) -> None:
    """Also where the clip holds the pose that the result holds."""
    studio = Studio(tmp_path, [("moving", 1), ("still", 3)], [("moving", 1), ("breathing", 3)])
    studio.tell()
    report = studio.report()
    studio.beholder.add_to(report)
    studio.beholder.close()
    assert report.jobs == {studio.planned.job.id: studio.arrived}
    assert known_warnings([studio.planned], studio.store.cache) == {}
    studio.store.close()


def test_an_interrupted_run_waits_for_no_look(tmp_path: Path) -> None:
    """Whoever pressed Ctrl-C wants to leave; the result is looked at another time."""
    studio = Studio(tmp_path, [("still", 4)], [("moving", 4)])
    studio.tell()
    report = studio.report(interrupted="interrupted")
    began = time.monotonic()
    studio.beholder.add_to(report)
    studio.beholder.close()
    assert time.monotonic() - began < 5
    studio.store.close()


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.FAILED, JobState.UP_TO_DATE])
def test_only_what_arrives_is_watched(state: JobState, tmp_path: Path) -> None:
    """No thread and no child for a run without results."""
    studio = Studio(tmp_path, [("still", 2)], [("moving", 2)])
    report = replace(studio.arrived, state=state)
    studio.beholder.tell(Progress(event="job", facts={"report": report}))
    studio.beholder.tell(Progress(event="note", facts={"text": "x"}))
    whole = studio.report()
    studio.beholder.add_to(whole)
    studio.beholder.close()
    assert whole.jobs == {studio.planned.job.id: studio.arrived}
    studio.store.close()
