"""Kills the tool again and again while it renders, then looks at the books.

    python -m tests.e2e.kill_loop --kills 500 --seed 7

Each round starts `render`, kills it with SIGKILL after a seeded moment, and starts it again; the sandbox loses
answers and fails after acceptance meanwhile. At the end one `render` must finish everything, and every fingerprint
must have been paid at most once. The command prints one line per hundred kills and exits with 0
only if all of that holds.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kling_render.sandbox.testing import Sandbox, running_sandbox
from tests.e2e.harness import PAY, Studio, paid_once
from tests.media.makers import clip, picture

FAULTS = (
    "submit:lost,every=5",
    "submit:status-after,status=502,every=7",
    "poll:status,status=503,every=6",
    "cdn:cut,bytes=900,every=4",
)


def loop(studio: Studio, kills: int, seed: int, longest_s: float = 1.6) -> dict[str, Any]:
    """Kill `kills` times, finish, and return the books.

    Raises:
        AssertionError: something was paid twice, lost, or left half-written.
    """
    chance = random.Random(seed)
    studio.sandbox.faults(*FAULTS)
    killed = takes = 0
    while killed < kills:
        if killed % 8 == 0:  # always something left to do
            takes += 1
            studio.write_list(defaults={"takes": takes})
        process = studio.start("render", *PAY)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.2, longest_s))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += 1
        paid_once(studio.book())
        if killed % 100 == 0:
            print(f"{killed} kills, {studio.accepted()} generations", flush=True)
    studio.sandbox.faults()
    return _finish(studio, takes)


def _finish(studio: Studio, takes: int) -> dict[str, Any]:
    for _ in range(3):  # a doubt may need a second look once its log row is there
        ended = studio.render()
        if ended.code == 0:
            break
        time.sleep(0.5)
    assert ended.code == 0, ended.text
    books = studio.book()
    paid_once(books)
    whole = [path for path, data in studio.videos().items() if data[4:8] == b"ftyp" and path.startswith("takes/")]
    assert len(whole) == 2 * takes == len(books["accepted"]) == len(books["charges"])
    assert "nothing was sent" in studio.render().out
    return books


def new_studio(folder: Path, sandbox: Sandbox) -> Studio:
    """A project of two jobs on an empty store."""
    studio = Studio(folder, sandbox)
    studio.project.mkdir()
    picture(studio.project / "fox.png")
    picture(studio.project / "cat.png", (340, 420))
    clip(studio.project / "wave.mp4", 3.0, fps=12, size=(344, 344), sound=False)
    studio.write_list()
    return studio


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kill-loop-"))
    with running_sandbox(answers="echo", queued_seconds=0.05, generation_seconds=0.2, seed=given.seed) as sandbox:
        books = loop(new_studio(folder, sandbox), given.kills, given.seed)
    print(f"{given.kills} kills: {len(books['charges'])} results, each paid once")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
