from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_render.sandbox.testing import Sandbox, running_sandbox
from tests.canary import ArgumentWatch
from tests.e2e.harness import Studio
from tests.media.makers import clip, picture


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """One sandbox per module: answers are the uploaded clips, ready after a moment."""
    with running_sandbox(answers="echo", queued_seconds=0.02, generation_seconds=0.1) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    """The module's sandbox as after its start."""
    running.reset()
    return running


@pytest.fixture(scope="session", autouse=True)
def arguments() -> Iterator[None]:
    """The key is in the arguments of no process, at any time."""
    with ArgumentWatch() as watch:
        yield
    assert not watch.seen, watch.seen


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two characters and a clip that fit every limit, as small as the limits allow."""
    folder = tmp_path_factory.mktemp("media")
    picture(folder / "fox.png")
    picture(folder / "cat.png", (340, 420))
    clip(folder / "wave.mp4", 3.0, fps=12, size=(344, 344), sound=False)
    return folder


@pytest.fixture
def studio(tmp_path: Path, sandbox: Sandbox, media: Path) -> Studio:
    """A project of two jobs and an empty store."""
    made = Studio(tmp_path, sandbox)
    shutil.copytree(media, made.project)
    made.write_list()
    return made
