"""A real project, a real store and the tool as a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from kling_render.sandbox.testing import Sandbox
from tests.canary import CANARY, sightings

ROOT = Path(__file__).parents[2]
TOOL = [sys.executable, "-m", "kling_render"]
PAY = ("--yes", "--max-usd", "50")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call of the tool ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The document on stdout."""
        return dict(json.loads(self.out))

    @property
    def text(self) -> str:
        """Everything that was shown."""
        return self.out + self.err


@dataclass(slots=True)
class Studio:
    """One user's project on one store, talking to one sandbox."""

    folder: Path
    sandbox: Sandbox
    key: str = CANARY
    env: dict[str, str] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        """The folder of the shot list."""
        return self.folder / "project"

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.folder / "store"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What the tool gets to see."""
        return {
            # Without PYTHONUNBUFFERED and the like: the tool must behave where nobody sets them.
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder),
            "AIMLAPI_BASE_URL": self.sandbox.url,
            "AIMLAPI_KEY": self.key,
            "KLING_RENDER_STORE": str(self.store),
            "KLING_RENDER_POLL_SECONDS": "0.1",
            **self.env,
            **(extra or {}),
        }

    def run(self, *words: str, stdin: bytes = b"", cwd: Path | None = None, **extra: str) -> Ended:
        """Call the tool and wait; never longer than a minute."""
        ended = subprocess.run(
            [*TOOL, *words],
            cwd=cwd or self.project,
            env=self.environment(extra),
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return _without_key(Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode()))

    def render(self, *words: str, **extra: str) -> Ended:
        """`render` with consent and a cap."""
        return self.run("render", *PAY, *words, **extra)

    def start(self, *words: str, **extra: str) -> subprocess.Popen[str]:
        """Start the tool and go on."""
        return subprocess.Popen(
            [*TOOL, *words],
            cwd=self.project,
            env=self.environment(extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def write_list(self, **changes: Any) -> None:
        """Write a shot list of two characters with one motion; fields of the top level may be replaced."""
        declared = {
            "version": 1,
            "project": "tiny",
            "provider": "aimlapi",
            "characters": {"fox": {"image": "fox.png"}, "cat": {"image": "cat.png"}},
            "motions": {"wave": {"video": "wave.mp4"}},
            "shots": [{"id": "sc010", "prompt": "on a roof"}],
        }
        (self.project / "shotlist.yaml").write_text(yaml.safe_dump(declared | changes, sort_keys=False))

    def book(self) -> dict[str, Any]:
        """The sandbox's books."""
        return self.sandbox.books()

    def accepted(self) -> int:
        """How many generations were ever accepted."""
        return len(self.book()["generations"])

    def videos(self, below: str = "renders") -> dict[str, bytes]:
        """Every file of the output tree that ends like a video, by its path."""
        root = self.project / below
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.mp4"))}


def finished(process: subprocess.Popen[str], seconds: float = 40.0) -> Ended:
    """Wait for a started call."""
    out, err = process.communicate(timeout=seconds)
    return _without_key(Ended(process.returncode, out, err))


def _without_key(ended: Ended) -> Ended:
    """Nothing that the tool ever says contains the key."""
    assert not sightings(ended.text.encode("utf-8", "surrogateescape")), "the key was shown"
    return ended


def wait_until(true: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait for something that another process brings about."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.03)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C."""
    process.send_signal(signal.SIGINT)


def valid(document: Mapping[str, Any], schema: str) -> None:
    """Hold a document against one of the project's schemas."""
    described = json.loads((ROOT / "schemas" / f"{schema}.schema.json").read_text())
    Draft202012Validator(described).validate(document)


def paid_once(books: Mapping[str, Any]) -> None:
    """Nothing was accepted or charged twice, no key went astray."""
    assert all(count == 1 for count in books["accepted"].values()), books["accepted"]
    assert all(count == 1 for count in books["paid"].values()), books["paid"]
    assert books["keys_sent_to_cdn"] == 0


def copy_example(name: str, target: Path) -> None:
    """One of the examples without its outputs."""
    shutil.copytree(ROOT / "examples" / name, target, ignore=shutil.ignore_patterns("renders*"))
