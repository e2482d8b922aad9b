"""1,000 jobs against the local API without latency: `python -m benchmarks.thousand_jobs [--jobs N] [-j N]`.

Beside the tool runs a plain httpx loop that makes the same calls (submit, poll, download) and keeps no books. The
targets: under 20 ms of CPU time per job (the process and its children), under 150 MB, no thread per job.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.processes import Cost, interleaved, machine, run, table, tool
from benchmarks.projects import environment, matrix_project
from kling_render.sandbox.testing import Sandbox, running_sandbox

_RUNS = count()


def main() -> None:
    """Each round is a fresh store and a fresh account."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=1000, help="a multiple of 10")
    parser.add_argument("-j", dest="at_once", type=int, nargs="*", default=[32, 1000])
    parser.add_argument("--poll", type=float, default=0.05, help="KLING_RENDER_POLL_SECONDS")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(machine())
    print(f"{given.jobs} jobs, KLING_RENDER_POLL_SECONDS={given.poll}, generation_seconds=0, answers=canned")
    with tempfile.TemporaryDirectory() as temporary, running_sandbox(**_SANDBOX) as sandbox:
        folder = Path(temporary).resolve()
        peers = {
            f"kling-render -j {n}": partial(render, folder, given.jobs, n, given.poll, sandbox) for n in given.at_once
        }
        peers |= {
            f"plain httpx loop, {n} at once": partial(loop, folder, given.jobs, n, given.poll, sandbox)
            for n in given.at_once
        }
        render(folder, 10, 1, given.poll, sandbox)  # the local API makes its film once: nobody else waits for that
        costs = interleaved(peers, given.rounds)
    each = 1000 / given.jobs
    table("CPU time per job", "ms", {name: [c.cpu_s * each for c in found] for name, found in costs.items()})
    table("wall time per job", "ms", {name: [c.wall_s * each for c in found] for name, found in costs.items()})
    table("peak memory of the process", "MB", {name: [c.peak_mb for c in found] for name, found in costs.items()})
    table("threads", "most at once", {name: [float(c.threads) for c in found] for name, found in costs.items()})


_SANDBOX = {"answers": "canned", "generation_seconds": 0, "queued_seconds": 0, "balance_usd": 1_000_000}


def render(folder: Path, jobs: int, at_once: int, poll_s: float, sandbox: Sandbox) -> Cost:
    """A whole `render` in a project of its own, planned once before so that the inputs are known."""
    project = matrix_project(folder / f"run{next(_RUNS)}", 10, jobs // 10)
    environ = environment(project, sandbox.url, poll_seconds=poll_s)
    run([*tool(), "plan"], environ=environ, cwd=project)
    command = [*tool(), "render", "--yes", "--max-usd", "100000", "-q", "-j", str(at_once)]
    cost = run(command, environ=environ, cwd=project)
    assert len(list(project.glob("renders/takes/**/*.mp4"))) == jobs, cost.stdout
    return cost


def loop(folder: Path, jobs: int, at_once: int, poll_s: float, sandbox: Sandbox) -> Cost:
    """The same calls without books, checks and output tree."""
    project = matrix_project(folder / f"loop{next(_RUNS)}", 10, jobs // 10)
    command = [sys.executable, "-m", "benchmarks.plain_loop", sandbox.url, str(project), str(at_once), str(poll_s)]
    return run(command, cwd=Path(__file__).parents[1])


if __name__ == "__main__":
    main()
