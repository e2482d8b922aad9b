"""Applies each mutant to a copy of the project and runs the tests that must notice it.

    python -m tests.mutants [NAME…]

Prints a line for each and exits with 0 only when every mutant was killed.
"""

from __future__ import annotations

import sys
import time

from tests.mutants.trial import mutants, outcome


def main(names: list[str]) -> int:
    """Try the named mutants, or all."""
    survivors = []
    for mutant in mutants():
        if names and mutant.name not in names:
            continue
        began = time.monotonic()
        killed, by = outcome(mutant)
        word = "killed  " if killed else "SURVIVED"
        print(f"{word}  {mutant.name}  ({time.monotonic() - began:.0f} s)  {by}", flush=True)
        survivors += [] if killed else [mutant.name]
    print(f"{len(survivors)} survived" + "".join(f"\n  {name}" for name in survivors))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
