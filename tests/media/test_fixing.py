"""Claim: a corrected copy passes the rules, shows what the original shows, and stands whole beside it or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from kling_render.media.facts import ClipFacts, ImageFacts
from kling_render.media.fixing.fixer import Fixer
from kling_render.media.fixing.footage import Use, judge_clip
from kling_render.media.fixing.records import Wish
from kling_render.media.probe import Prober
from kling_render.media.rules import check_clip, check_image
from kling_render.media.work import WorkError
from kling_render.models import DEFAULT_MODEL, MODELS
from kling_render.workspace.inputs.fixing import Fixing, Outcome
from kling_render.workspace.inputs.naming import Item, Kind
from tests.media import films, makers, odd_makers

MODEL = MODELS[DEFAULT_MODEL]


@pytest.fixture(scope="module")
def fixer() -> Iterator[Fixer]:
    with Fixer() as started:
        yield started


class Studio:
    """Corrects files of a folder."""

    def __init__(self, folder: Path, prober: Prober, fixer: Fixer) -> None:
        self.folder, self.prober, self.fixer = folder, prober, fixer
        self.told: list[tuple[str, int, int]] = []

    def fix(self, path: Path, wish: Wish | None = None, **use: object) -> Outcome:
        """Correct a file as a job with `orientation: image` uses it; the original must not change."""
        kind: Kind = "clip" if path.suffix in (".mp4", ".mov") else "image"
        before = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns
        fixing = Fixing(
            self.prober, self.fixer, wish or Wish(), self.folder, report=lambda *said: self.told.append(said)
        )
        outcome = fixing.fix(Item(path.name, path, kind, None, (Use(MODEL, "image", **use),)))  # type: ignore[arg-type]
        assert (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) == before
        return outcome

    def picture(self, path: Path, wish: Wish | None = None) -> tuple[Outcome, Image.Image]:
        """The copy of a picture, which keeps to every rule."""
        outcome = self.fix(path, wish)
        assert outcome.copy is not None, outcome.unfixable
        facts = self.prober.probe(outcome.copy, "image")
        assert isinstance(facts, ImageFacts)
        assert check_image(facts, MODEL) == []
        assert (facts.alpha, facts.turned, facts.location, facts.frames) == (False, False, False, 1)
        with Image.open(outcome.copy) as image:
            assert not image.info.get("exif")
            image.load()
            return outcome, image

    def clip(self, path: Path, wish: Wish | None = None) -> tuple[Outcome, ClipFacts]:
        """The copy of a clip, which keeps to every rule."""
        outcome = self.fix(path, wish)
        assert outcome.copy is not None, outcome.unfixable
        facts = self.prober.probe(outcome.copy, "clip")
        assert isinstance(facts, ClipFacts)
        assert check_clip(facts, MODEL, "image", None, None) == []
        assert (facts.container, facts.codec, facts.pixels, facts.rotation) == ("mp4", "h264", "yuv420p", 0)
        assert (facts.variable_rate, facts.edited, facts.alpha, facts.location) == (False,) * 4
        assert (facts.video_streams, facts.audio_streams <= 1, facts.other_streams) == (1, True, 0)
        return outcome, facts


@pytest.fixture
def studio(tmp_path: Path, prober: Prober, fixer: Fixer) -> Studio:
    return Studio(tmp_path, prober, fixer)


def corrected(outcome: Outcome) -> list[str]:
    return [one.done for one in outcome.corrections]


def at(image: Image.Image, x: int, y: int) -> np.ndarray:
    return np.asarray(np.asarray(image.convert("RGB"))[y, x])


# -- pictures ------------------------------------------------------------------------------------------------------


def test_a_narrow_small_picture_is_padded_and_scaled(studio: Studio, tmp_path: Path) -> None:
    """The figure keeps its proportions in the middle; the border shows no second one."""
    outcome, image = studio.picture(makers.picture(tmp_path / "fox.png", (150, 600)))
    assert outcome.copy == tmp_path / "fox.fixed.png"
    assert image.size == (300, 750)
    assert {one.code for one in outcome.corrections} == {"KR0214", "KR0216"}
    pixels = np.asarray(image.convert("RGB")).astype(int)
    red = pixels[..., 0] - pixels[..., 1] > 60
    assert not red[:, :90].any()
    assert not red[:, 210:].any()
    assert red[:, 145:155].mean() > 0.7


def test_a_border_may_be_a_colour(studio: Studio, tmp_path: Path) -> None:
    """`--pad '#00ff00'`."""
    _, image = studio.picture(makers.picture(tmp_path / "fox.png", (150, 600)), Wish(pad="#00ff00"))
    assert image.convert("RGB").getpixel((3, 300)) == (0, 255, 0)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_photo_is_turned_upright_and_loses_its_place(orientation: int, studio: Studio, tmp_path: Path) -> None:
    """Every EXIF orientation looks as a viewer shows it."""
    from PIL import ImageOps

    path = odd_makers.gps(tmp_path / "a.jpg", orientation, (480, 360))
    with Image.open(path) as original:
        shown = ImageOps.exif_transpose(original).convert("RGB")
    outcome, image = studio.picture(path)
    assert image.size == shown.size
    assert np.abs(np.asarray(image).astype(int) - np.asarray(shown)).mean() < 2
    assert "metadata left out" in corrected(outcome)


def test_see_through_parts_are_laid_on_a_colour(studio: Studio, tmp_path: Path) -> None:
    """White by default; half see-through pixels are mixed."""
    image = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    image.paste((255, 0, 0, 128), (200, 0, 400, 400))
    image.save(tmp_path / "a.png")
    _, white = studio.picture(tmp_path / "a.png")
    assert white.getpixel((10, 10)) == (255, 255, 255)
    assert np.allclose(at(white, *(300, 10)), (255, 127, 127), atol=1)
    (tmp_path / "a.fixed.png").unlink()
    _, black = studio.picture(tmp_path / "a.png", Wish(background="#000000"))
    assert black.getpixel((10, 10)) == (0, 0, 0)


def test_an_opaque_picture_with_an_alpha_channel_is_nothing_to_correct(studio: Studio, tmp_path: Path) -> None:
    """The channel alone harms nobody."""
    Image.new("RGBA", (400, 400), (10, 20, 30, 255)).save(tmp_path / "a.png")
    outcome = studio.fix(tmp_path / "a.png")
    assert (outcome.corrections, outcome.unfixable, outcome.copy) == ([], [], None)


def test_cmyk_16_bit_and_animated_pictures_become_plain(studio: Studio, tmp_path: Path) -> None:
    """And other types a Pillow reader knows, by content."""
    Image.new("CMYK", (400, 400), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    _, red = studio.picture(tmp_path / "a.jpg")
    assert red.mode == "RGB"
    assert np.allclose(at(red, *(5, 5)), (255, 0, 0), atol=3)
    Image.fromarray(np.full((400, 400), 40_000, np.uint16)).save(tmp_path / "b.png")
    _, grey = studio.picture(tmp_path / "b.png")
    assert np.allclose(at(grey.convert("RGB"), *(5, 5)), (156, 156, 156), atol=1)
    frames = [Image.new("RGB", (400, 400), (shade, 0, 0)) for shade in (9, 100, 200)]
    frames[0].save(tmp_path / "c.webp", save_all=True, append_images=frames[1:], lossless=True)
    _, first = studio.picture(tmp_path / "c.webp")
    assert first.getpixel((5, 5))[0] < 14  # type: ignore[index]
    frames[0].save(tmp_path / "d.gif", save_all=True, append_images=frames[1:])
    outcome, _ = studio.picture(tmp_path / "d.gif")
    assert outcome.copy == tmp_path / "d.fixed.png"


def test_a_photo_with_a_preview_inside_is_nothing_to_correct(studio: Studio, tmp_path: Path) -> None:
    """As phones write them: viewers show the photo alone, and another compression would only lose detail."""
    photo, preview = Image.new("RGB", (800, 600), (200, 90, 40)), Image.new("RGB", (80, 60))
    photo.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview])
    outcome = studio.fix(tmp_path / "a.jpg")
    assert (outcome.corrections, outcome.problems, outcome.copy) == ([], [], None)


def test_a_heavy_picture_and_one_of_too_many_pixels_become_light(studio: Studio, tmp_path: Path) -> None:
    """Lossless where it fits, else JPEG; the quality is said."""
    noise = np.random.default_rng(1).integers(0, 256, (2000, 2000, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png", compress_level=1)
    outcome, image = studio.picture(tmp_path / "a.png")
    assert outcome.copy == tmp_path / "a.fixed.jpg"
    assert "JPEG, quality" in outcome.how
    assert image.size == (2000, 2000)
    Image.new("RGB", (9000, 6000), (1, 2, 3)).save(tmp_path / "b.png")
    outcome, image = studio.picture(tmp_path / "b.png")
    assert outcome.corrections[0].code == "KR0207"
    assert image.width * image.height <= 50_000_000


# -- clips ---------------------------------------------------------------------------------------------------------


def test_a_turned_clip_is_upright_and_its_sound_stays(studio: Studio, tmp_path: Path) -> None:
    """What a player shows of both is the same."""
    path = makers.clip(tmp_path / "a.mp4", 3.0, size=(640, 360), rotate=90)
    outcome, facts = studio.clip(path)
    assert corrected(outcome) == ["turned upright"]
    assert (facts.width, facts.height, facts.has_audio) == (360, 640, True)
    assert facts.duration_s == Decimal(3)
    before, _ = makers.play(path)
    after, _ = makers.play(tmp_path / "a.fixed.mp4")
    assert len(before) == len(after)
    turned = np.rot90(before[30], 1)  # stored lying; shown turned by 270 degrees
    assert np.abs(turned.astype(int) - after[30]).mean() < 4


def test_a_varying_rate_becomes_a_constant_one_and_everything_is_shown_when_it_was(
    studio: Studio, tmp_path: Path
) -> None:
    """The block is where it was, at every time."""
    path = odd_makers.uneven(tmp_path / "a.mp4")
    outcome, facts = studio.clip(path)
    assert corrected(outcome) == ["constant frame rate"]
    assert facts.fps == 30.0
    assert abs(facts.duration_s - 4) < Decimal("0.05")

    def left_at(file: Path, moment: float) -> int:
        with av.open(os.fspath(file)) as opened:
            shown = [f for f in opened.decode(video=0) if float(f.time or 0) <= moment + 1e-6][-1]
        row = shown.to_ndarray(format="rgb24")[200, :, 0]
        return int(np.argmax(row > 130))

    for moment in (0.5, 1.55, 2.3, 3.75):
        assert abs(left_at(path, moment) - left_at(tmp_path / "a.fixed.mp4", moment)) <= 10


def test_small_odd_sized_clips_are_scaled_to_even_edges_over_the_limit(studio: Studio, tmp_path: Path) -> None:
    """4:2:0 needs even edges."""
    _, facts = studio.clip(makers.clip(tmp_path / "a.mp4", 3.0, size=(202, 360), sound=False))
    assert (facts.width, facts.height) == (340, 606)


def test_a_strip_is_padded(studio: Studio, tmp_path: Path) -> None:
    """A clip that cannot keep to both edge limits gets a border."""
    _, facts = studio.clip(makers.clip(tmp_path / "a.mp4", 3.0, size=(64, 1000), sound=False), Wish(pad="#00ff00"))
    assert min(facts.width, facts.height) >= 340
    frame = makers.play(tmp_path / "a.fixed.mp4")[0][0]
    assert frame[500, 2, 1] > 200
    assert frame[500, 2, 0] < 60


def test_an_edit_list_is_baked_and_streams_too_many_are_dropped_without_encoding(
    studio: Studio, tmp_path: Path
) -> None:
    """What can be taken over as it is, is."""
    _, facts = studio.clip(odd_makers.edited(makers.clip(tmp_path / "a.mp4", 5.0, size=(400, 400), sound=False)))
    assert abs(facts.duration_s - 4) < Decimal("0.1")
    crowd = odd_makers.crowded(tmp_path / "b.mp4")
    outcome, facts = studio.clip(crowd)
    assert (facts.video_streams, facts.audio_streams) == (1, 1)
    assert "nothing encoded" in outcome.how
    before, after = makers.play(crowd)[0], makers.play(tmp_path / "b.fixed.mp4")[0]
    assert all((one == other).all() for one, other in zip(before, after, strict=True))


def test_the_place_of_a_clip_is_left_out_without_encoding(studio: Studio, tmp_path: Path) -> None:
    """Not a byte of it stays."""
    path = odd_makers.located(makers.clip(tmp_path / "a.mp4", 3.0, size=(400, 400)))
    assert b"+52.5200" in path.read_bytes()
    outcome, facts = studio.clip(path)
    assert b"+52.5200" not in (tmp_path / "a.fixed.mp4").read_bytes()
    assert "nothing encoded" in outcome.how
    assert facts.has_audio


def test_a_see_through_mov_of_another_codec_becomes_h264_on_a_ground(studio: Studio, tmp_path: Path) -> None:
    """Left see-through, right red."""
    studio.clip(odd_makers.see_through(tmp_path / "a.mov"), Wish(background="#0000ff"))
    frame = makers.play(tmp_path / "a.fixed.mp4")[0][5].astype(int)
    assert frame[180, 60, 2] > 200
    assert frame[180, 60, 0] < 60
    assert frame[180, 300, 0] > 200


def test_of_a_long_clip_the_part_with_most_motion_and_no_cut_is_kept(studio: Studio, tmp_path: Path) -> None:
    """The still beginning and what comes after the cut are left out; the trim of a shot list is offered as well."""
    path = films.film(
        tmp_path / "a.mp4", [("still", 5), ("moving", 9), ("black", 1), ("still", 2)], size=(400, 400), sound="sound"
    )
    outcome, facts = studio.clip(path)
    assert facts.duration_s <= 10
    best = outcome.windows[0]
    assert (best.cuts, best.end) == (0, Decimal(14))
    assert best.start >= 4
    assert facts.has_audio
    assert studio.told[0][0].startswith("looking for motion")
    assert studio.told[-1] == ("encoding a.mp4", 100, 100)
    (tmp_path / "a.fixed.mp4").unlink()
    outcome, facts = studio.clip(path, Wish(start=Decimal(6), end=Decimal("9.5")))
    assert facts.duration_s == Decimal("3.5")
    assert outcome.windows[0].start == 6


def test_what_cannot_be_mended_is_said(studio: Studio, tmp_path: Path) -> None:
    """Too short, protected, cut off, no media; nothing is written."""
    files = {
        "a.mp4": (makers.clip(tmp_path / "a.mp4", 1.0, size=(400, 400)), "KR0209"),
        "b.mp4": (odd_makers.encrypted(makers.clip(tmp_path / "b.mp4", 3.0, size=(400, 400))), "KR0210"),
        "c.mp4": (tmp_path / "c.mp4", "KR0208"),
        "d.png": (tmp_path / "d.png", "KR0204"),
        "e.png": (tmp_path / "e.png", "KR0206"),
    }
    (tmp_path / "c.mp4").write_text("#EXTM3U\nhttp://127.0.0.1/x.ts\n")
    whole = makers.picture(tmp_path / "d.png", (200, 200)).read_bytes()
    (tmp_path / "d.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "e.png").write_text("<svg/>")
    for path, code in files.values():
        outcome = studio.fix(path)
        assert [one.code for one in outcome.unfixable] == [code], path
        assert outcome.copy is None
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


# -- beside the original -------------------------------------------------------------------------------------------


def test_a_second_run_says_that_the_copy_stands_there_and_another_file_is_never_overwritten(
    studio: Studio, tmp_path: Path
) -> None:
    """The same bytes are the same outcome; others are somebody's work."""
    path = makers.clip(tmp_path / "a.mp4", 3.0, size=(300, 400))
    assert studio.fix(path).is_new
    again = studio.fix(path)
    assert (again.copy, again.is_new) == (tmp_path / "a.fixed.mp4", False)
    (tmp_path / "a.fixed.mp4").write_text("mine")
    refused = studio.fix(path)
    assert "another file" in refused.failures[0].message
    assert (tmp_path / "a.fixed.mp4").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups here")
def test_kill_9_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    """Parent and child are killed in the middle of encoding; the next run makes the copy."""
    path = films.film(tmp_path / "a.mp4", [("moving", 9)], size=(1280, 338))
    tool = [sys.executable, "-m", "kling_render", "--store", os.fspath(tmp_path / "store"), "fix", os.fspath(path)]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        tool, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.fspath(root)}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not any(one.name.endswith(".part") for one in tmp_path.iterdir()) and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "a.fixed.mp4").exists()


CHILD = """
import json, os, sys, time
for line in sys.stdin:
    question = json.loads(line)
    open(question["part"], "w").write("half")
    print(json.dumps({"progress": 0.5}), flush=True)
    if "hang" in question["source"]:
        time.sleep(60)
    os._exit(9)
"""


@pytest.mark.parametrize(("name", "said"), [("hang.mp4", "nothing happened for 0.2 s"), ("crash.mp4", "died")])
def test_a_process_that_dies_or_hangs_leaves_no_file_behind(name: str, said: str, tmp_path: Path) -> None:
    """A hostile clip costs itself only."""
    program = tmp_path / "child.py"
    program.write_text(CHILD)
    heard: list[float] = []
    facts = ClipFacts(
        container="mp4", codec="h264", width=400, height=400, rotation=0, fps=24, duration_s=Decimal(4),
        has_audio=False, frames=96, bytes=1, mime="video/mp4",
    )  # fmt: skip
    spec = judge_clip(facts, Use(MODEL, "image"), Wish(), None).spec
    command = [sys.executable, str(program)]
    with Fixer(command=command, stall_s=0.2) as unreliable, pytest.raises(WorkError, match=said):
        unreliable.recode(tmp_path / name, facts, spec, heard.append)
    assert heard == [0.5]
    assert [path.name for path in tmp_path.iterdir()] == ["child.py"]
