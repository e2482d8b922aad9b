"""Claim: the examples' media fit the model's hard limits, are small, and rehearse well."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from kling_render.disk.project_files import DiskFiles
from kling_render.media.facts import ClipFacts, ImageFacts
from kling_render.media.probe import Prober
from kling_render.media.rules import check_clip, check_image, check_name
from kling_render.models import DEFAULT_MODEL, MODELS
from kling_render.shotlist.expand import expand
from kling_render.shotlist.reader import read

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MODEL = MODELS[DEFAULT_MODEL]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/characters/*.png")), ids=lambda p: p.stem)
def test_every_picture_fits(path: Path, prober: Prober) -> None:
    facts = prober.probe(path, "image")
    assert isinstance(facts, ImageFacts)
    assert check_image(facts, MODEL) == []
    assert check_name(path.name, facts) == []
    assert min(facts.width, facts.height) >= 540  # half of what the model puts out: less is a warning


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/clips/*.mp4")), ids=lambda p: p.stem)
def test_every_clip_fits_and_has_sound(path: Path, prober: Prober) -> None:
    facts = prober.probe(path, "clip")
    assert isinstance(facts, ClipFacts)
    assert check_clip(facts, MODEL, "image", None, None) == []
    assert facts.has_audio
    assert 24 <= facts.fps <= 30
    assert min(facts.width, facts.height) >= 360
    assert prober.verify_result(path, float(facts.duration_s)).ok


def test_the_media_are_small() -> None:
    size = {
        folder: sum(p.stat().st_size for kind in ("characters", "clips") for p in (EXAMPLES / folder / kind).iterdir())
        for folder in ("minimal", "street-dance")
    }
    assert size["minimal"] < 400_000
    assert sum(size.values()) < 3_000_000


@pytest.mark.parametrize(("folder", "jobs"), [("minimal", 8), ("street-dance", 36)])
def test_every_job_of_the_shot_lists_fits_the_model(folder: str, jobs: int, prober: Prober) -> None:
    files = DiskFiles()
    declared, found = read(EXAMPLES / folder / "shotlist.yaml", files=files, shown=str)
    assert found == []
    assert declared is not None
    compiled = expand(declared, files=files, shown=str)
    assert compiled.diagnostics == ()
    assert compiled.project is not None
    assert len(compiled.project.jobs) == jobs
    for request in {job.request.video.path: job.request for job in compiled.project.jobs}.values():
        assert request.video.path is not None
        facts = prober.probe(request.video.path, "clip")
        assert isinstance(facts, ClipFacts)
        assert check_clip(facts, MODEL, request.orientation, request.start, request.end) == []


def test_both_trims_of_the_dance_are_long_enough(prober: Prober) -> None:
    facts = prober.probe(EXAMPLES / "street-dance" / "clips" / "dance.mp4", "clip")
    assert isinstance(facts, ClipFacts)
    assert check_clip(facts, MODEL, "image", None, Decimal(3)) == []
    assert check_clip(facts, MODEL, "image", Decimal(3), None) == []
