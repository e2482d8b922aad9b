"""How long 10,000 jobs take to expand, prompts and paths rendered: `python -m benchmarks.expand`.

Prints the median CPU time in milliseconds for three prompts: one that only prints fields, one that needs Jinja2,
and one with path templates that need it too. The budget is 600 ms.
"""

from __future__ import annotations

import gc
import statistics
import time
from pathlib import Path

from kling_render.disk.project_files import DiskFiles
from kling_render.shotlist.declarations import Declarations
from kling_render.shotlist.expand import expand
from tests.shotlist.build import FINAL, TAKES, character, motion, project, shot

PLAIN = "{{ character.name }} {{ motion.verb }} {{ place }} in {{ city }}"
JINJA = (
    "{{ character.name|title }} {{ motion.verb }}{% if place %} {{ place }}{% endif %} in {{ city }}, take {{ take }}"
)
FILTERED = "{{ shot|lower }}/{{ character }}/{{ motion }}{{ variant }}"


def declared(prompt: str, takes: str = TAKES, final: str = FINAL) -> Declarations:
    """25 characters x 50 motions x 4 places x 2 takes."""
    one = shot(prompt=prompt, matrix={"place": {f"p{n}": f"at place {n}" for n in range(4)}}, takes=2)
    return project(
        one,
        characters=[character(f"c{n}", f"character {n}") for n in range(25)],
        motions=[motion(f"m{n}", verb=f"does {n}") for n in range(50)],
        takes=takes,
        final=final,
        city="Lisbon",
    )


def measure(what: Declarations, rounds: int = 5) -> tuple[int, float]:
    """Jobs, and the median of the CPU time in milliseconds."""
    times = []
    jobs = 0
    for _ in range(rounds):
        gc.collect()
        start = time.process_time()
        found = expand(what, files=DiskFiles(), shown=Path.as_posix)
        times.append((time.process_time() - start) * 1000)
        assert found.project is not None, found.diagnostics
        jobs = len(found.project.jobs)
    return jobs, statistics.median(times)


def main() -> None:
    """Print one line per case."""
    cases = {
        "plain prompt": declared(PLAIN),
        "jinja prompt": declared(JINJA),
        "jinja prompt and paths": declared(JINJA, FILTERED + "_t{{ take }}.mp4", FILTERED + ".mp4"),
    }
    for name, case in cases.items():
        jobs, milliseconds = measure(case)
        print(f"{name}: {jobs:,} jobs, {milliseconds:.0f} ms")


if __name__ == "__main__":
    main()
