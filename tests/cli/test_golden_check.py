"""Every bad project is refused with exactly the text that lies beside it, whichever command meets it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.golden_check import GOLDEN, NAMES, Printed, called, make_project, put

ROOT = Path(__file__).parents[2]
#: One case per stage, and the one with all of them.
STAGES = ("no_match", "undefined", "path_shared", "clip_lengths", "everything_at_once")
WORDS = {
    "check": ("check", "--json"),
    "plan": ("plan", "--json"),
    "render": ("render", "--yes", "--max-usd", "1", "--json"),
}
#: A text file without permission: who runs the tests may read every file.
UNSEEN = {"KR0116"}
_DOCUMENTED = re.compile(r"^\| (KR\d{4}) \|", re.MULTILINE)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every picture and clip of the cases; each case puts its shot list there."""
    return make_project(tmp_path_factory.mktemp("check"))


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_project_shows_exactly_the_golden_text(name: str, project: Path) -> None:
    """What `check` prints is what was reviewed; errors end with 2, warnings alone with 0."""
    expected = golden(name)
    code = 2 if "error[" in expected else 0
    assert called(project, "check", *put(project, name)) == Printed(code, expected, "")


@pytest.mark.parametrize("name", ["damaged", "template_not_allowed", "everything_at_once"])
def test_the_tool_as_a_process_prints_the_same(name: str, project: Path) -> None:
    """The command line of a user, without anything of this process."""
    words = [sys.executable, "-m", "kling_render", "check", *put(project, name), "--store", f"{project.parent}/store"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(words, cwd=project, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, golden(name), "")


@pytest.mark.parametrize("name", STAGES)
def test_every_command_reports_the_same_errors(name: str, project: Path) -> None:
    """`plan` and `render` say what `check` says, as text and as JSON, and nothing is rendered."""
    put(project, name)
    for command, words in WORDS.items():
        as_json = called(project, *words)
        as_text = called(project, *words[:-1])
        assert (as_json.code, as_text.code) == (2, 2)
        found = json.loads(as_json.out)
        assert found["format"] == f"kling-render.{command}/1"
        assert found["errors"] == json.loads(called(project, "check", "--json").out)["errors"]
        assert (as_text.out if command == "check" else as_text.err).strip() == golden(name).strip()
    assert not (project / "renders").exists()


def test_the_json_of_an_error_has_what_the_text_has(project: Path) -> None:
    """Code, message, place and help of each error stand in the text too, in the same order."""
    put(project, "everything_at_once")
    errors = json.loads(called(project, "check", "--json").out)["errors"]
    at = 0
    for error in errors:
        at = golden("everything_at_once").index(f"error[{error['code']}]: {error['message']}", at)
        rest = golden("everything_at_once")[at:]
        assert f"--> {error['file']}:{error['line']}:{error['column']}\n" in rest
        assert f"help: {error['help']}\n" in rest


def test_errors_of_all_stages_come_in_the_order_of_the_file() -> None:
    """The reader, the expansion, the templates, the paths and the media speak together, from top to bottom."""
    text = golden("everything_at_once")
    assert {"KR0106", "KR0130", "KR0131", "KR0204", "KR0208", "KR0214", "KR0301", "KR0402", "KR0404"} <= set(
        re.findall(r"^error\[(KR\d{4})\]", text, re.MULTILINE)
    )
    lines = [int(found) for found in re.findall(r"^(?:error|warning).*\n +--> shotlist.yaml:(\d+)", text, re.MULTILINE)]
    assert lines == sorted(lines)


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_says_where_it_is_and_what_to_do(name: str) -> None:
    """No finding lacks its place, its line with a caret, or a remedy."""
    for problem in re.split(r"\n\n(?=error|warning)", golden(name)):
        if problem.startswith(("error", "warning")):
            assert re.search(r"^ +--> \S+:\d+:\d+$", problem, re.MULTILINE), problem
            assert re.search(r"^ +\| +\^+$", problem, re.MULTILINE), problem
            assert re.search(r"^ +help: \S", problem, re.MULTILINE), problem


@pytest.mark.parametrize("name", ["no_key_is_shown", "no_key_is_shown_beside_media"])
def test_no_key_reaches_the_screen(name: str) -> None:
    """A line that holds a key is shown without it, whoever finds something wrong in that line."""
    assert "canary" in (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
    assert "canary" not in golden(name)


def test_every_code_has_a_golden_text() -> None:
    """Each code of the page about errors is shown by a case here or among the reader's."""
    documented = set(_DOCUMENTED.findall((ROOT / "docs/errors.md").read_text(encoding="utf-8")))
    folders = (GOLDEN, GOLDEN.parent / "errors")
    shown = "".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.glob("*.txt"))
    assert documented - UNSEEN == set(re.findall(r"\[(KR\d{4})\]", shown))


def test_no_golden_text_is_left_over() -> None:
    """Each expected text belongs to a bad project."""
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(NAMES)
