"""`plan` and a no-op `render` of 10,000 jobs: `python -m benchmarks.planning [FOLDER] [--rounds N]`.

200 input files, the stat cache warm. Once with everything to render, once with everything up to date, once with a line
of the prompt's template edited since, so that every prompt is held against the earlier one; each with a prompt that
prints names (`plain`) and with one that has a filter and conditions (`logic`). Target: under one second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.processes import Cost, interleaved, machine, run, table, tool
from benchmarks.projects import PLAIN, TEMPLATE, environment, fill, matrix_project


def main() -> None:
    """Make both projects once, then measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        measured = {"python -c pass": lambda: run([sys.executable, "-c", "pass"])}
        for kind, prompt in (("plain", PLAIN), ("logic", TEMPLATE)):
            new, done, edited = (folder / f"{state}-{kind}" for state in ("new", "done", "edited"))
            for project in (new, done, edited):
                if not (project / "shotlist.yaml").exists():
                    matrix_project(project, prompt=prompt)
                    plan(project)  # reads every input once
            for project in (done, edited):
                if not (project / "renders").exists():
                    fill(project, environment(project))
            template = edited / "prompts/scene.j2"
            template.write_text(prompt.replace("by hand", "on a tripod"), encoding="utf-8")
            measured |= {
                f"plan, all to render, {kind}": partial(plan, new),
                f"plan --json, all to render, {kind}": partial(plan, new, "--json"),
                f"plan, all prompts edited, {kind}": partial(plan, edited),
                f"plan, all up to date, {kind}": partial(plan, done),
                f"render, nothing to do, {kind}": partial(plan, done, command="render"),
            }
        print(machine())
        costs = interleaved(measured, given.rounds)
        table("wall time", "s", {name: [c.wall_s for c in found] for name, found in costs.items()})
        table("CPU time", "s", {name: [c.cpu_s for c in found] for name, found in costs.items()})
        table("peak memory", "MB", {name: [c.peak_mb for c in found] for name, found in costs.items()})


def plan(project: Path, *options: str, command: str = "plan") -> Cost:
    """One whole process; offline, since a price look-up would measure somebody else's server."""
    return run([*tool(), command, "--offline", *options], environ=environment(project), cwd=project)


if __name__ == "__main__":
    main()
