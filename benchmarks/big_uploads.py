"""Eight submits at once of a clip of almost 100 MB: `python -m benchmarks.big_uploads [--jobs N] [--mb N]`.

Beside the tool runs what httpx does with `json=`: the whole body in memory, several times. The target: the tool's own
process stays under 200 MB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.processes import Cost, interleaved, machine, run, table, tool
from benchmarks.projects import clip, environment, image
from kling_render.sandbox.testing import Sandbox, running_sandbox

_RUNS = count()


def main() -> None:
    """A fresh store each round; the clip is made once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--mb", type=int, default=99, help="size of the clip in units of 1,000,000 bytes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=1)
    given = parser.parse_args()
    print(machine())
    print(f"{given.jobs} submits at once of a clip of {given.mb} MB, answers=canned")
    with tempfile.TemporaryDirectory() as temporary, running_sandbox(answers="canned", generation_seconds=0) as sandbox:
        folder = Path(temporary).resolve()
        (folder / "clips").mkdir()
        big = folder / "clips/big.mp4"
        clip(big, size=given.mb * 1_000_000)
        costs = interleaved({"kling-render": partial(render, folder, big, given.jobs, sandbox)}, given.rounds)
        costs |= interleaved(
            {"plain httpx, json=": partial(plain, folder, big, given.jobs, sandbox)}, given.peer_rounds
        )
    table("peak memory of the process", "MB", {name: [c.peak_mb for c in found] for name, found in costs.items()})
    table("CPU time", "s", {name: [c.cpu_s for c in found] for name, found in costs.items()})
    table("wall time", "s", {name: [c.wall_s for c in found] for name, found in costs.items()})


def render(folder: Path, big: Path, jobs: int, sandbox: Sandbox) -> Cost:
    """A whole `render` that sends one image per job with the same big clip."""
    project = folder / f"run{next(_RUNS)}"
    (project / "characters").mkdir(parents=True)
    (project / "clips").mkdir()
    (project / "clips/big.mp4").hardlink_to(big)
    for n in range(jobs):
        image(project / f"characters/c{n}.png", n)
    (project / "shotlist.yaml").write_text(
        "version: 1\ncharacters: {from: characters/*.png}\nmotions: {big: clips/big.mp4}\nshots: [{id: sc010}]\n",
        encoding="utf-8",
    )
    environ = environment(project, sandbox.url, poll_seconds=0.2)
    command = [*tool(), "render", "--yes", "--max-usd", "1000", "-q", "-j", str(jobs)]
    cost = run(command, environ=environ, cwd=project)
    assert len(list(project.glob("renders/takes/**/*.mp4"))) == jobs, cost.stdout
    return cost


def plain(folder: Path, big: Path, jobs: int, sandbox: Sandbox) -> Cost:
    """The same requests by the plain loop."""
    project = folder / f"plain{next(_RUNS)}"
    (project / "characters").mkdir(parents=True)
    (project / "clips").mkdir()
    (project / "clips/big.mp4").hardlink_to(big)
    for n in range(jobs):
        image(project / f"characters/c{n}.png", n)
    command = [sys.executable, "-m", "benchmarks.plain_loop", sandbox.url, str(project), str(jobs), "0.2"]
    return run(command, cwd=Path(__file__).parents[1])


if __name__ == "__main__":
    main()
