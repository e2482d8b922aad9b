"""Trimmed copies of clips: the API has no trim, so the copy is what is uploaded."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

from kling_render.media import limits
from kling_render.media.child import Child, ChildError, ChildTimeoutError
from kling_render.media.work import WorkError, part_path

_CHILD = "kling_render.media.work_child"


def trim(
    source: Path,
    target: Path,
    start: Decimal | None,
    end: Decimal | None,
    keep_audio: bool = True,
    *,
    timeout_s: float = 600,
) -> None:
    """Write exactly the window from `start` to `end` (seconds) to `target`, upright, as MP4 with H.264 and AAC.

    The work is done in a child process; `target` appears whole or not at all. Blocks: from async code use a thread.

    Raises:
        WorkError: nothing lies between the two times, or the clip cannot be read.
    """
    question = {
        "do": "trim",
        "source": os.fspath(source),
        "target": os.fspath(target),
        "start": None if start is None else str(start),
        "end": None if end is None else str(end),
        "keep_audio": keep_audio,
    }
    child = Child(limits.command(_CHILD))
    try:
        problem = child.ask(question, timeout_s).get("problem")
    except ChildTimeoutError:
        problem = f"trimming took longer than {timeout_s:g} s"
    except ChildError:
        problem = "the trimming process died; the clip may be damaged"
    finally:
        child.close()
    if problem:
        part_path(target).unlink(missing_ok=True)
        raise WorkError(f"{source.name} cannot be trimmed: {problem}", help="check the clip in a player")
