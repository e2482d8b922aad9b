"""From a request to a `Call`, and from an `Answer` to bytes on the wire (or none)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from kling_render.sandbox.records import Answer, Call
from kling_render.sandbox.transport import cut


def call_of(request: Request, now: float) -> Call:
    """The request as the world sees it."""
    headers = request.headers
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else ""
    query = request.url.query
    return Call(
        now=now,
        path=request.url.path + (f"?{query}" if query else ""),
        key=key or None,
        query=tuple(request.query_params.multi_items()),
        client_request_id=headers.get("x-client-request-id"),
        if_none_match=headers.get("if-none-match"),
        origin=f"{request.url.scheme}://{headers.get('host', request.url.netloc)}",
    )


class Delivery:
    """An answer on its way, with all that may go wrong there. An ASGI application, as every response is."""

    def __init__(self, answer: Answer, now: float) -> None:
        self._answer = answer
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, delay, cut or lose it."""
        answer = self._answer
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.lost:
            await vanish(scope, receive, reset=answer.reset)
            return
        kind, body = _encoded(answer.body)
        headers = [*common_headers(self._now), *((k.encode(), v.encode("latin-1")) for k, v in answer.headers)]
        if answer.status != 304:
            headers += [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if answer.cut_at is not None and answer.cut_at < len(body):
            # Returning in the middle of a declared body makes the server close the connection.
            await send({"type": "http.response.body", "body": body[: answer.cut_at], "more_body": True})
            return
        await send({"type": "http.response.body", "body": body})


async def vanish(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """End the connection without a byte."""
    cut(scope, reset=reset)
    while (await receive())["type"] != "http.disconnect":
        pass


def json_answer(body: Mapping[str, Any], now: float, status: int = 200) -> Delivery:
    """A plain JSON response."""
    return Delivery(Answer(status=status, body=body), now)


def common_headers(now: float) -> list[tuple[bytes, bytes]]:
    """Headers of every response. The date is the sandbox's own: callers take their log windows from it."""
    return [(b"date", formatdate(now, usegmt=True).encode()), (b"server", b"kling-render-sandbox")]


def _encoded(body: Mapping[str, Any] | str | None) -> tuple[bytes, bytes]:
    if body is None:
        return b"application/json", b""
    if isinstance(body, str):
        return b"text/html; charset=utf-8", body.encode()
    return b"application/json; charset=utf-8", json.dumps(body, separators=(",", ":")).encode()
