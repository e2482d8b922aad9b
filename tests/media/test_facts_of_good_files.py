"""Claim: what is found out about a usable file is right, whatever its name."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from kling_render.media.facts import ClipFacts, ImageFacts, Unreadable, from_json, to_json
from kling_render.media.probe import Prober
from kling_render.media.rules import check_name
from tests.media import makers


@pytest.mark.parametrize(("kind", "mime"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
def test_an_image_is_known_by_its_content(kind: str, mime: str, tmp_path: Path, prober: Prober) -> None:
    path = makers.picture(tmp_path / "no-suffix", (301, 402), kind)
    facts = prober.probe(path, "image")
    assert facts == ImageFacts(kind=kind.lower(), width=301, height=402, bytes=path.stat().st_size, mime=mime)  # type: ignore[arg-type]


def test_the_exif_orientation_turns_the_size(tmp_path: Path, prober: Prober) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    facts = prober.probe(makers.picture(tmp_path / "a.jpg", (400, 300), "JPEG", exif=exif), "image")
    assert isinstance(facts, ImageFacts)
    assert (facts.width, facts.height) == (300, 400)


def test_a_png_that_is_a_jpeg_is_accepted_with_a_warning_and_its_true_type(tmp_path: Path, prober: Prober) -> None:
    facts = prober.probe(makers.picture(tmp_path / "hero.png", kind="JPEG"), "image")
    assert isinstance(facts, ImageFacts)
    assert facts.mime == "image/jpeg"
    (warning,) = check_name("characters/hero.png", facts)
    assert (warning.code, warning.severity) == ("KR0205", "warning")
    assert "named '.png' but is JPEG inside; it is sent as image/jpeg" in warning.message
    assert check_name("characters/hero.JPG", facts) == []
    assert check_name("characters/hero", facts) == []


def test_a_clip_tells_size_rate_length_and_sound(tmp_path: Path, prober: Prober) -> None:
    path = makers.clip(tmp_path / "a.mp4", 1.5, fps=24)
    assert prober.probe(path, "clip") == ClipFacts(
        container="mp4", codec="h264", width=160, height=120, rotation=0, fps=24.0, duration_s=Decimal("1.5"),
        has_audio=True, frames=36, bytes=path.stat().st_size, mime="video/mp4",
        audio_streams=1,
    )  # fmt: skip


def test_the_length_is_the_exact_fraction_rounded_to_six_places(tmp_path: Path, prober: Prober) -> None:
    facts = prober.probe(makers.clip(tmp_path / "a.mp4", 1 / 3, fps=30, sound=False), "clip")
    assert isinstance(facts, ClipFacts)
    assert facts.duration_s == Decimal("0.333333")
    assert facts.has_audio is False


def test_a_quicktime_file_is_told_from_an_mp4(tmp_path: Path, prober: Prober) -> None:
    facts = prober.probe(makers.clip(tmp_path / "a.mp4", 0.5, container="mov"), "clip")
    assert isinstance(facts, ClipFacts)
    assert (facts.container, facts.mime) == ("mov", "video/quicktime")
    assert [w.code for w in check_name("a.mp4", facts)] == ["KR0205"]


@pytest.mark.parametrize(
    ("asked", "told", "size"), [(90, 270, (120, 160)), (180, 180, (160, 120)), (270, 90, (120, 160))]
)
def test_a_rotated_clip_reports_its_upright_size(
    asked: int, told: int, size: tuple[int, int], tmp_path: Path, prober: Prober
) -> None:
    facts = prober.probe(makers.clip(tmp_path / "a.mp4", 0.5, rotate=asked), "clip")
    assert isinstance(facts, ClipFacts)
    assert (facts.rotation, (facts.width, facts.height)) == (told, size)


def test_facts_survive_json(tmp_path: Path, prober: Prober) -> None:
    image = prober.probe(makers.picture(tmp_path / "a.png"), "image")
    moving = prober.probe(makers.clip(tmp_path / "a.mp4", 0.5), "clip")
    for facts in (image, moving, Unreadable("KR0204", "empty", "again")):
        assert from_json(json.loads(json.dumps(to_json(facts)))) == facts


@pytest.mark.parametrize("data", [{}, {"is": "image"}, {"is": "nonsense"}, {"is": "clip", "duration_s": "x"}])
def test_foreign_json_is_refused(data: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not facts"):
        from_json(data)


def test_many_files_keep_their_order_and_report_progress(tmp_path: Path, prober: Prober) -> None:
    paths = [makers.picture(tmp_path / f"{n}.png", (300 + n, 300)) for n in range(40)]
    seen: list[int] = []
    facts = prober.probe_many([(path, "image") for path in paths], seen.append)
    assert [f.width for f in facts if isinstance(f, ImageFacts)] == [300 + n for n in range(40)]
    assert seen == list(range(1, 41))


def test_the_parent_never_imports_a_media_library(tmp_path: Path) -> None:
    path = makers.clip(tmp_path / "a.mp4", 0.5)
    code = (
        "import sys; from pathlib import Path\n"
        "from kling_render.media import facts, probe, rehearsal, rules, trim\n"
        "with probe.Prober(1) as p: print(p.probe(Path(sys.argv[1]), 'clip').codec)\n"
        "print(sorted({'av', 'numpy', 'PIL'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["h264", "[]"]
