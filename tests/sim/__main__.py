"""`python -m tests.sim`: many seeds, or one of them told step by step."""

from __future__ import annotations

import argparse
import gc
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.sim.exhaustive import SCENARIOS, by_name, stories
from tests.sim.story import Outcome, play

_MEMORY = Path("/dev/shm")  # a folder in memory: thousands of stores are written, and power is not cut


def scratch() -> Path:
    """A fresh folder, in memory where there is one."""
    return Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None, prefix="kling-render-sim-"))


def replay(seed: str) -> str:
    """The command that tells a seed's story again."""
    return f"python -m tests.sim --seed {seed} --trace"


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", help="this seed alone")
    parser.add_argument("--trace", action="store_true", help="print every step of --seed")
    parser.add_argument("--every-crash", action="store_true", help="small stories, with a crash at every step")
    parser.add_argument("--pairs", action="store_true", help="and at every step of the recovery after each of them")
    parser.add_argument("--share", type=float, default=1.0, help="of the pairs, try this share")
    parser.add_argument("--scenario", help="of the small stories, this one alone")
    parser.add_argument("--order", type=int, default=0, help="which interleaving of the small stories")
    parser.add_argument("--keep-going", action="store_true", help="do not end at the first failing seed")
    chosen = parser.parse_args(arguments)
    folder = scratch()
    try:
        return _run(_outcomes(chosen, folder / "world"), trace=chosen.trace, keep_going=chosen.keep_going)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _outcomes(chosen: argparse.Namespace, folder: Path) -> Iterator[Outcome]:
    if chosen.seed:
        yield (by_name if ":" in chosen.seed else play)(chosen.seed, folder)
    elif chosen.every_crash:
        for scenario in SCENARIOS:
            if chosen.scenario in (None, scenario.name):
                yield from stories(scenario, folder, pairs=chosen.pairs, order=chosen.order, share=chosen.share)
    else:
        for number in range(chosen.first, chosen.first + chosen.seeds):
            yield play(str(number), folder)


def _run(outcomes: Iterator[Outcome], *, trace: bool, keep_going: bool) -> int:
    failed = number = 0
    steps = checks = kills = 0
    seconds = 0.0
    begun = time.monotonic()
    for number, outcome in enumerate(outcomes, start=1):
        steps, checks, kills = steps + outcome.steps, checks + outcome.checks, kills + outcome.kills
        seconds += outcome.seconds
        if trace:
            sys.stdout.write(outcome.text)
        if outcome.violation is not None:
            failed += 1
            report(outcome)
            if not keep_going:
                break
        if number % 100 == 0:
            gc.collect()
        if number % 1_000 == 0:
            rate = number / (time.monotonic() - begun)
            sys.stdout.write(f"{number} seeds, {failed} failed, {rate:.1f} a second\n")
            sys.stdout.flush()
    took = max(time.monotonic() - begun, 1e-9)
    sys.stdout.write(
        f"{number} seeds, {failed} failed; {kills} kills, {steps} steps, {checks} checks after commits, "
        f"{seconds / 3600:.0f} virtual hours in {took:.1f} s ({number / took:.1f} seeds a second)\n"
    )
    return 1 if failed else 0


def report(outcome: Outcome) -> None:
    """A failing seed names itself, the promise, and the command that replays it."""
    sys.stdout.write(f"seed {outcome.seed} FAILED: {outcome.violation}\n  replay: {replay(outcome.seed)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
