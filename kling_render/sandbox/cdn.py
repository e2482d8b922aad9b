"""Sends finished videos: whole or in ranges, with a strong ETag, and with the faults of a bad line."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from kling_render.sandbox.faults import FaultRule
from kling_render.sandbox.polling import Grant
from kling_render.sandbox.ranges import part_of
from kling_render.sandbox.records import Answer
from kling_render.sandbox.results import Result
from kling_render.sandbox.spoil import spoiled_page
from kling_render.sandbox.wire import Delivery, common_headers, vanish

_BLOCK = 256 * 1024


def refused(grant: Grant, now: float) -> Delivery:
    """The answer to a request that gets no video."""
    return Delivery(spoiled_page(grant.refused or Answer(status=404, body=None), grant.rule), now)


class Film:
    """A video, or a part of it, on its way."""

    def __init__(self, result: Result, request: Request, rule: FaultRule | None, now: float) -> None:
        self._result = result
        self._head_only = request.method == "HEAD"
        self._kind = rule.kind if rule else ""
        self._rule = rule
        self._now = now
        asked = None if self._kind in ("no-range", "no-length") else request.headers.get("range")
        self._part = part_of(asked, request.headers.get("if-range"), result.etag, result.size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, or part of it, or nothing."""
        if self._kind in ("lost", "drop"):
            await vanish(scope, receive, reset=self._rule is not None and self._rule.reset)
            return
        size = self._result.size
        if self._part is False:
            headers = (("content-range", f"bytes */{size}"),)
            await Delivery(Answer(status=416, body=None, headers=headers), self._now)(scope, receive, send)
            return
        first, end = (0, size) if self._part is None or self._part is True else self._part
        await send(self._start(first, end))
        if self._head_only:
            await send({"type": "http.response.body", "body": b""})
            return
        last = end
        if self._kind == "cut" and self._rule is not None:
            last = min(end, first + self._rule.bytes)
        async for block in _blocks(self._result, first, last):
            spoilt = bytes(byte ^ 0xFF for byte in block) if self._kind == "corrupt" else block
            await send({"type": "http.response.body", "body": spoilt, "more_body": True})
        if last == end:  # else the server closes the connection in the middle
            await send({"type": "http.response.body", "body": b""})

    def _start(self, first: int, end: int) -> dict[str, object]:
        whole = self._part is None
        headers = [
            *common_headers(self._now),
            (b"content-type", b"video/mp4"),
            (b"etag", self._result.etag.encode()),
        ]
        if self._kind != "no-range":
            headers.append((b"accept-ranges", b"bytes"))
        if self._kind != "no-length":
            headers.append((b"content-length", str(end - first).encode()))
        if not whole:
            headers.append((b"content-range", f"bytes {first}-{end - 1}/{self._result.size}".encode()))
        return {"type": "http.response.start", "status": 200 if whole else 206, "headers": headers}


async def _blocks(result: Result, first: int, end: int) -> AsyncIterator[bytes]:
    body = result.size - len(result.tail)
    if first < min(end, body):
        with result.file.open("rb") as file:
            file.seek(first)
            left = min(end, body) - first
            while left > 0 and (block := file.read(min(_BLOCK, left))):
                left -= len(block)
                yield block
    if end > body:
        yield result.tail[max(0, first - body) : end - body]
