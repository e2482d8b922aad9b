"""From a save to its request: `python -m benchmarks.saving [--saves N] [--jobs N]`.

`kling-render watch` on a project of 1,024 jobs that are all done, with the settle time at its minimum and no hold. Each
save edits the prompt of one job; the time counts from the write to the request's arrival at the local API. The first
save of the session, which imports what a run needs, is left out. Beside it, as the floor: the same request by a plain
httpx client, connection standing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.processes import machine, table, tool
from benchmarks.projects import PLAIN, environment, fill, matrix_project
from kling_render.sandbox.testing import Sandbox, running_sandbox

SETTLE_S = 0.02
_SANDBOX = {"answers": "canned", "generation_seconds": 0, "queued_seconds": 0, "balance_usd": 1_000_000}


def main() -> None:
    """One session, so many saves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--saves", type=int, default=40)
    parser.add_argument("--side", type=int, default=32, help="characters, and motions; 32 are 1,024 jobs")
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as temporary, running_sandbox(**_SANDBOX) as sandbox:
        folder = Path(temporary).resolve()
        project = matrix_project(folder / "film", given.side, given.side, prompt=PLAIN)
        with (project / "shotlist.yaml").open("a", encoding="utf-8") as file:
            file.write("  - {id: sc999, cast: {c000: m000}, prompt_file: prompts/one.j2}\n")
            file.write(f"watch: {{settle_seconds: {SETTLE_S}, hold_seconds: 0}}\n")
        (project / "prompts/one.j2").write_text("take 0", encoding="utf-8")
        environ = environment(project, sandbox.url, poll_seconds=0.05, watch_per_hour_usd=100_000)
        fill(project, environ)
        found = saves(project, environ, sandbox, given.saves)
        floor = [plain(sandbox.url, n) for n in range(given.saves)]
    rows = {"save to request, over the settle time": found, "the request alone, plain httpx": floor}
    table(f"{given.side**2 + 1:,} jobs, settle time {SETTLE_S * 1000:.0f} ms", "ms", rows)
    print(f"  p95 {statistics.quantiles(found, n=20)[-1]:.0f} ms over the settle time; target 300 ms")


def saves(project: Path, environ: dict[str, str], sandbox: Sandbox, count: int) -> list[float]:
    """Milliseconds from each write to the arrival of its request, the settle time taken off."""
    log = project.parent / "events.jsonl"
    command = [*tool(), "watch", "--yes", "--max-usd", "100000", "-q", "--events", str(log)]
    with subprocess.Popen(command, cwd=project, env=os.environ | environ, stderr=subprocess.DEVNULL) as session:
        try:
            while not (log.exists() and '"planned"' in log.read_text()):
                time.sleep(0.2)
            time.sleep(1.0)  # it watches
            found = []
            for n in range(1, count + 2):
                written = time.time()
                (project / "prompts/one.j2").write_text(f"take {n}", encoding="utf-8")
                found.append((_arrival(sandbox, n) - written - SETTLE_S) * 1000)
                time.sleep(0.7)  # its result is fetched and published
            return found[1:]  # the first one imports what a run needs
        finally:
            session.terminate()


def _arrival(sandbox: Sandbox, number: int) -> float:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        submits = sandbox.books()["submits"]
        if len(submits) >= number:
            return float(submits[number - 1]["at"])
        time.sleep(0.02)
    raise SystemExit(f"save {number} led to no request")


def plain(url: str, number: int) -> float:
    """Milliseconds of one refused request of the same size."""
    with httpx.Client(base_url=url) as client:
        client.get("/v2/billing")
        start = time.perf_counter()
        client.post("/v2/video/generations", json={"prompt": f"take {number}", "image_url": "x" * 4000})
        return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
