"""Looks at many inputs, cold and warm: `python -m benchmarks.probing [--pictures N] [--clips N] [--rounds N]`.

Measured is a whole `kling-render plan --provider previz`: reading the list, hashing and probing every input, planning
one job for each. Cold is an empty store, warm the same command again. Memory is that of the process and all its
children together, shared pages counted once (PSS), which needs Linux. The target: under 300 MB, and no child when warm.
"""

from __future__ import annotations

import argparse
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import machine, table, tool
from benchmarks.projects import environment

_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class _Run:
    wall_s: float
    peak_mb: float
    children: int


def main() -> None:
    """Each round begins with an empty store."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=900)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        size = project(folder, given.pictures, given.clips)
        print(f"{given.pictures} pictures and {given.clips} clips, {size / 1e6:.0f} MB")
        runs: dict[str, list[_Run]] = {"cold": [], "warm": []}
        for _ in range(given.rounds):
            shutil.rmtree(folder / "store", ignore_errors=True)
            runs["cold"].append(_plan(folder))
            _plan(folder)
            runs["warm"].append(_plan(folder))
    table("wall time", "s", {name: [one.wall_s for one in found] for name, found in runs.items()})
    table("peak memory with children", "MB", {name: [one.peak_mb for one in found] for name, found in runs.items()})
    table("children", "", {name: [float(one.children) for one in found] for name, found in runs.items()})


def project(folder: Path, pictures: int, clips: int) -> int:
    """A project whose every input is a file of its own content; returns their bytes."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.media import makers

    photo = makers.picture(folder / "photo.jpg", (2000, 2600), "JPEG", quality=92).read_bytes()
    clip = makers.clip(folder / "clip.mp4", 4.0, size=(640, 360)).read_bytes()
    for name in ("characters", "clips"):
        (folder / name).mkdir()
    total = 0
    for number in range(pictures):
        note = f"number {number}".encode()
        data = photo[:2] + b"\xff\xfe" + struct.pack(">H", len(note) + 2) + note + photo[2:]
        total += (folder / "characters" / f"c{number}.jpg").write_bytes(data)
    for number in range(clips):
        note = f"number {number:9}".encode()
        total += (folder / "clips" / f"m{number}.mp4").write_bytes(
            clip + struct.pack(">I4s", 8 + len(note), b"free") + note
        )
    (folder / "shotlist.yaml").write_text(
        "version: 1\nproject: many\ncharacters: {from: 'characters/*.jpg'}\nmotions: {from: 'clips/*.mp4'}\n"
        "shots:\n- {id: a, motions: m0}\n- {id: b, characters: c0, motions: 'm[1-9]*'}\n"
    )
    return total


def _plan(folder: Path) -> _Run:
    environ = {**os.environ, **environment(folder)}
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
        environ.pop(name, None)
    start = time.perf_counter()
    command = [*tool(), "plan", "--provider", "previz", "-q"]
    with (folder / "out.txt").open("wb") as out:
        process = subprocess.Popen(command, env=environ, cwd=folder, stdout=out)
        peak, seen = 0.0, set[int]()
        while process.poll() is None:
            tree = _tree(process.pid)
            seen |= tree - {process.pid}
            peak = max(peak, sum(map(_pss, tree)))
            time.sleep(_LOOK_S)
    if process.returncode:
        raise SystemExit((folder / "out.txt").read_text())
    return _Run(time.perf_counter() - start, peak / 1e6, len(seen))


def _tree(root: int) -> set[int]:
    """A process and all that it started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
    tree, before = {root}, 0
    while len(tree) > before:
        before = len(tree)
        tree |= {pid for pid, parent in parents.items() if parent in tree}
    return tree


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()
