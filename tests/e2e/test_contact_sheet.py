"""Looking at results: what is wrong with them is said everywhere, and contact sheets show them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from PIL import Image

from kling_render.sandbox.testing import running_sandbox
from tests.e2e.harness import Studio
from tests.e2e.harness import valid as hold
from tests.media.makers import clip


def valid(document: dict[str, Any], schema: str) -> dict[str, Any]:
    """The document, held against its schema."""
    hold(document, schema)
    return document


def test_a_result_without_its_sound_is_said_and_not_paid_again(tmp_path: Path, studio: Studio) -> None:
    """In the summary, in status, in the index and on the sheet; the result is the job's all the same."""
    clip(studio.project / "wave.mp4", 3.0, fps=12, size=(344, 344), sound=True)
    with running_sandbox(answers="canned", generation_seconds=0) as sandbox:
        silent = Studio(studio.folder, sandbox)
        rendered = silent.render("sc010/fox")
        text = "no sound, although its clip has some"
        assert rendered.code == 0
        assert f"warning: sc010/fox/wave/t01: {text}" in rendered.out
        assert f"sc010/fox/wave/t01  {text}" in silent.run("status").out
        told = valid(silent.run("status", "--json").json, "status")
        assert [job["warnings"] for job in told["jobs"] if job["sha256"]] == [[text]]
        index = valid(json.loads((silent.project / "renders/index.json").read_text()), "index")
        takes = [take for cell in index["cells"] for take in cell["takes"]]
        assert [take.get("warnings") for take in takes if take["sha256"]] == [[text]]
        sheet = valid(silent.run("export", "contact-sheet", "--json").json, "export")
        assert sheet["warnings"] == {"sc010/fox/wave/t01": [text]}
        again = silent.render("sc010/fox")
        assert again.out.startswith("everything is up to date: nothing was sent")


def test_a_sheet_is_written_once_and_then_only_where_something_changed(studio: Studio) -> None:
    """And no other command minds its files."""
    assert studio.render("sc010/fox").code == 0
    first = valid(studio.run("export", "contact-sheet", "--json").json, "export")
    assert first["jobs"] == 2
    assert {file["action"] for file in first["files"]} == {"written"}
    renders = studio.project / "renders"
    before = {path: path.stat().st_mtime_ns for path in renders.rglob("*") if path.is_file()}
    again = studio.run("export", "contact-sheet")
    assert (again.code, again.err) == (0, "")
    assert again.out.splitlines() == [
        "contact sheet of 2 jobs: renders/contact-sheet.html, renders/contact-sheet.png",
        f"0 files written, {len(first['files'])} unchanged",
    ]
    assert studio.run("plan", "--json").json["stale_outputs"] == []
    assert studio.run("render", "sc010/fox", "--prune").code == 0
    assert {path: path.stat().st_mtime_ns for path in renders.rglob("*") if path.is_file()} == before
    page = (renders / "contact-sheet.html").read_text()
    assert "sc010/<wbr>fox/<wbr>wave/<wbr>t01" in page
    assert "to render" in page
    studio.render()
    changed = studio.run("export", "contact-sheet", "--json").json
    assert {f["path"] for f in changed["files"] if f["action"] == "written"} >= {"contact-sheet.html"}


def test_pictures_come_back_when_the_store_lost_them(studio: Studio) -> None:
    """They are derived; the sheet stays as it was, to the byte."""
    studio.render()
    studio.run("export", "contact-sheet")
    kept = [path for path in (studio.store / "previews").rglob("*") if path.is_file()]
    pictures = {path: path.read_bytes() for path in kept}
    assert len(pictures) == 4
    for path in pictures:
        path.unlink()
    assert studio.run("verify").code == 0
    again = studio.run("export", "contact-sheet", "--json").json
    assert {file["action"] for file in again["files"]} == {"unchanged"}
    assert {path: path.read_bytes() for path in pictures} == pictures
    lone = studio.store / "previews" / "ab" / f"{'ab' * 32}.poster-1.webp"
    lone.parent.mkdir(exist_ok=True)
    lone.write_bytes(b"x")
    items = valid(studio.run("gc", "--json").json, "gc")["items"]
    assert [(item["kind"], item["path"]) for item in items] == [("preview", lone.relative_to(studio.store).as_posix())]


def test_damaged_pictures_are_made_anew_and_damaged_films_are_said(studio: Studio) -> None:
    """A film that is damaged in the store is taken from the output folder; where both are, the sheet says so."""
    studio.render()
    studio.run("export", "contact-sheet")
    kept = sorted(path for path in (studio.store / "previews").rglob("*") if path.is_file())
    whole = [path.read_bytes() for path in kept]
    for path, size in zip(kept, (0, 100, 12, 5000), strict=True):
        os.truncate(path, size)
    again = studio.run("export", "contact-sheet", "--json").json
    assert {file["action"] for file in again["files"]} == {"unchanged"}
    assert [path.read_bytes() for path in kept] == whole
    blobs = [path for path in (studio.store / "blobs").rglob("*") if path.is_file()]
    for blob in blobs:
        blob.chmod(0o600)
        os.truncate(blob, 1000)
    unopened = studio.run("export", "contact-sheet", "--json").json
    assert (unopened["warnings"], {file["action"] for file in unopened["files"]}) == ({}, {"unchanged"})
    for path in kept:
        path.unlink()
    assert studio.run("export", "contact-sheet", "--json").json["warnings"] == {}
    assert [path.read_bytes() for path in kept] == whole
    kept[0].unlink()
    for film in (studio.project / "renders").rglob("*.mp4"):
        film.unlink()
    told = valid(studio.run("export", "contact-sheet", "--json").json, "export")["warnings"]
    assert [text[:33] for texts in told.values() for text in texts] == ["no picture: its film cannot be sh"]


def test_pictures_that_the_store_cannot_keep_are_said_and_leave_nothing(studio: Studio) -> None:
    """A folder stands where a poster belongs; the sheet is written all the same."""
    studio.render("sc010/fox")
    (blob,) = (path for path in (studio.store / "blobs").rglob("*") if path.is_file())
    folder = studio.store / "previews" / blob.name[:2]
    (folder / f"{blob.name}.poster-1.webp").mkdir(parents=True)
    made = studio.run("export", "contact-sheet")
    assert made.code == 0
    assert "warning: sc010/fox/wave/t01: no picture: the store cannot keep one: " in made.out
    assert [path.name for path in folder.iterdir()] == [f"{blob.name}.poster-1.webp"]


def test_rehearsals_have_sheets_without_prices(studio: Studio) -> None:
    """In their own folder."""
    assert studio.run("render", "--provider", "previz").code == 0
    made = studio.run("export", "contact-sheet", "--provider", "previz")
    assert made.code == 0
    page = (studio.project / "renders.previz/contact-sheet.html").read_text()
    assert "Rehearsals, not the model." in page
    assert "$" not in page.partition("</style>")[2]


def test_one_file_holds_its_pictures_and_replaces_no_strangers_file(studio: Studio) -> None:
    """A page for the mail, a picture for the chat, a folder for the web server."""
    studio.render()
    for name in ("mail.html", "chat.png", "folder"):
        assert studio.run("export", "contact-sheet", "-o", name).code == 0
        assert "1 unchanged" in (again := studio.run("export", "contact-sheet", "-o", name)).out or name == "folder"
        assert again.code == 0
    assert "data:image/webp;base64," in (studio.project / "mail.html").read_text()
    with Image.open(studio.project / "chat.png") as image:
        assert image.format == "PNG"
    assert (studio.project / "folder/contact-sheet.html").is_file()
    for name in ("fox.png", "missing/sheet.html", "-", "", "sheet.pdf", "wave.mp4", "x" * 300 + ".html", "x" * 300):
        before = (studio.project / "fox.png").read_bytes()
        refused = studio.run("export", "contact-sheet", "-o", name, "--json")
        assert refused.code == 2, refused.text
        valid(refused.json, "export")
        assert (studio.project / "fox.png").read_bytes() == before
    assert studio.run("export", "contact-sheet", "nobody").code == 2
    assert studio.run("export", "nothing", "--json").json["format"] == "kling-render.export/1"
