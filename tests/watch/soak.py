"""A watch session that is kept busy: `python -m tests.watch.soak [--saves N] [--pause SECONDS]`.

The real tool against the local API, a save every moment, each of them paid for. Memory, handles and threads of the
process are read now and then; at the end everything accepted must be in the store and paid for once.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from kling_render.sandbox.testing import running_sandbox
from tests.e2e.harness import Studio
from tests.media.makers import clip, picture

_QUICK = {"settle_seconds": 0.05, "hold_seconds": 0}


def main() -> int:
    """1 when something was paid twice or lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=2_000)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between saves")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        running_sandbox(answers="canned", queued_seconds=0, generation_seconds=0, balance_usd=1_000_000) as sandbox,
    ):
        studio = Studio(Path(temporary).resolve(), sandbox, env={"KLING_RENDER_WATCH_PER_HOUR_USD": "100000"})
        studio.project.mkdir()
        picture(studio.project / "fox.png")
        picture(studio.project / "cat.png", (340, 420))
        clip(studio.project / "wave.mp4", 3.0, fps=12, size=(344, 344), sound=False)
        studio.write_list(watch=_QUICK)
        words = [sys.executable, "-m", "kling_render", "watch", "--yes", "--max-usd", "100000", "-q"]
        session = subprocess.Popen(words, cwd=studio.project, env=studio.environment())
        time.sleep(5.0)
        for number in range(given.saves):
            studio.write_list(watch=_QUICK, shots=[{"id": "sc010", "prompt": f"take {number}"}])
            time.sleep(given.pause)
            if number % max(given.saves // 10, 1) == 0:
                print(f"{number:6} saves  {_usage(session.pid)}", flush=True)
        time.sleep(5.0)
        print(f"{given.saves:6} saves  {_usage(session.pid)}")
        session.send_signal(signal.SIGINT)
        session.wait(60)
        pulled = studio.run("pull").code
        twice = [key for key, count in Counter(sandbox.books()["accepted"]).items() if count > 1]
        print(f"{studio.accepted()} accepted, {len(twice)} of them twice; pull ended with {pulled}")
        return 1 if twice or pulled else 0


def _usage(pid: int) -> str:
    """Resident memory, open files and threads of a process; Linux only."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    handles = len(os.listdir(f"/proc/{pid}/fd"))
    return f"{int(status['VmRSS'].split()[0]) / 1024:.1f} MB  {handles} handles  {status['Threads'].strip()} threads"


if __name__ == "__main__":
    sys.exit(main())
