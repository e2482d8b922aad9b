"""What a run of watch mode came to."""

from __future__ import annotations

from pathlib import Path

import pytest

from kling_render.engine.work import JobReport, JobState, RunReport, Target, Work
from kling_render.workspace.live.run_outcome import is_dearer

FOLDER = Path("/project")
TARGET = Target(
    job="sc010/fox/wave/t01",
    take=1,
    output=FOLDER / "t.mp4",
    final=FOLDER / "f.mp4",
    root=FOLDER,
    project="p",
    folder=FOLDER,
)


@pytest.mark.parametrize(
    ("hold", "charged", "dearer"),
    [(100, 101, True), (100, 100, False), (100, 40, False), (100, None, False), (None, 500, False), (0, 500, False)],
)
def test_a_charge_above_its_hold_is_noticed(hold: int | None, charged: int | None, dearer: bool) -> None:
    """Then prices are asked for again before the next save is judged; an unknown price was never believed."""
    work = Work(key="k", manifest="{}", targets=(TARGET,), hold=hold)
    job = JobReport(job=TARGET.job, state=JobState.DONE, credits=charged)
    assert is_dearer(RunReport(run="r", jobs={TARGET.job: job}), {"k": work}) is dearer
