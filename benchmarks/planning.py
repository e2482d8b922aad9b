"""`plan` and a no-op `render` of 10,000 jobs: `python -m benchmarks.planning [FOLDER] [--rounds N]`.

200 input files, a template prompt, the stat cache warm. Once with everything to render, once with everything up to
date. The targets: each under one second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.processes import Cost, interleaved, machine, run, table, tool
from benchmarks.projects import environment, fill, matrix_project


def main() -> None:
    """Make both projects once, then measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        new, done = folder / "new", folder / "done"
        for project in (new, done):
            if not (project / "shotlist.yaml").exists():
                matrix_project(project)
                plan(project)  # reads every input once
        if not (done / "renders").exists():
            fill(done, environment(done))
        print(machine())
        costs = interleaved(
            {
                "python -c pass": lambda: run([sys.executable, "-c", "pass"]),
                "plan, all to render": partial(plan, new),
                "plan, all up to date": partial(plan, done),
                "plan --json, all to render": partial(plan, new, "--json"),
                "plan --json, all up to date": partial(plan, done, "--json"),
                "render, nothing to do": partial(plan, done, command="render"),
            },
            given.rounds,
        )
        table("wall time", "s", {name: [c.wall_s for c in found] for name, found in costs.items()})
        table("CPU time", "s", {name: [c.cpu_s for c in found] for name, found in costs.items()})
        table("peak memory", "MB", {name: [c.peak_mb for c in found] for name, found in costs.items()})


def plan(project: Path, *options: str, command: str = "plan") -> Cost:
    """One whole process; offline, since a price look-up would measure somebody else's server."""
    return run([*tool(), command, "--offline", *options], environ=environment(project), cwd=project)


if __name__ == "__main__":
    main()
