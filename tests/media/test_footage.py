"""Clips are watched for what the model would take and spoil; real footage is `python -m tests.media.labelled`."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image

from kling_render.media.facts import ClipFacts, ImageFacts
from kling_render.media.footage import findings
from kling_render.media.footage.advice import CODES, about_clip, about_image, about_sound
from kling_render.media.footage.findings import Footage, Moment
from kling_render.media.footage.viewer import Part, watch_many
from kling_render.models import DEFAULT_MODEL, MODELS
from tests.media.labelled import drawn
from tests.media.makers import clip, sound_only

FACTS = ClipFacts(
    container="mp4", codec="h264", width=720, height=1280, rotation=0, fps=25.0, duration_s=Decimal(12),
    has_audio=True, frames=300, bytes=1, mime="video/mp4",
)  # fmt: skip
LEAST = Decimal(3)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Footage], Path]:
    """Every drawn clip, watched in child processes, and the folder of the strips."""
    folder = tmp_path_factory.mktemp("drawn")
    clips = {
        "still": drawn.still(folder / "still.mp4"),
        "mute": drawn.mute(folder / "mute.mp4"),
        "hush": drawn.still(folder / "hush.mp4", db=-80),
        "cut": drawn.cut(folder / "cut.mp4", 1.5, 1.0, 1.5),
        "pan": drawn.pan(folder / "pan.mp4"),
        "rush": drawn.rush(folder / "rush.mp4"),
        "lightning": drawn.lightning(folder / "lightning.mp4"),
        "turned": clip(folder / "turned.mp4", 3.0, rotate=90),
        "few": clip(folder / "few.mp4", 4, fps=2, size=(344, 344)),
    }
    found = watch_many([Part(path, None, None, name) for name, path in clips.items()], folder)
    return dict(zip(clips, found, strict=True)), folder


def names(footage: Footage) -> set[str]:
    said = [*about_clip(FACTS, footage, None, None, LEAST), *about_sound(footage)]
    return {advice.name for advice in said}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("still", set()), ("mute", {"silence"}), ("hush", {"silence"}), ("cut", {"cuts"}), ("pan", {"camera"}),
        ("rush", {"speed"}), ("lightning", set()), ("turned", set()), ("few", set()),
    ],
)  # fmt: skip
def test_each_clip_gets_its_warnings_and_no_other(
    name: str, expected: set[str], watched: tuple[dict[str, Footage], Path]
) -> None:
    """What a person sees in the clip is what is said."""
    assert names(watched[0][name]) == expected


def test_cuts_have_the_time_of_the_first_frame_after_them(watched: tuple[dict[str, Footage], Path]) -> None:
    """Within a frame."""
    assert [cut.start for cut in watched[0]["cut"].cuts] == pytest.approx([1.5, 2.5], abs=0.05)


def test_a_camera_move_lasts_as_long_as_it_does(watched: tuple[dict[str, Footage], Path]) -> None:
    """A clip that is one pan is one move from its beginning to its end."""
    (move,) = watched[0]["pan"].camera
    assert move.start < 0.3
    assert move.end > 2.6


def test_every_finding_in_the_picture_has_a_strip(watched: tuple[dict[str, Footage], Path]) -> None:
    """A small PNG; silence has none."""
    found, folder = watched
    shown = {name: dict(footage.pictures) for name, footage in found.items() if footage.pictures}
    assert {name: set(pictures) for name, pictures in shown.items()} == {
        "cut": {"cuts"}, "pan": {"camera"}, "rush": {"speed"},
    }  # fmt: skip
    for pictures in shown.values():
        for picture in pictures.values():
            with Image.open(folder / picture) as strip:
                assert strip.format == "PNG"
                assert strip.width > 2 * strip.height
    assert not list(folder.glob("*.part"))


def test_only_the_used_part_is_watched(tmp_path: Path) -> None:
    """Cuts before `start` and after `end` do not matter; times are those of the file."""
    path = drawn.cut(tmp_path / "cut.mp4", 1.0, 1.0, 1.0)
    parts = [(None, Decimal("0.9")), (Decimal("1.1"), Decimal("1.9")), (Decimal("0.5"), Decimal("1.5"))]
    found = watch_many([Part(path, start, end, "part") for start, end in parts], None)
    assert [[round(cut.start) for cut in footage.cuts] for footage in found] == [[], [], [1]]
    assert found[2].pictures == ()


def test_what_cannot_be_watched_is_not_seen(tmp_path: Path) -> None:
    """Damaged, without a picture, missing, or a child that dies or hangs: no warning and no error."""
    damaged = drawn.mute(tmp_path / "damaged.mp4", 1)
    damaged.write_bytes(damaged.read_bytes()[:900])
    paths = [damaged, sound_only(tmp_path / "sound.mp4"), tmp_path / "missing.mp4"]
    found = watch_many([Part(path, None, None, "x") for path in paths], None)
    part = Part(paths[0], None, None, "x")
    dies = watch_many([part], None, command=[sys.executable, "-c", "import os; os._exit(9)"])
    assert [footage.seen for footage in (*found, *dies)] == [False] * 4


def test_findings_survive_the_cache() -> None:
    """JSON there and back; something else is refused."""
    footage = Footage(
        cuts=(Moment(1.0, 1.0),), camera=(Moment(0.2, 1.4),), loudest_db=-31.5, pictures=(("cuts", "a.png"),)
    )
    assert findings.from_json(json.loads(json.dumps(findings.to_json(footage)))) == footage
    for wrong in ({}, {**findings.to_json(footage), "cuts": 3}, {**findings.to_json(footage), "pictures": []}):
        with pytest.raises(ValueError, match="not findings"):
            findings.from_json(wrong)


def test_a_part_is_remembered_by_content_and_exact_times() -> None:
    """2, 2.0 and 2.00 are one time; no time is another."""
    keys = {findings.key("ab", Decimal(text), None) for text in ("2", "2.0", "2.00")}
    assert keys == {"ab:2-"}
    assert findings.key("ab", None, Decimal(10)) == "ab:-10"


def test_a_warning_says_what_where_why_and_what_to_do() -> None:
    """The longest part without a cut is offered when the model would take it."""
    cuts = Footage(cuts=(Moment(2.5, 2.5), Moment(7.0, 7.0)))
    (advice,) = about_clip(FACTS, cuts, None, None, LEAST)
    assert advice.message.startswith("2 cuts at 2.50 s and 7.00 s; the vendor's guidelines ask for one take")
    assert advice.help.startswith("use the longest part without a cut (start: 7.00, end: 12.00); or, if it is meant")
    (advice,) = about_clip(FACTS, cuts, Decimal(1), Decimal(8), Decimal(5))
    assert advice.help.startswith("use a clip in one take (no part without a cut lasts 5 s)")


def test_many_times_are_summed_up() -> None:
    """A music video does not fill the screen."""
    many = Footage(cuts=tuple(Moment(float(at), float(at)) for at in range(1, 10)))
    assert "9 cuts at 1.00 s, 2.00 s, 3.00 s, 4.00 s, 5.00 s and 4 more" in about_clip(
        FACTS, many, None, None, LEAST
    )[0].message  # fmt: skip


@pytest.mark.parametrize(
    ("size", "model", "mode", "said"),
    [
        ((539, 960), DEFAULT_MODEL, "", True), ((540, 960), DEFAULT_MODEL, "", False),
        ((359, 640), "klingai/video-v3-motion-control", "std", True),
        ((360, 640), "klingai/video-v3-motion-control", "std", False),
        ((360, 640), "klingai/video-v3-motion-control", "pro", True),
        ((300, 300), DEFAULT_MODEL, "unknown", False),
    ],
)  # fmt: skip
def test_a_picture_with_less_than_half_of_the_outputs_edge_is_small(
    size: tuple[int, int], model: str, mode: str, said: bool
) -> None:
    """The output's edge depends on the model's mode; an unknown one is not guessed."""
    facts = ImageFacts(kind="png", width=size[0], height=size[1], bytes=1, mime="image/png")
    assert bool(about_image(facts, MODELS[model], mode)) is said


def test_every_warning_can_be_allowed_in_the_shot_list() -> None:
    """The schema knows the names that warnings have."""
    schema = json.loads((Path(__file__).parents[2] / "schemas" / "shotlist.schema.json").read_text("utf-8"))
    allowed = {
        name
        for part in schema["$defs"].values()
        for field, about in part.get("properties", {}).items()
        if field == "allow"
        for name in about["items"]["enum"]
    }
    assert set(CODES) <= allowed
