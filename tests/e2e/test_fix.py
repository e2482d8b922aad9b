"""Claim: `fix` writes a copy that `check` accepts, and shows the change of the shot list that uses it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.harness import Studio, valid
from tests.media import films, makers, odd_makers


def test_what_check_refuses_is_mended_by_fix_and_the_change_it_shows(studio: Studio) -> None:
    """From exit 2 to exit 0 with the printed diffs, and nothing else; a second run has nothing new."""
    project = studio.project
    makers.picture(project / "cat.png", (150, 600))
    films.film(project / "wave.mp4", [("still", 4), ("moving", 7)], size=(400, 400))
    assert studio.run("check").code == 2
    fixed = studio.run("fix", "cat", "wave.mp4", "fox", "--json")
    assert fixed.code == 0, fixed.text
    valid(fixed.json, "fix")
    cat, wave, fox = fixed.json["inputs"]
    assert (cat["copy"]["path"], wave["copy"]["path"], fox["copy"]) == ("cat.fixed.png", "wave.fixed.mp4", None)
    assert fox["corrections"] == []
    assert wave["windows"][0]["end"] == "11"
    for change in (cat["copy"]["change"], wave["trim"]):
        done = subprocess.run(
            ["git", "apply", "-p0", "--unidiff-zero", "-"], cwd=project, input=change["diff"] + "\n", text=True,
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    checked = studio.run("check")
    assert checked.code == 0, checked.text
    assert "\n    start: 1\n    end: 11\n" in (project / "shotlist.yaml").read_text()
    again = studio.run("fix", "cat.png")
    assert "as it stood there already" in again.out


def test_everything_that_cannot_be_corrected_is_said_at_once(studio: Studio) -> None:
    """Exit 2; what can be corrected is corrected all the same; a mistyped name suggests the nearest."""
    odd_makers.encrypted(makers.clip(studio.project / "wave.mp4", 3.0, size=(400, 400)))
    (studio.project / "cat.png").write_text("<svg/>")
    makers.picture(studio.project / "fox.png", (150, 200))
    ended = studio.run("fix", "fox", "cat", "wave")
    assert ended.code == 2
    assert "copy protection" in ended.out
    assert "image type 'SVG' not supported" in ended.out
    assert (studio.project / "fox.fixed.png").is_file()
    document = studio.run("fix", "fox", "cat", "wave", "--json").json
    valid(document, "fix")
    assert [error["code"] for error in document["errors"]] == ["KR0206", "KR0210"]
    assert {error["file"] for error in document["errors"]} == {"shotlist.yaml"}
    unknown = studio.run("fix", "wav")
    assert (unknown.code, "did you mean 'wave'?" in unknown.err) == (2, True)


def test_a_file_is_corrected_without_any_shot_list(studio: Studio) -> None:
    """And with --dry-run nothing is written."""
    (studio.project / "shotlist.yaml").unlink()
    makers.clip(studio.project / "wave.mp4", 3.0, size=(400, 400), rotate=90)
    shown = studio.run("fix", "-n", "wave.mp4")
    assert "turned upright" in shown.out
    assert not (studio.project / "wave.fixed.mp4").exists()
    assert studio.run("fix", "wave.mp4").code == 0
    assert (studio.project / "wave.fixed.mp4").is_file()


def paste(project: Path, change: dict[str, Any]) -> None:
    done = subprocess.run(
        ["git", "apply", "-p0", "--unidiff-zero", "-"], cwd=project, input=change["diff"] + "\n", text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_change_shown_is_enough_for_odd_names_links_shared_files_and_trims(studio: Studio) -> None:
    """A copy stands beside the name that the list has, entries share it, and a trim comes with a copy that needs it."""
    project = studio.project
    (project / "shared").mkdir()
    makers.picture(project / "shared/real.png", (150, 200))
    (project / "link.png").symlink_to("shared/real.png")
    makers.picture(project / "qu\"ote's [1].png", (150, 200))
    films.film(project / "long.mp4", [("still", 3), ("moving", 9)], size=(300, 300))
    (project / "shotlist.yaml").write_text(
        "version: 1\nprovider: previz\ncharacters:\n  one: link.png\n  # and\n  two: {image: link.png}\n  # and\n"
        '  odd: "qu\\"ote\'s [1].png"\nmotions:\n  plain: {video: long.mp4, end: 11.5}\n'
        "shots: [{id: a, keep_audio: false, prompt: x}]\n"
    )
    before = {path: path.read_bytes() for path in project.rglob("*.[mp][pn][g4]")}
    assert studio.run("check").code == 2
    fixed = studio.run("fix", "link.png", "odd", "plain", "--json")
    assert fixed.code == 0, fixed.text
    one, two, odd, plain = fixed.json["inputs"]
    assert [found["copy"]["path"] for found in (one, two)] == ["link.fixed.png"] * 2
    assert (odd["notes"], plain["trim"]) == ([], None)
    for found in (one, two, odd, plain):
        paste(project, found["copy"]["change"])
    assert studio.run("check").code == 0
    assert {path: path.read_bytes() for path in before} == before


def test_what_is_no_input_is_called_what_it_is(studio: Studio) -> None:
    """An address, an empty name, a text, a missing file; nothing is said to be kept where nothing is."""
    project = studio.project
    (project / "note.txt").write_text("hello\n")
    films.film(project / "wave.mp4", [("moving", 11)], size=(400, 400))
    said = {
        "https://user:secret@example.com/a.png": "is remote: no copy can stand beside it",
        "": "an input has an empty name",
        "gone.mp4": "no such file or input: gone.mp4",
        "-f=none.yaml": "none.yaml",
    }
    for word, text in said.items():
        ended = studio.run("fix", *([word] if word[:1] != "-" else ["-f", "none.yaml", "fox"]))
        assert ended.code == 2
        assert text in ended.err
        assert "secret" not in ended.text
    noted = studio.run("fix", "note.txt", "--json")
    valid(noted.json, "fix")
    assert noted.json["errors"][0]["message"] == "note.txt: neither a picture nor a clip (looks like a text file)"
    short = studio.run("fix", "wave.mp4", "--start", "1", "--end", "2")
    assert (short.code, "trimmed to" in short.out, "keeps" in short.out) == (2, False, False)
    assert "\n  try   --start " in short.out
    (project / "shotlist.yaml").unlink()
    alone = studio.run("fix", "gone.mp4")
    assert "no such file: gone.mp4" in alone.err
    assert studio.run("fix", "wave.mp4", "--start", "1", "--end", "5").code == 0
    assert (project / "wave.fixed.mp4").is_file()
