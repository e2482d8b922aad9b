"""The child that watches whole films: one JSON line in, one JSON line out, until its input ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from kling_render.media import limits
from kling_render.media.look import to_json
from kling_render.media.measure import measure, sound_of
from kling_render.media.stills import Stills, put

_ADDRESS_SPACE = 4 << 30
_CPU_S = 240


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """One request: `{"path"}`; `"calm"` for clips; `"poster"` and `"preview"` for pictures; `"only": "sound"`.

    What cannot be answered is a `{"problem"}`; pictures that cannot be written, `{"unwritten"}` with the errno.
    """
    path, stills = Path(request["path"]), Stills() if request.get("poster") else None
    pictures: list[tuple[Path, bytes]] = []
    try:
        if request.get("only") == "sound":
            with path.open("rb") as file:
                return {"sound": sound_of(file)}
        look = measure(path, stills.show if stills else None, calm=bool(request.get("calm")))
        if stills is not None:
            pictures = [(Path(request["poster"]), stills.poster()), (Path(request["preview"]), stills.preview())]
    except Exception as error:  # a hostile file can raise anything out of a decoder
        return {"problem": f"{type(error).__name__}: {error}"[:300]}
    return _kept(pictures) or to_json(look)


def _kept(pictures: list[tuple[Path, bytes]]) -> dict[str, Any] | None:
    """Write the pictures, each whole or not at all; None when that went well."""
    try:
        for path, data in pictures:
            put(path, data)
    except OSError as error:
        return {"unwritten": error.errno or 0}
    return None


def main() -> None:
    """Serve until the parent closes the pipe."""
    limits.cap_memory(_ADDRESS_SPACE)
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not look like an answer
    for line in sys.stdin:
        limits.allow_cpu(_CPU_S)
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
