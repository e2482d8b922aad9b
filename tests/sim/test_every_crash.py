"""Small stories in which a program dies at a step, and the one that recovers may die as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim.__main__ import replay
from tests.sim.exhaustive import SCENARIOS, Scenario, stories


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_crash_at_any_step_comes_right(memory: Path, scenario: Scenario) -> None:
    """At each third step of the run, and at some steps of the recovery after it; the command tries all of them."""
    for outcome in stories(scenario, memory / "world", pairs=True, share=0.01, every=3):
        assert outcome.violation is None, f"{outcome.seed}: {outcome.violation}; replay: {replay(outcome.seed)}"
