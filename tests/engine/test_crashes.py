"""A process that dies at any step, of a run or of its recovery: nothing paid twice, nothing paid for lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from kling_render.engine.work import Options
from tests.engine.studio import Bench, work

FOX, CAT = work("fox"), work("cat")
BOTH = [FOX, CAT]
PATIENT = Options(poll_s=15.0, wait_doubts=True)


def _steps(quick_path: Path, script: list[str]) -> int:
    bench = Bench(quick_path / "count")
    bench.api.script = list(script)
    return bench.steps(BOTH)


@pytest.mark.parametrize("script", [["ok"], ["lost"], ["5xx-id"], ["drop"], ["limited"]], ids=lambda s: s[0])
def test_a_crash_at_any_step_is_recovered(quick_path: Path, script: list[str]) -> None:
    """Killed at each step (with faults: each third), then run to the end: every result is there, accepted once."""
    every = 1 if script == ["ok"] else 3
    for at in range(1, _steps(quick_path, script) + 1, every):
        bench = Bench(quick_path / str(at))
        bench.api.script = list(script)
        bench.run(BOTH, crash_at=at)  # threads may save a step: the last one need not come
        report = bench.run(BOTH, PATIENT)
        assert report is not None
        assert report.exit_code == 0, (at, report)
        bench.sound(BOTH)


def test_a_crash_at_any_step_of_the_recovery_is_recovered(quick_path: Path) -> None:
    """Recovering twice is recovering once."""
    script = ["lost", "5xx"]
    for first in (9, 12, 15, 18):
        for second in range(1, 24, 4):
            bench = Bench(quick_path / f"{first}-{second}")
            bench.api.script = list(script)
            bench.run(BOTH, crash_at=first)
            bench.run(BOTH, PATIENT, crash_at=second)
            report = bench.run(BOTH, PATIENT)
            assert report is not None
            assert report.exit_code == 0, (first, second, report)
            bench.sound(BOTH)


def test_a_crash_behind_a_slow_log_waits_and_pays_once(quick_path: Path) -> None:
    """The log shows requests only an hour after they ended; until then nobody pays again."""
    for at in range(6, 20, 2):
        bench = Bench(quick_path / str(at))
        bench.api.script, bench.api.lists_running, bench.api.log_lag_s = ["lost"], False, 3600.0
        bench.run(BOTH, crash_at=at)
        report = bench.run(BOTH, PATIENT)
        assert report is not None
        assert report.exit_code == 0, (at, report)
        bench.sound(BOTH)


def test_an_id_survives_a_disk_that_is_full(quick_path: Path) -> None:
    """The ledger refuses the acceptance; the spool keeps the id; the next run records it and pays nothing."""
    bench = Bench(quick_path / "store")
    report = bench.run([FOX], full=lambda: bool(bench.api.generations))
    assert report is not None
    assert report.exit_code == 7
    assert any("gen1" in message for message in report.stops.values())
    bench.api.log_works = False  # the spool alone has to do
    again = bench.run([FOX])
    assert again is not None
    assert again.exit_code == 0, again
    bench.sound([FOX])


def test_an_id_that_came_with_a_doubt_is_shown_when_the_disk_is_full(quick_path: Path) -> None:
    """It proves nothing, so the spool does not keep it; the user can look it up."""
    bench = Bench(quick_path / "store")
    bench.api.script = ["5xx-id"]
    report = bench.run([FOX], full=lambda: bool(bench.api.generations))
    assert report is not None
    assert report.exit_code == 7
    assert any("may have been accepted as gen1" in message for message in report.stops.values())
    again = bench.run([FOX])
    assert again is not None
    assert again.exit_code == 0
    bench.sound([FOX])


def test_a_full_disk_before_the_intent_sends_nothing(quick_path: Path) -> None:
    """The intent cannot be written: no byte leaves."""
    bench = Bench(quick_path / "store")
    report = bench.run([FOX], full=lambda: True)
    assert report is not None
    assert (report.exit_code, bench.api.submits) == (7, [])
