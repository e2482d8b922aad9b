"""Runs whole processes and says what they cost: wall and CPU time, and the peak memory of the process itself."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_S = 0.01


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process cost."""

    wall_s: float
    #: User and system time of the process and of all children it waited for.
    cpu_s: float
    #: Highest resident memory of the process alone, without its children, in MB (1,000,000 bytes).
    peak_mb: float
    #: Most threads seen at once.
    threads: int
    returncode: int
    stdout: str


def run(command: Sequence[str], *, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Cost:
    """Run a process to its end. Memory and threads are read while it runs, which needs Linux."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=_environment(environ), cwd=cwd, stdout=output, stdin=subprocess.DEVNULL)
        peak = threads = 0
        while True:
            peak, threads = _looked(process.pid, peak, threads)
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(_LOOK_S)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak / 1e6, threads, process.returncode, text)


def quick(command: Sequence[str], *, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Cost:
    """The same for a very short process: nobody looks at it, so nothing is known of its memory."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=_environment(environ), cwd=cwd, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(wall, usage.ru_utime + usage.ru_stime, 0.0, 0, process.returncode, "")


def interleaved(peers: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """Each peer in turn, so that a change of the machine's mood meets all of them."""
    costs: dict[str, list[Cost]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, once in peers.items():
            cost = once()
            if cost.returncode:
                raise SystemExit(f"{name} ended with {cost.returncode}\n{cost.stdout}")
            costs[name].append(cost)
    return costs


def table(title: str, unit: str, rows: Mapping[str, Sequence[float]], base: str | None = None) -> None:
    """Print minimum, median and maximum of each row, and the ratio of its median to the base's."""
    print(f"\n{title} ({unit})")
    print(f"  {'':40} {'min':>9} {'median':>9} {'max':>9} {'ratio':>7}")
    middle = statistics.median(rows[base]) if base else 0.0
    for name, values in rows.items():
        ratio = f"{statistics.median(values) / middle:7.2f}" if middle else ""
        figures = " ".join(f"{value:9.2f}" for value in (min(values), statistics.median(values), max(values)))
        print(f"  {name:40} {figures} {ratio}")


def machine() -> str:
    """What the figures were measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?"
    )
    return (
        f"{model}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def tool() -> list[str]:
    """The command of the tool: the console script beside this interpreter when it is installed there."""
    script = Path(sys.executable).with_name("kling-render")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "kling_render"]


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """As a user has it: byte code is kept and output is buffered, whatever a container sets."""
    plain = {n: v for n, v in os.environ.items() if n not in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")}
    return plain | dict(more or {})


def _looked(pid: int, peak: int, threads: int) -> tuple[int, int]:
    """The high-water mark of a process's memory in bytes, and its threads; a dead one keeps what was seen."""
    for line in _lines(f"/proc/{pid}/status"):
        if line.startswith("VmHWM:"):
            peak = max(peak, int(line.split()[1]) * 1024)
        elif line.startswith("Threads:"):
            threads = max(threads, int(line.split()[1]))
    return peak, threads


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
