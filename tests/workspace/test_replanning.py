"""Planning again and again, as watch mode does."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_render.config import load_settings
from kling_render.store.opening import Store
from kling_render.workspace.live.replanning import Planner
from kling_render.workspace.times import SystemClock
from kling_render.workspace.workspace import ListSource
from tests.media.makers import clip, picture

_OPENED: Counter[str] = Counter()


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | bytes):
        _OPENED[os.fsdecode(arguments[0])] += 1


sys.addaudithook(_hear)


def _read() -> set[str]:
    """Inputs of which more was read than the first bytes, which every plan looks at (a pointer of Git LFS?)."""
    return {Path(name).name for name, count in _OPENED.items() if name.endswith((".mp4", ".png")) and count > 1}


@pytest.fixture
def planner(tmp_path: Path) -> Iterator[Planner]:
    """Two characters and three clips, planned once."""
    film = tmp_path.resolve() / "film"
    film.mkdir()
    for name in ("fox", "cat"):
        picture(film / f"{name}.png", (340, 400 + len(name)))
    for number in range(3):
        clip(film / f"m{number}.mp4", 3.0 + number, fps=12, size=(344, 344), sound=False)
    (film / "shotlist.yaml").write_text(
        "version: 1\ncharacters: {from: '*.png'}\nmotions: {from: '*.mp4'}\nshots: [{id: sc010, prompt: on a roof}]\n"
    )
    environ = {"KLING_RENDER_STORE": str(tmp_path / "store"), "KLING_RENDER_OFFLINE": "true"}
    with Store.open(tmp_path / "store") as store:
        made = Planner(
            ListSource(film / "shotlist.yaml"),
            lambda: load_settings(environ, {}, None, home=tmp_path, cwd=film),
            store,
            SystemClock(),
            film,
        )
        time.sleep(0.05)  # a file that was read in the tick of its last change is not believed to stay the same
        assert made.plan().replan is not None
        yield made


def test_an_edit_of_one_clip_reads_that_clip_and_no_other_input(planner: Planner) -> None:
    """The rest is known by its stat signature."""
    film = planner.cwd
    data = (film / "m1.mp4").read_bytes()
    (film / "m1.mp4").write_bytes(data + b"\0\0\0\x0cfreeabcd")
    _OPENED.clear()
    attempted = planner.plan()
    assert attempted.replan is not None
    assert _read() == {"m1.mp4"}


def test_an_unchanged_project_is_planned_without_reading_an_input(planner: Planner) -> None:
    """And the plan is the same."""
    before = planner.plan().replan
    _OPENED.clear()
    after = planner.plan().replan
    assert before is not None
    assert after is not None
    assert _read() == set()
    assert [p.key for p in before.planned.plan.jobs] == [p.key for p in after.planned.plan.jobs]


def test_a_broken_list_is_a_problem_and_what_it_names_is_watched_on(planner: Planner) -> None:
    """Besides the files of the last good plan."""
    good = planner.plan().scope
    path = planner.source.path
    path.write_text(path.read_text() + "imports: [later.yaml\n")
    attempted = planner.plan()
    assert attempted.replan is None
    assert attempted.problem is not None
    assert attempted.scope.files >= good.files
