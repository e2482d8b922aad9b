"""What watching costs: `python -m benchmarks.watching [--files N ...] [--saves N] [--idle SECONDS]`.

Start, idle CPU, from a save to its batch with the settle time at its minimum, and a burst of saves: how many batches
it makes. Figures are of the watch alone, without the plan that follows a batch.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.processes import machine, table
from kling_render.disk.project_files import DiskFiles
from kling_render.watch.batches import InputWatch
from kling_render.watch.scope import RecordedFiles, Scope
from kling_render.workspace.times import SystemClock

SETTLE_S = 0.02
_PER_FOLDER = 100


def main() -> None:
    """Each size in turn, in a folder of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--saves", type=int, default=50)
    parser.add_argument("--idle", type=float, default=130.0, help="seconds; more than two full looks are made in these")
    parser.add_argument("--polling", type=float, default=None, help="look every so many seconds instead")
    given = parser.parse_args()
    print(machine())
    for count in given.files:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary).resolve()
            files = make(folder, count)
            asyncio.run(measure(folder, files, given.saves, given.idle, given.polling))


def make(folder: Path, count: int) -> list[Path]:
    """Small files in folders of a hundred."""
    files = [folder / f"clips/s{n // _PER_FOLDER:03d}/m{n:05d}.mp4" for n in range(count)]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"clip")
    return files


def scope_of(folder: Path) -> Scope:
    """What a plan with a glob over everything would have looked at."""
    recorded = RecordedFiles(DiskFiles())
    for file in recorded.glob(folder, "clips/**/*.mp4"):
        recorded.kind(recorded.resolve(file))
    return recorded.scope()


async def measure(folder: Path, files: list[Path], saves: int, idle_s: float, polling_s: float | None) -> None:
    """One watch from its start to its end."""
    scope = scope_of(folder)
    watch = InputWatch(SystemClock(), settle_s=SETTLE_S, polling_s=polling_s, ignored=lambda _path: False)
    start = time.perf_counter()
    watch.look_at(scope)
    started = time.perf_counter() - start
    start = time.perf_counter()
    watch.look_at(Scope(scope.files | {folder / "new.png"}, scope.folders))
    again = time.perf_counter() - start
    print(f"\n{len(files):,} files in {len(scope.folders)} folders, {watch.watched.how}")
    print(f"  start {started:.3f} s; one file more {again:.3f} s")
    if watch.watched.how == "native":
        rows = {name: await _saves(watch, files, how, saves) for name, how in _SAVES.items()}
        table("save to batch, over the settle time of 20 ms", "ms", rows)
        for name, found in rows.items():
            print(f"  {name}: p95 {statistics.quantiles(found, n=20)[-1]:.2f} ms")
    print(f"  1,000 saves in 10 s: {await _burst(watch, files, 1 + 4 * (polling_s or 0))} batches")
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.sleep(idle_s)
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    print(f"  idle for {idle_s:g} s: {share:.3%} of a core")
    watch.close()


async def _saves(watch: InputWatch, files: list[Path], save: Callable[[Path], None], count: int) -> list[float]:
    found = []
    for n in range(count):
        start = time.perf_counter()
        save(files[n * 37 % len(files)])
        await watch.next()
        found.append((time.perf_counter() - start - SETTLE_S) * 1000)
    return found


def _plain(file: Path) -> None:
    file.write_bytes(b"saved")


def _atomic(file: Path) -> None:
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_bytes(b"saved")
    temporary.replace(file)


def _vim(file: Path) -> None:
    backup = file.with_name(f"{file.name}~")
    file.rename(backup)
    file.write_bytes(b"saved")
    backup.unlink()


_SAVES = {"plain save": _plain, "atomic save": _atomic, "save with a backup, as vim": _vim}


async def _burst(watch: InputWatch, files: list[Path], drain_s: float) -> int:
    """A hundred saves a second for ten seconds, over and over the same ten files; all is drained after that."""
    batches = 0

    async def count() -> None:
        nonlocal batches
        while True:
            await watch.next()
            batches += 1

    counting = asyncio.ensure_future(count())
    for n in range(1_000):
        files[n % 10].write_bytes(os.urandom(16))
        await asyncio.sleep(0.01)
    await asyncio.sleep(drain_s)
    counting.cancel()
    return batches


if __name__ == "__main__":
    main()
