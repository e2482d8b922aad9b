"""Calls the real client against the real sandbox, one event loop per call."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kling_render.lifecycle.answers import LogRow, PollAnswer, SubmitEvidence
from kling_render.lifecycle.requests import SubmitRequest, Upload
from kling_render.ports import Fetched
from kling_render.providers.aimlapi.client import AimlApi
from kling_render.sandbox.testing import Sandbox
from kling_render.workspace.times import SystemClock
from tests.canary import CANARY

T = TypeVar("T")
KEY = CANARY
CLIENT_ID = "kr1:0123456789abcdef0123456789abcdef:01ARZ3NDEKTSV4RRFFQ69G5FAV"


def upload(path: Path, mime: str) -> Upload:
    """A file as it is planned."""
    data = path.read_bytes()
    return Upload(path=path, mime=mime, sha256=hashlib.sha256(data).hexdigest(), size=len(data))


async def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Caller:
    """One request to vary."""

    sandbox: Sandbox
    image: Upload
    video: Upload
    key: str = KEY
    base_url: str = ""

    def call(self, work: Callable[[AimlApi], Awaitable[T]]) -> T:
        """Run `work` with a client."""

        async def whole() -> T:
            url = self.base_url or self.sandbox.url
            client = AimlApi(base_url=url, key=self.key, namespace="sandbox", account="acc", clock=SystemClock())
            async with client as api:
                return await work(api)

        return asyncio.run(whole())

    def request(self, **changes: Any) -> SubmitRequest:
        """What is sent."""
        fields: dict[str, Any] = {
            "client_request_id": CLIENT_ID,
            "model": "klingai/video-v2-6-pro-motion-control",
            "image": self.image,
            "video": self.video,
            "prompt": "on a roof – “quoted”",
            "orientation": "image",
            "keep_audio": False,
            "params": {},
        }
        return SubmitRequest(**(fields | changes))

    def submit(self, before: Callable[[], Awaitable[None]] = _nothing, **changes: Any) -> SubmitEvidence:
        """One submit."""
        return self.call(lambda api: api.submit(self.request(**changes), before))

    def accepted(self, **changes: Any) -> str:
        """One submit that goes well; its generation."""
        found = self.submit(**changes)
        assert found.inference_id, found
        return found.inference_id

    def poll(self, generation_id: str) -> PollAnswer:
        """One look."""
        return self.call(lambda api: api.poll(generation_id))

    def link(self) -> str:
        """The link of a finished generation."""
        made = self.accepted()
        self.sandbox.advance(61)
        url = self.poll(made).url
        assert url
        return url

    def fetch(self, url: str, target: Path) -> Fetched:
        """One download."""
        return self.call(lambda api: api.fetch(url, target))

    def log(self, start: float, end: float) -> list[LogRow]:
        """The rows between two times."""
        return self.call(lambda api: api.log(start, end))
