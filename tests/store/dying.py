"""Commands on a store that are killed at the n-th call of the disk, for every n: `python -m tests.store.dying`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kling_render.disk.faults import FaultyFiles
from kling_render.store.garbage import garbage
from kling_render.store.opening import Store
from kling_render.store.transfer import import_store
from kling_render.store.trash import batches, empty, free_bytes_thrown, throw, undo

ROOT = Path(__file__).parents[2]
NOW = 10_000_000_000.0
MOST = 150

posix = pytest.mark.skipif(sys.platform == "win32", reason="kills and forks")


class DyingFiles(FaultyFiles):
    """Ends its process at the n-th call, as a kill from outside would: nothing is tidied up."""

    def strike(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def killed_at_every_call(act: str, template: Path, *arguments: Path) -> list[Path]:
    """Copies of a store, each with a command killed on it one call later, until it was not killed any more."""
    words = [sys.executable, "-m", "tests.store.dying", act, str(template), *map(str, arguments)]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return [Path(line) for line in ended.stdout.splitlines()]


def _act(act: str, location: Path, at: int, arguments: list[str]) -> None:
    with Store.open(location) as store:
        store.fs = store.blobs._fs = DyingFiles(at, 0)
        if act == "throw":
            thrown = free_bytes_thrown(batches(store))
            throw(store, garbage(store, now=NOW, free=("previz",), in_use=_never, inputs=(), thrown=thrown), NOW)
        elif act == "undo":
            undo(store, NOW)
        elif act == "empty":
            empty(store, batches(store))
        else:
            import_store(store, Path(arguments[0]), NOW, lambda *_: None, token=f"import{at}")


def _never(_holder: object) -> bool:
    return False


def main() -> int:
    """A process of its own with one thread, so that it may fork."""
    act, template, *arguments = sys.argv[1:]
    for at in range(1, MOST):
        location = Path(f"{template}-{at}")
        shutil.copytree(template, location)
        child = os.fork()
        if child == 0:
            try:
                _act(act, location, at, arguments)
                os._exit(0)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == -signal.SIGKILL:
            print(location)
        else:
            return status
    return 1


if __name__ == "__main__":
    sys.exit(main())
