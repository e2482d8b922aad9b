"""The child that opens untrusted files: one JSON line in, one JSON line out, until its input ends."""

from __future__ import annotations

import json
import os
import stat
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

from kling_render.media import limits, refusals
from kling_render.media.clips import check_result, is_complete, read_clip
from kling_render.media.facts import Facts, ResultCheck, Unreadable, to_json
from kling_render.media.images import read_image

_CPU_S, _RESULT_CPU_S = 10, 90
"""Seconds of processor time for one file."""


def look(path: Path, expected: refusals.Expected) -> Facts:
    """The facts of a file, or why it is not usable."""
    try:
        file = _open_regular(path, expected)
    except FileNotFoundError:
        return refusals.missing(expected)
    except OSError as error:
        return refusals.forbidden(error.strerror or str(error))
    if isinstance(file, Unreadable):
        return file
    with file:
        return read_image(file) if expected == "image" else read_clip(file)


def _open_regular(path: Path, expected: refusals.Expected) -> BinaryIO | Unreadable:
    # A pipe must not block the open; a folder is refused by name before it is opened.
    if not stat.S_ISREG(path.stat().st_mode):
        return refusals.not_a_file(expected)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    facts = os.fstat(file.fileno())
    if not stat.S_ISREG(facts.st_mode) or facts.st_size == 0:
        file.close()
        return refusals.empty(expected) if stat.S_ISREG(facts.st_mode) else refusals.not_a_file(expected)
    return file


def check(path: Path, expected_s: Decimal | None) -> ResultCheck:
    """Whether a downloaded video is whole."""
    try:
        with path.open("rb") as file:
            return check_result(file, expected_s)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        return ResultCheck(ok=False, problem=problem, duration_s=None, has_audio=False, shorter_by_s=Decimal(0))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """One request: `"do"` is `probe` (with `"expected"`), `verify` (with `"expected_s"`) or `walk`, of a `"path"`."""
    path = Path(request["path"])
    if request["do"] == "walk":
        with path.open("rb") as file:
            return {"complete": is_complete(file)}
    if request["do"] == "verify":
        expected_s = request["expected_s"]
        return to_json(check(path, None if expected_s is None else Decimal(expected_s)))
    return to_json(look(path, request["expected"]))


def main() -> None:
    """Serve until the parent closes the pipe."""
    limits.cap_memory()
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not look like an answer
    for line in sys.stdin:
        request = json.loads(line)
        limits.allow_cpu(_RESULT_CPU_S if request["do"] == "verify" else _CPU_S)
        answers.write(json.dumps(answer(request)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
