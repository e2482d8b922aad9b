"""Attempts for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State

NAMESPACE = "https://api.example"


def attempt(number: int, **changes: Any) -> Attempt:
    """A reservation; its id and fingerprint follow the number."""
    values: dict[str, Any] = {
        "id": f"A{number:05d}",
        "namespace": NAMESPACE,
        "fingerprint": f"{number:064x}",
        "client_request_id": f"kr1:{number:032x}:A{number:05d}",
        "account": "acc",
        "state": State.RESERVED,
        "owner": "owner-1",
        "run": "run-1",
        "job": f"sc010/fox/wave/t{number:02d}",
        "project": "dance",
        "folder": "/project",
        "output": f"/project/renders/takes/{number}.mp4",
        "final": "/project/renders/final.mp4",
        "root": "/project/renders",
        "manifest": "{}",
        "model": "m",
        "hold": 100,
        "reserved_at": 1000.0 + number,
    }
    return Attempt(**(values | changes))


def start(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """A child that runs a script of ours."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
