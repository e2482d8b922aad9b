from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_render.sandbox.canned import make
from kling_render.sandbox.testing import Sandbox, running_sandbox
from tests.media.makers import picture
from tests.providers.caller import Caller, upload


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """One sandbox per module; a generation takes a minute on a clock that the test moves."""
    with running_sandbox(answers="echo", queued_seconds=10, generation_seconds=60) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    """As after its start."""
    running.reset()
    return running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image and a clip."""
    made = tmp_path_factory.mktemp("inputs")
    picture(made / "fox.png")
    make(made / "wave.mp4", 4.0)
    return made


@pytest.fixture
def caller(sandbox: Sandbox, folder: Path) -> Caller:
    """The client with one request to vary."""
    return Caller(sandbox, upload(folder / "fox.png", "image/png"), upload(folder / "wave.mp4", "video/mp4"))
