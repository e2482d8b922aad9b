"""How an explanation looks: marks in a pipe, colours on a terminal, and nothing foreign reaches it raw."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any

from kling_render.cli.explain_text import explain_text
from kling_render.planning.explanation import changes
from kling_render.planning.manifest import Manifest
from kling_render.shotlist.records import Project
from kling_render.workspace.plans.explaining import Explained, InputSeen
from tests.planning.build import World, job, project, request
from tests.planning.test_explanation import attempt


def explained(old: str, new: str, **more: Any) -> Explained:
    """A job whose prompt was edited."""
    before, after = (job(request=request(prompt=text)) for text in (old, new))
    world, home = World(), project(after)
    first, planned = world.one(before), world.one(after)
    assert isinstance(home, Project)
    return Explained(
        planned=planned,
        project=home,
        source=None,
        kept=None,
        earlier=attempt(after.id, Manifest(first.manifest_json), 1_800_000_000.0),
        earlier_result=None,
        changes=changes(after, Manifest(first.manifest_json), Manifest(planned.manifest_json)),
        inputs={},
        **more,
    )


def test_changed_words_are_marked_in_a_pipe_and_coloured_on_a_terminal() -> None:
    """Both texts, each on lines of its own, with the template's place."""
    told = explained("a fox\nat night", "a fox\nat dawn")
    plain = explain_text(told, color=False, verbose=False, zone=UTC)
    assert "    prompt (prompts/sc010.j2:1)\n      - at [-night-]\n      + at {+dawn+}\n" in plain
    assert "made 2027-01-15 08:00 UTC" in plain
    assert "image and clip: the same" in plain
    coloured = explain_text(told, color=True, verbose=False, zone=UTC)
    assert "\x1b[31m-\x1b[0m at \x1b[1;31mnight\x1b[0m\n" in coloured
    assert "\x1b[32m+\x1b[0m at \x1b[1;32mdawn\x1b[0m\n" in coloured


def test_long_prompts_are_cut_where_nothing_changed() -> None:
    """All of it with -v; white space that changed is seen too."""
    same = "and so on " * 40
    told = explained(f"{same}night", f"{same}dawn")
    short = explain_text(told, color=False, verbose=False)
    assert "[-night-]" in short
    assert same not in short
    assert f"- {same}[-night-]" in explain_text(told, color=False, verbose=True)
    blank = explained("a  fox", "a fox")
    assert "only white space differs" in explain_text(blank, color=False, verbose=False)
    assert "\x1b[1;31m\x1b[7m  \x1b[0m" in explain_text(blank, color=True, verbose=False)


def test_nothing_foreign_reaches_the_terminal_raw() -> None:
    """Escapes in a prompt or a file's name are written out."""
    told = explained("a fox", "a \x1b[2Jfox")
    assert "\x1b" not in explain_text(told, color=False, verbose=True)
    new = InputSeen(sha256="b" * 64, url=None, bytes=3, name="\x1b]0;x\x07.png")
    old = replace(new, sha256="a" * 64, bytes=None, name=None)
    (change,) = told.changes
    image = replace(change, field="image", words=())
    text = explain_text(replace(told, changes=(image,), inputs={"image": (old, new)}), color=False, verbose=False)
    assert "image: aaaaaaaaaaaa (size unknown) -> bbbbbbbbbbbb (^[]0;x^G.png, 3 bytes)" in text
