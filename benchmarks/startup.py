"""How fast it starts, and the small everyday calls: `python -m benchmarks.startup [--rounds N]`.

`kling-render --version`, a no-op `render`, a warm `check` and `plan` of the example, beside `python -c pass` and, where
it is installed, a no-op `ninja`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.processes import interleaved, machine, quick, run, table, tool
from benchmarks.projects import EXAMPLE, environment


def main() -> None:
    """The example is rendered once as a rehearsal, then everything is up to date."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=25)
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary).resolve() / "example"
        shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("renders*"))
        environ = environment(project)
        subprocess.run([*tool(), "render", "-q"], cwd=project, env={**os.environ, **environ}, check=True)
        once = partial(quick, environ=environ, cwd=project)
        peers = {
            "python -c pass": partial(once, [sys.executable, "-c", "pass"]),
            "--version": partial(once, [*tool(), "--version"]),
            "--help": partial(once, [*tool(), "--help"]),
            "check, example, warm": partial(once, [*tool(), "check"]),
            "plan, example, up to date": partial(once, [*tool(), "plan"]),
            "render, example, nothing to do": partial(once, [*tool(), "render", "-q"]),
        }
        if shutil.which("ninja"):
            peers["ninja, nothing to do"] = partial(once, ["ninja", "--quiet"])
            _ninja(project)
        costs = interleaved(peers, given.rounds)
        noop = run([*tool(), "render", "-q"], environ=environ, cwd=project)
    walls = {name: [c.wall_s * 1000 for c in found] for name, found in costs.items()}
    table("wall time", "ms", walls, base="python -c pass")
    cpus = {name: [c.cpu_s * 1000 for c in found] for name, found in costs.items()}
    table("CPU time", "ms", cpus, base="python -c pass")
    print(f"\npeak memory of the no-op render: {noop.peak_mb:.1f} MB")


def _ninja(project: Path) -> None:
    """The same eight outputs as copies."""
    rules = ["rule copy", "  command = cp $in $out"]
    rules += [f"build out/{n}.mp4: copy clips/wave.mp4" for n in range(8)]
    (project / "build.ninja").write_text("\n".join(rules) + "\n", encoding="utf-8")
    subprocess.run(["ninja", "--quiet"], cwd=project, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
