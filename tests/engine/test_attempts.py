"""From a wanted result to its attempt and back: the store alone is enough to finish what was paid for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kling_render.engine.attempts import work_of
from tests.engine.studio import Bench, work

OWL = replace(work("owl"), duration_s=4.5)


@pytest.fixture
def bench(quick_path: Path) -> Bench:
    bench = Bench(quick_path / "store")
    bench.run([OWL])
    return bench


def test_an_attempt_says_everything_that_is_needed_to_publish_its_result(bench: Bench) -> None:
    """All but the request, which is never sent again, and the hold, which is booked."""
    (attempt,) = bench.attempts()
    assert work_of(attempt) == replace(OWL, request=None, hold=None)
    assert (attempt.account, attempt.hold, attempt.fingerprint) == ("acc", 100, OWL.key)


@pytest.mark.parametrize(("job", "take"), [("sc010/fox/t07", 7), ("sc010/fox", 1), ("sc010/fox/test", 1)])
def test_the_take_is_read_from_the_job(bench: Bench, job: str, take: int) -> None:
    """A name without a take is the first."""
    (attempt,) = bench.attempts()
    (target,) = work_of(replace(attempt, job=job)).targets
    assert (target.job, target.take) == (job, take)


def test_a_generation_that_no_job_is_known_for_is_published_nowhere(bench: Bench) -> None:
    """It is only kept in the store."""
    (attempt,) = bench.attempts()
    unattached = replace(attempt, folder="", manifest="")
    assert work_of(unattached).targets == ()
