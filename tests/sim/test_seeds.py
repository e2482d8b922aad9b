"""Thousands of stories of faults, deaths and recoveries; each is decided by its seed alone."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.__main__ import replay
from tests.sim.story import play

_PORTION = 50
_PORTIONS = 40


@pytest.mark.parametrize("first", range(0, _PORTION * _PORTIONS, _PORTION))
def test_every_promise_holds_in_every_story(memory: Path, first: int) -> None:
    """Paid once, known to the store, complete or absent, within the budget, and done in the end."""
    for seed in range(first, first + _PORTION):
        outcome = play(str(seed), memory / "world")
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}; replay: {replay(str(seed))}"
    gc.collect()


def test_a_seed_tells_the_same_story_twice(memory: Path) -> None:
    """Byte for byte, in one interpreter."""
    for seed in ("3", "8", "11"):
        first, again = (play(seed, memory / "world").text for _ in range(2))
        assert first == again
        assert first.count("\n") > 100


def test_another_interpreter_tells_the_same_story(memory: Path) -> None:
    """Whatever order its sets and dictionaries are in."""
    here = "".join(play(seed, memory / "world").text for seed in ("14", "22"))
    script = (
        "import hashlib, pathlib, sys; from tests.sim.story import play; "
        "text = ''.join(play(seed, pathlib.Path(sys.argv[1])).text for seed in ('14', '22')); "
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    for order in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", script, str(memory / "other")],
            env={**os.environ, "PYTHONHASHSEED": order},
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        assert there.stdout.strip() == hashlib.sha256(here.encode()).hexdigest(), order
