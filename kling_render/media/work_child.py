"""The child that writes media: trimmed copies and rehearsals. One JSON line in, one out, until its input ends."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from kling_render.media import limits
from kling_render.media.compose import Backgrounds, compose
from kling_render.media.rehearsal import RehearsalSpec
from kling_render.media.trimming import write_trimmed
from kling_render.media.work import part_path

_ADDRESS_SPACE = 4 << 30


def work(question: dict[str, Any], backgrounds: Backgrounds) -> dict[str, Any]:
    """Do what the question asks; `{"problem": …}` says why it could not be done."""
    target = Path(question["target"])
    part = part_path(target)
    try:
        if question["do"] == "trim":
            start, end = (None if question[k] is None else Decimal(question[k]) for k in ("start", "end"))
            write_trimmed(Path(question["source"]), part, start, end, keep_audio=question["keep_audio"])
        else:
            compose(RehearsalSpec.from_json(question["spec"]), part, backgrounds)
        part.replace(target)
    except Exception as error:  # a hostile file can raise anything out of a decoder
        part.unlink(missing_ok=True)
        return {"problem": f"{type(error).__name__}: {error}"[:300]}
    return {}


def main() -> None:
    """Serve until the parent closes the pipe."""
    limits.cap_memory(_ADDRESS_SPACE)
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not look like an answer
    backgrounds = Backgrounds()
    for line in sys.stdin:
        answers.write(json.dumps(work(json.loads(line), backgrounds)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
