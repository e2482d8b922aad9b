"""The child that corrects media. One JSON line in; lines of progress, then one answer out; until its input ends."""

from __future__ import annotations

import contextlib
import errno
import json
import sys
from pathlib import Path
from typing import Any

from kling_render.media import limits
from kling_render.media.fixing.recoding import Progress, motion, recode, shape

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM})
"""Why a copy cannot be written, whatever its original is like."""
_ADDRESS_SPACE = 4 << 30
_CPU_S = 3_600


def work(question: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Do what the question asks; `{"problem": …}` says why it could not be done."""
    part = Path(question["part"]) if "part" in question else None
    try:
        return _done(question, part, progress)
    except Exception as error:  # a hostile file can raise anything out of a decoder
        if part is not None:
            _remove(part)
            if isinstance(error, OSError) and error.errno in _DISK:
                return {"problem": "", "errno": error.errno}
        said = str(getattr(error, "strerror", None) or error) or type(error).__name__
        decoder = "it cannot be decoded: " if type(error).__module__.startswith("av.") else ""
        return {"problem": decoder + said.splitlines()[0][:300]}


def _done(question: dict[str, Any], part: Path | None, progress: Progress) -> dict[str, Any]:
    source = Path(question["source"])
    if question["do"] == "motion":
        return motion(source, progress)
    if question["do"] == "shape":
        return shape(source)
    if question["do"] == "survey":
        from kling_render.media.fixing.drawing import survey

        return survey(source)
    assert part is not None
    if question["do"] == "image":
        from kling_render.media.fixing.drawing import draw

        return draw(source, part, question["spec"])
    return recode(
        source,
        part,
        question["spec"],
        see_through=question["see_through"],
        steady=question["steady"],
        progress=progress,
    )


def _remove(part: Path) -> None:
    with contextlib.suppress(OSError):  # on a disk that is read-only a file that is not there cannot be removed either
        part.unlink()


def main() -> None:
    """Serve until the parent closes the pipe."""
    limits.cap_memory(_ADDRESS_SPACE)
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not look like an answer

    def say(line: dict[str, Any]) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    for line in sys.stdin:
        limits.allow_cpu(_CPU_S)
        question = json.loads(line)
        try:
            say(work(question, lambda share: say({"progress": round(share, 4)})))
        except OSError:  # whoever asked is gone, and would have given the copy its name
            if "part" in question:
                _remove(Path(question["part"]))
            raise


if __name__ == "__main__":
    main()
