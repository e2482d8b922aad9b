"""What a child process may use, and what it gets to see."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import kling_render

ADDRESS_SPACE = 1 << 30
"""Bytes of memory a reader of untrusted files may map."""

_KEPT = ("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "TEMP", "TMP", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def command(module: str) -> list[str]:
    """The command line of a child; the working folder never joins its import path."""
    return [sys.executable, "-P", "-m", module]


def environment() -> dict[str, str]:
    """A minimal environment: no keys, no proxies, one thread per numeric library."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    package_root = str(Path(kling_render.__file__).resolve().parents[1])
    return kept | {"PYTHONPATH": package_root, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1"}


def cap_memory(limit: int = ADDRESS_SPACE) -> None:
    """Limit the address space of this process where the platform can."""
    if sys.platform == "win32":
        return
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ValueError, OSError):  # macOS refuses a limit on the address space
        return


def allow_cpu(seconds: int) -> None:
    """Allow this process so many further seconds of processor time."""
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = spent + seconds
    if hard not in (resource.RLIM_INFINITY, -1):
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
