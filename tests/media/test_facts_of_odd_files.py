"""Claim: what programs understand in different ways is told: rates, edit lists, streams, alpha, places, colours."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from kling_render.media.facts import ClipFacts, ImageFacts, Unreadable
from kling_render.media.probe import Prober
from kling_render.media.rules import check_clip, check_private
from kling_render.models import DEFAULT_MODEL, MODELS
from tests.media import makers, odd_makers


def clip_facts(prober: Prober, path: Path) -> ClipFacts:
    facts = prober.probe(path, "clip")
    assert isinstance(facts, ClipFacts), facts
    return facts


def image_facts(prober: Prober, path: Path) -> ImageFacts:
    facts = prober.probe(path, "image")
    assert isinstance(facts, ImageFacts), facts
    return facts


def test_a_plain_clip_is_nothing_odd(tmp_path: Path, prober: Prober) -> None:
    """No false alarm for what an encoder writes by itself: B-frames, their edit list, a shorter last frame."""
    for fps in (24, 25, 30):
        facts = clip_facts(prober, makers.clip(tmp_path / f"{fps}.mp4", 2.0, fps=fps))
        assert not facts.variable_rate
        assert not facts.edited
        assert not facts.location
        assert not facts.alpha
        assert (facts.pixels, facts.video_streams, facts.audio_streams, facts.other_streams) == ("yuv420p", 1, 1, 0)


def test_a_variable_frame_rate_is_told_by_the_index_alone(tmp_path: Path, prober: Prober) -> None:
    """A screen recorder's clip, whose average rate says nothing."""
    facts = clip_facts(prober, odd_makers.uneven(tmp_path / "a.mp4"))
    assert facts.variable_rate
    assert abs(float(facts.duration_s) - 4) < 0.05


def test_an_edit_list_that_leaves_something_out_is_told_and_the_length_is_what_is_shown(
    tmp_path: Path, prober: Prober
) -> None:
    """Price and limits count what is shown."""
    path = odd_makers.edited(makers.clip(tmp_path / "a.mp4", 4.0, sound=False))
    facts = clip_facts(prober, path)
    assert facts.edited
    assert abs(float(facts.duration_s) - 3) < 0.1


def test_streams_are_counted(tmp_path: Path, prober: Prober) -> None:
    """Several pictures and sounds, and none."""
    crowd = clip_facts(prober, odd_makers.crowded(tmp_path / "a.mp4", 1.0))
    assert (crowd.video_streams, crowd.audio_streams, crowd.other_streams) == (2, 2, 0)
    silent = clip_facts(prober, makers.clip(tmp_path / "b.mp4", 0.5, sound=False))
    assert (silent.has_audio, silent.audio_streams) == (False, 0)


def test_see_through_pixels_and_an_unusual_codec_are_told(tmp_path: Path, prober: Prober) -> None:
    """A codec that nobody states the model takes is a warning, no refusal."""
    facts = clip_facts(prober, odd_makers.see_through(tmp_path / "a.mov"))
    assert (facts.alpha, facts.codec, facts.container) == (True, "qtrle", "mov")
    (warning,) = check_clip(facts, MODELS[DEFAULT_MODEL], "video", None, None)
    assert (warning.code, warning.severity) == ("KR0228", "warning")
    assert "qtrle" in warning.message


def test_the_place_of_a_clip_and_of_a_photo_is_told(tmp_path: Path, prober: Prober) -> None:
    """GPS is uploaded with the file, so it is a warning."""
    clip = clip_facts(prober, odd_makers.located(makers.clip(tmp_path / "a.mp4", 0.5)))
    photo = image_facts(prober, odd_makers.gps(tmp_path / "a.jpg", 6))
    for facts in (clip, photo):
        assert facts.location
        (warning,) = check_private(facts)
        assert (warning.code, warning.severity) == ("KR0229", "warning")
    assert photo.turned
    assert (photo.width, photo.height) == (600, 800)
    assert check_private(image_facts(prober, makers.picture(tmp_path / "b.jpg", kind="JPEG"))) == []


def test_an_encrypted_clip_is_refused(tmp_path: Path, prober: Prober) -> None:
    """It is no damaged one."""
    facts = prober.probe(odd_makers.encrypted(makers.clip(tmp_path / "a.mp4", 0.5)), "clip")
    assert isinstance(facts, Unreadable)
    assert (facts.code, "copy protection" in facts.message) == ("KR0210", True)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animated_picture_is_told_without_decoding_it(kind: str, tmp_path: Path, prober: Prober) -> None:
    """APNG and animated WebP."""
    frames = [Image.new("RGB", (320, 320), (shade, 0, 0)) for shade in (0, 100, 200)]
    frames[0].save(tmp_path / "a", kind, save_all=True, append_images=frames[1:])
    assert image_facts(prober, tmp_path / "a").frames == 3


def test_cmyk_deep_and_see_through_pictures_are_told(tmp_path: Path, prober: Prober) -> None:
    """By the header alone."""
    Image.new("CMYK", (320, 320)).save(tmp_path / "a.jpg")
    Image.fromarray(np.zeros((320, 320), np.uint16)).save(tmp_path / "b.png")
    Image.new("RGBA", (320, 320)).save(tmp_path / "c.png")
    assert image_facts(prober, tmp_path / "a.jpg").colours == "CMYK"
    assert image_facts(prober, tmp_path / "b.png").colours == "16-bit"
    assert image_facts(prober, tmp_path / "c.png").alpha


def test_the_length_is_what_a_decoder_shows(tmp_path: Path, prober: Prober) -> None:
    """Turned, uneven, edited: every kind agrees with playing it."""
    paths = [
        makers.clip(tmp_path / "a.mp4", 2.0, rotate=90),
        odd_makers.uneven(tmp_path / "b.mp4", 3.0),
        odd_makers.edited(makers.clip(tmp_path / "c.mp4", 3.0, sound=False)),
    ]
    for path in paths:
        with av.open(os.fspath(path)) as file:
            shown = [float(frame.time or 0) for frame in file.decode(video=0)]
        assert abs(float(clip_facts(prober, path).duration_s) - (shown[-1] - shown[0])) < 0.15, path.name
