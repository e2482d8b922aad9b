"""Pictures with labels: which are much smaller than what the model puts out."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from kling_render.media.facts import ImageFacts
from kling_render.media.footage.advice import about_image
from kling_render.media.images import read_image
from kling_render.models import DEFAULT_MODEL, MODELS

#: Picture, longest edge it is brought to (0: as it is) → whether its short edge has less than half of 1,080 pixels.
_LABELS = {
    ("bus", 0): False, ("zidane", 0): False, ("tower", 0): True, ("messi", 0): True, ("cheetah", 0): None,
    ("bus", 700): True, ("zidane", 900): True, ("bus", 740): False, ("tower", 400): True, ("basketball", 0): True,
}  # fmt: skip


def measure_pictures(files: Mapping[str, Path], tally: Any) -> dict[str, Any]:
    """Answers about every picture that is at hand."""
    model = MODELS[DEFAULT_MODEL]
    for (name, edge), true in _LABELS.items():
        if name in files:
            facts = _facts(files[name], edge)
            said = bool(about_image(facts, model, ""))
            tally.add(f"{name} {facts.width} × {facts.height}", said, true)
    return {"size": tally}


def _facts(path: Path, edge: int) -> ImageFacts:
    with Image.open(path) as picture:
        if edge:
            picture.thumbnail((edge, edge))
        held = io.BytesIO()
        picture.convert("RGB").save(held, "PNG")
    facts = read_image(io.BytesIO(held.getvalue()))
    assert isinstance(facts, ImageFacts)
    return facts
