"""Claim: a clip is shown by its copy as its header asks for, and a disk that refuses costs nothing but a message."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from kling_render.media import boxes, limits
from kling_render.media.facts import ClipFacts
from kling_render.media.fixing.fixer import Fixer, Made, put_beside
from kling_render.media.fixing.footage import Use
from kling_render.media.fixing.records import Wish
from kling_render.media.probe import Prober
from kling_render.media.sameness import Decoder
from kling_render.media.trimming import write_trimmed
from kling_render.models import DEFAULT_MODEL, MODELS
from kling_render.workspace.inputs.fixing import Fixing, Outcome
from kling_render.workspace.inputs.naming import Item
from tests.media import makers

_ONE = 1 << 16
_HALF = 46_341
"""The sine of 45°."""


@pytest.fixture(scope="module")
def fixer() -> Iterator[Fixer]:
    with Fixer() as started:
        yield started


def corner(path: Path, size: tuple[int, int] = (480, 360)) -> Path:
    """A clip of three seconds with a light upper left corner."""
    with av.open(os.fspath(path), "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=8)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.options = {"preset": "ultrafast", "bf": "0"}
        pixels = np.full((size[1], size[0], 3), 30, np.uint8)
        pixels[: size[1] // 2, : size[0] // 2] = 220
        for index in range(24):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 8)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    return path


def shown_with(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Gives a clip a display matrix."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def light(path: Path) -> tuple[str, tuple[int, int]]:
    """Where the light corner of a clip without any matrix is, and the clip's size."""
    with path.open("rb") as file:
        whole = boxes.walk(file)
        assert (boxes.rotation(file, whole), boxes.is_mirrored(file, whole)) == (0, False)
    picture = makers.play(path)[0][0]
    height, width = picture.shape[:2]
    quarters = {
        f"{upper} {left}": float(picture[y : y + height // 2, x : x + width // 2].mean())
        for upper, y in (("upper", 0), ("lower", height // 2))
        for left, x in (("left", 0), ("right", width // 2))
    }
    assert sorted(quarters.values())[-2] < 60
    return max(quarters, key=quarters.__getitem__), (width, height)


def fix(path: Path, prober: Prober, fixer: Fixer) -> Outcome:
    item = Item(path.name, path, "clip", None, (Use(MODELS[DEFAULT_MODEL], "image"),))
    return Fixing(prober, fixer, Wish(), path.parent).fix(item)


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((-_ONE, 0, 0, _ONE), ("upper right", (480, 360))),
        ((_ONE, 0, 0, -_ONE), ("lower left", (480, 360))),
        ((0, _ONE, _ONE, 0), ("upper left", (360, 480))),
        ((0, -_ONE, -_ONE, 0), ("lower right", (360, 480))),
        ((0, _ONE, -_ONE, 0), ("upper right", (360, 480))),
    ],
)
def test_a_mirrored_clip_is_mirrored_and_upright_in_its_copy_and_its_trim(
    matrix: tuple[int, int, int, int],
    shown: tuple[str, tuple[int, int]],
    tmp_path: Path,
    prober: Prober,
    fixer: Fixer,
) -> None:
    """Front cameras write such matrices; taken for half a turn they put the figure on its head."""
    path = shown_with(corner(tmp_path / "a.mp4"), *matrix)
    outcome = fix(path, prober, fixer)
    assert outcome.copy is not None, outcome.problems
    assert light(outcome.copy) == shown
    write_trimmed(path, tmp_path / "trimmed.mp4", None, None, keep_audio=False)
    assert light(tmp_path / "trimmed.mp4") == shown


def test_pixels_that_are_not_square_become_square(tmp_path: Path, prober: Prober, fixer: Fixer) -> None:
    """A figure of an anamorphic recording is not squeezed."""
    path = shown_with(corner(tmp_path / "a.mp4"), 2 * _ONE, 0, 0, _ONE)
    write_trimmed(path, tmp_path / "trimmed.mp4", None, None, keep_audio=False)
    assert light(tmp_path / "trimmed.mp4") == ("upper left", (960, 360))
    outcome = fix(path, prober, fixer)
    assert [(one.wrong, one.done) for one in outcome.corrections] == [
        ("its pixels are not square (2:1)", "scaled to 960 × 360")
    ]
    assert outcome.copy is not None
    assert light(outcome.copy) == ("upper left", (960, 360))
    again = fix(outcome.copy, prober, fixer)
    assert (again.corrections, again.problems) == ([], [])


def test_a_slant_is_left_out_and_said(tmp_path: Path, prober: Prober, fixer: Fixer) -> None:
    """A turn by 45° is shown by hardly any program."""
    outcome = fix(shown_with(corner(tmp_path / "a.mp4"), _HALF, _HALF, -_HALF, _HALF), prober, fixer)
    assert "turned by 45°" in outcome.corrections[0].wrong
    assert outcome.copy is not None
    assert light(outcome.copy) == ("upper left", (480, 360))


@pytest.mark.skipif(os.name == "nt", reason="no limits on the size of files here")
def test_a_full_disk_is_said_as_such_and_leaves_nothing(tmp_path: Path, prober: Prober) -> None:
    """Not as a fault of the original; the process that works lives on."""
    clip = makers.clip(tmp_path / "a.mp4", 3.0, size=(400, 360), rotate=90)
    picture = makers.picture(tmp_path / "a.png", (100, 120))
    small = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", *limits.command("kling_render.media.fixing.fixing_child")]
    with Fixer(command=small) as narrow:
        fixing = Fixing(prober, narrow, Wish(), tmp_path)
        uses = (Use(MODELS[DEFAULT_MODEL], "image"),)
        outcomes = [fixing.fix(Item(clip.name, clip, "clip", None, uses))]
        outcomes += [fixing.fix(Item(picture.name, picture, "image", None, uses))]
    for outcome in outcomes:
        assert "cannot be written beside it" in outcome.failures[0].message
        assert outcome.failures[0].help == "make room on the disk"
        assert (outcome.unfixable, outcome.copy) == ([], None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "a.png"]


def test_the_same_copy_that_another_run_made_meanwhile_is_no_stranger(tmp_path: Path) -> None:
    """Two runs at once on one input both end well; a link or a folder of that name is left alone."""
    target = tmp_path / "a.fixed.png"
    made = [Made(tmp_path / name, "png", 1, 1, "") for name in ("one.part", "two.part", "three.part")]
    for one in made:
        one.part.write_bytes(b"the copy")
    assert put_beside(made[0], target)
    assert not put_beside(made[1], target)
    target.unlink()
    target.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        put_beside(made[2], target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.fixed.png"]
    assert target.is_symlink()


def test_the_answer_of_a_process_without_a_reader_leaves_no_file(tmp_path: Path) -> None:
    """Whoever asked was killed while the copy was made."""
    picture = makers.picture(tmp_path / "a.png", (100, 120))
    spec = {"picture": [300, 360], "canvas": [300, 360], "kind": "png", "pad": "blur", "background": "#ffffff"}
    asked = {
        "do": "image", "source": os.fspath(picture), "part": os.fspath(tmp_path / "x.part"),
        "spec": {**spec, "most": 10**7},
    }  # fmt: skip
    process = subprocess.Popen(
        limits.command("kling_render.media.fixing.fixing_child"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=limits.environment(), text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    process.stdin.write(json.dumps(asked) + "\n")
    process.stdin.close()
    assert process.wait(60) != 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_mirrored_clip_is_not_the_same_as_one_that_is_not(tmp_path: Path) -> None:
    """Nor a slanted one: `keep` must not take them for one another."""
    path = corner(tmp_path / "a.mp4")
    with Decoder() as decoder:
        for name, matrix in {"b.mp4": (-_ONE, 0, 0, _ONE), "c.mp4": (_HALF, _HALF, -_HALF, _HALF)}.items():
            (tmp_path / name).write_bytes(path.read_bytes())
            assert decoder.difference(path, shown_with(tmp_path / name, *matrix)) == "its pixels differ"


def test_the_facts_of_a_mirrored_clip_have_its_shown_size(tmp_path: Path, prober: Prober) -> None:
    """A quarter turn exchanges the edges, mirrored or not."""
    facts = prober.probe(shown_with(corner(tmp_path / "a.mp4"), 0, _ONE, _ONE, 0), "clip")
    assert isinstance(facts, ClipFacts)
    assert (facts.width, facts.height) == (360, 480)
