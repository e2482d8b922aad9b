"""Every bad shot list is refused with exactly the text that lies beside it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kling_render.cli.diagnostics import as_json
from tests.shotlist.golden_errors import GOLDEN, NAMES, outcome, project, seen


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_list_shows_exactly_the_golden_text(name: str, tmp_path: Path) -> None:
    """What the user sees of a bad list is what was reviewed."""
    assert seen(tmp_path, name) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_no_golden_text_is_left_over() -> None:
    """Each expected text belongs to a bad list."""
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(NAMES)


@pytest.mark.parametrize("name", ["aliases_expand", "merge_bomb", "two_hundred_thousand_brackets", "deep_blocks"])
def test_a_bomb_is_refused_at_once(name: str, tmp_path: Path) -> None:
    """A file made to explode costs no more than a fifth of a second."""
    path = project(tmp_path, name)
    start = time.process_time()
    declared, found = outcome(path)
    assert time.process_time() - start < 0.2
    assert declared is None
    assert [diagnostic.code for diagnostic in found] == ["KR0103"]


def test_a_fifo_never_blocks(tmp_path: Path) -> None:
    """A named pipe in place of an image is refused without opening it."""
    start = time.monotonic()
    _, found = outcome(project(tmp_path, "not_files"))
    assert time.monotonic() - start < 5
    assert {diagnostic.code for diagnostic in found} == {"KR0202"}


def test_no_secret_is_echoed(tmp_path: Path) -> None:
    """Keys, endpoints and passwords that stand in a list appear in no message and no excerpt."""
    for name in ("settings_of_the_user", "bad_urls"):
        (tmp_path / name).mkdir()
        path = project(tmp_path / name, name)
        text = repr(outcome(path)[1])
        assert "KR0" in text
        for secret in ("sk-live", "hunter2", "example.net"):
            assert secret not in text


def test_errors_of_single_fields_leave_the_rest_to_be_checked(tmp_path: Path) -> None:
    """After a missing file the declarations come back, so that the expander's findings join the same report."""
    declared, found = outcome(project(tmp_path, "missing_files"))
    assert declared is not None
    assert set(declared.characters) == {"fox", "owl", "cat"}
    assert {diagnostic.severity for diagnostic in found} == {"error"}


def test_a_refused_input_never_hands_its_path_on(tmp_path: Path) -> None:
    """A path outside the project is in no record, whatever happens later."""
    declared, _ = outcome(project(tmp_path, "outside_the_project"))
    assert declared is not None
    root = (tmp_path / "home" / "project").resolve()
    assert all(c.image.path is not None and c.image.path.is_relative_to(root) for c in declared.characters.values())


def test_errors_are_values_for_programs(tmp_path: Path) -> None:
    """`--json` carries code, message, file, line, column, help, picture and severity."""
    _, found = outcome(project(tmp_path, "unknown_field"))
    (error,) = as_json(found)
    assert error["help"].startswith("known here: id, characters")
    assert {key: value for key, value in error.items() if key != "help"} == {
        "code": "KR0106",
        "severity": "error",
        "message": "unknown field 'promt'; did you mean 'prompt'?",
        "file": "shotlist.yaml",
        "line": 6,
        "column": 5,
        "picture": None,
    }


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    """A list that is not there is an error without a place, and with a way on."""
    declared, found = outcome(tmp_path / "shotlist.yaml")
    assert declared is None
    assert [(error.code, error.message) for error in found] == [("KR0116", "no such file: shotlist.yaml")]
