"""One mutant: a patch whose head says what it breaks and which tests must notice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_COPIED = ("kling_render", "schemas", "tests", "examples", "pyproject.toml")
_FAILED = 1
"""pytest's exit code when tests failed; every other one means that they could not be run."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken rule."""

    name: str
    claim: str
    killers: tuple[str, ...]
    patch: Path


def mutants() -> list[Mutant]:
    """Every mutant, by name."""
    return [_read(path) for path in sorted(Path(__file__).parent.glob("*.patch"))]


def _read(path: Path) -> Mutant:
    text = path.read_text(encoding="utf-8")
    killers = re.search(r"^Killed by: (.+)$", text, re.MULTILINE)
    assert killers, f"{path.name} names no tests"
    return Mutant(path.stem, text.partition("\n")[0], tuple(killers[1].split()), path)


def outcome(mutant: Mutant) -> tuple[bool, str]:
    """Whether the tests notice the mutant, and the first that did (or the end of what was printed).

    Raises:
        RuntimeError: the patch no longer fits the code.
    """
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary)
        for name in _COPIED:
            whole = ROOT / name
            if whole.is_dir():
                shutil.copytree(whole, copy / name, ignore=shutil.ignore_patterns("__pycache__", "renders*"))
            else:
                shutil.copy(whole, copy / name)
        _apply(mutant, copy)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:xdist", "--no-header", *mutant.killers]
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTEST_ADDOPTS": ""}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        return done.returncode == _FAILED, failed[1] if failed else done.stdout[-600:] + done.stderr[-300:]


def _apply(mutant: Mutant, copy: Path) -> None:
    words = ["git", "apply", "--whitespace=nowarn", str(mutant.patch)]
    # Without a repository around it, git applies a patch to the folder it is called in.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent)}
    done = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{mutant.patch.name} no longer fits the code; write it anew: {done.stderr}")
