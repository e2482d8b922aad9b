from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from kling_render.sandbox.canned import make
from kling_render.sandbox.testing import Sandbox, running_sandbox
from tests.sandbox.client import Caller

CLIP_SECONDS = 4.0


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make(path, CLIP_SECONDS)
    return path.read_bytes()


@pytest.fixture(scope="session")
def image() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (400, 600), (200, 80, 40)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def request_body(image: bytes, clip: bytes) -> dict[str, Any]:
    return {
        "model": "klingai/video-v2-6-pro-motion-control",
        "image_url": "data:image/png;base64," + base64.b64encode(image).decode(),
        "video_url": "data:video/mp4;base64," + base64.b64encode(clip).decode(),
        "prompt": "on a roof",
        "character_orientation": "image",
        "keep_audio": False,
    }


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    with running_sandbox(answers="echo", queued_seconds=10, generation_seconds=60) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    """A sandbox as after its start: echoed answers, a minute per generation on a clock the test moves."""
    running.reset()
    return running


@pytest.fixture
def caller(sandbox: Sandbox, request_body: dict[str, Any]) -> Iterator[Caller]:
    with httpx.Client(base_url=sandbox.url, headers={"Authorization": "Bearer test-key"}) as http:
        yield Caller(http, sandbox, request_body)


@pytest.fixture
def upload_folder(tmp_path: Path) -> Path:
    return tmp_path / "uploads"
