"""Claim: the change of a shot list is what a person would type, touches one entry, and leaves comments alone."""

from __future__ import annotations

import pytest
import yaml

from kling_render.workspace.inputs.list_edits import change, renamed, trimmed, written

LIST = """\
version: 1
characters: {fox: fox.png, cat: "cats/cat 1.png"}   # the cast
motions:
  wave: clips/wave.mp4   # in June
  turn: {video: 'clips/turn.mp4', verb: turns}
  jump:
    # the high one
    video: clips/jump.mp4  # take 2
    tags: [a]
  spin: {video: clips/spin.mp4, start: 1, end: 0:20}
  from: "more/*.mp4"
"""


def place(text: str) -> tuple[int, int]:
    before = LIST[: LIST.index(text)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def lines(edit: object, text: str) -> list[str]:
    found = change(LIST, "shotlist.yaml", *place(text), edit)  # type: ignore[arg-type]
    assert found is not None
    assert found.diff.startswith("--- shotlist.yaml\n+++ shotlist.yaml\n@@ ")
    return [line for line in found.diff.splitlines()[3:] if line[0] in "+-"]


@pytest.mark.parametrize(
    ("text", "new", "said"),
    [
        ("fox.png", "fox.fixed.png", '+characters: {fox: fox.fixed.png, cat: "cats/cat 1.png"}   # the cast'),
        ('"cats', "cat 1.fixed.jpg", '+characters: {fox: fox.png, cat: "cats/cat 1.fixed.jpg"}   # the cast'),
        ("clips/wave", "wave.fixed.mp4", "+  wave: clips/wave.fixed.mp4   # in June"),
        ("'clips/turn", "it's.mp4", "+  turn: {video: 'clips/it''s.mp4', verb: turns}"),
        ("clips/wave", "wave: 1.mp4", '+  wave: "clips/wave: 1.mp4"   # in June'),
    ],
)
def test_a_file_name_is_replaced_in_its_own_spelling(text: str, new: str, said: str) -> None:
    """Quotes and comments stay."""
    assert lines(renamed(new), text)[1] == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clips/wave", ["+  wave: {video: clips/wave.mp4, start: 2.5, end: 12.5}   # in June"]),
        ("'clips/turn", ["+  turn: {video: 'clips/turn.mp4', start: 2.5, end: 12.5, verb: turns}"]),
        ("clips/jump", ["+    start: 2.5", "+    end: 12.5"]),
        ("clips/spin", ["+  spin: {video: clips/spin.mp4, start: 2.5, end: 12.5}"]),
    ],
)
def test_a_trim_is_set_in_every_form_of_an_entry(text: str, said: list[str]) -> None:
    """Short, flow and block; one that is there is replaced."""
    assert [line for line in lines(trimmed("2.5", "12.5"), text) if line[0] == "+"] == said


def test_a_pattern_gets_the_line_to_write() -> None:
    """An entry that a pattern made has no line of its own."""
    assert change(LIST, "shotlist.yaml", *place('"more'), renamed("a.fixed.mp4")) is None
    said = written("shotlist.yaml", 11, "motions", "a", {"video": "more/a.fixed.mp4"})
    assert said.write == "under motions:  a: {video: more/a.fixed.mp4}"
    assert yaml.safe_load(said.write.partition(":  ")[2]) == {"a": {"video": "more/a.fixed.mp4"}}


def test_an_entry_that_is_there_keeps_its_other_fields() -> None:
    """Where no diff can be shown (standard input, an alias), only what changes is to be written."""
    said = written("<stdin>", 3, "motions", "a", {"video": "a.fixed.mp4", "start": "2"}, entire=False)
    assert said.write == "in motions.a:  video: a.fixed.mp4, start: 2"


def test_an_edit_that_would_change_anything_else_is_not_shown() -> None:
    """What is shared by an alias cannot be edited for one entry alone."""
    shared = "characters: {a: &x {image: one.png}, b: *x}\n"
    at = shared.index("one")
    assert change(shared, "s.yaml", 1, at + 1, renamed("two.png")) is None
    assert change("a: [", "s.yaml", 1, 1, renamed("two.png")) is None
