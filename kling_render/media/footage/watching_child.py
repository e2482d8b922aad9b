"""The child that watches clips: one JSON line in, one out, until its input ends."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from kling_render.media import limits
from kling_render.media.footage.findings import Footage, to_json
from kling_render.media.footage.watching import watch

_CPU_S = 120


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """One request: `{"path", "start", "end", "pictures", "stem"}`; a clip that cannot be decoded was not seen."""
    start, end = (None if request[name] is None else Decimal(request[name]) for name in ("start", "end"))
    folder = None if request["pictures"] is None else Path(request["pictures"])
    try:
        return to_json(watch(Path(request["path"]), start, end, folder, request["stem"]))
    except Exception:  # a hostile file can raise anything out of a decoder
        return to_json(Footage(seen=False))


def main() -> None:
    """Serve until the parent closes the pipe."""
    limits.cap_memory()
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not look like an answer
    for line in sys.stdin:
        limits.allow_cpu(_CPU_S)
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
