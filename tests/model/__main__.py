"""The model check with larger bounds: `python -m tests.model`. A violation ends it with 1 and a trace."""

from __future__ import annotations

import sys
import time

from tests.model.checker import check
from tests.model.protocol import Bounds, Protocol

RUNS = {
    "2 processes, 2 crashes, 1 job, the user may pay twice once": Bounds(),
    "2 processes, any number of crashes, 1 job, the user may pay twice once": Bounds(crashes=None),
    "2 processes, 2 crashes, 2 jobs under a cap for one": Bounds(jobs=2, cap=1),
    "2 processes, any number of crashes, 2 jobs under a cap for one": Bounds(jobs=2, cap=1, crashes=None),
    "2 processes, any number of crashes, 2 jobs": Bounds(jobs=2, crashes=None, decisions=0),
    "3 processes, any number of crashes, 1 job": Bounds(processes=3, crashes=None, decisions=0),
    "3 processes, any number of crashes, 2 jobs under a cap for one": Bounds(
        processes=3, jobs=2, cap=1, crashes=None, decisions=0
    ),
}


def main() -> int:
    """Run every bound; 0 when all of them hold."""
    states = 0
    for name, bounds in RUNS.items():
        began = time.perf_counter()
        found = check(Protocol(bounds))
        states += found.states
        took = time.perf_counter() - began
        print(f"{name}: {found.states:,} states, {found.moves:,} moves, depth {found.depth}, {took:.0f} s", flush=True)
        if found.violation is not None:
            print(found.violation)
            return 1
    print(f"all hold: {states:,} states")
    return 0


if __name__ == "__main__":
    sys.exit(main())
