"""The HTTP face of a world: routes, streamed request bodies, videos. Time comes in as a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import ASGIApp

from kling_render.sandbox import admin, cdn, polling, reports, submitting
from kling_render.sandbox.body import BodyReader, Malformed, TextSink
from kling_render.sandbox.faults import FaultRule
from kling_render.sandbox.records import Answer, Call
from kling_render.sandbox.results import Results
from kling_render.sandbox.spool import MediaSink, Spool
from kling_render.sandbox.wire import Delivery, call_of
from kling_render.sandbox.world import World, refusal

Now = Callable[[], float]


def build_app(world: World, now: Now, spool: Spool, results: Results, saved: Callable[[], None]) -> ASGIApp:
    """The application. `saved` makes the world's changes durable; it is called before any answer leaves."""

    def sent(answer: Answer, at: float) -> Delivery:
        saved()
        latency = world.settings.latency_s
        return Delivery(replace(answer, delay_s=answer.delay_s + latency) if latency else answer, at)

    def reading(read: Callable[[World, Call], Answer]) -> Callable[[Request], Awaitable[Delivery]]:
        async def endpoint(request: Request) -> Delivery:
            at = now()
            return sent(read(world, call_of(request, at)), at)

        return endpoint

    async def submit(request: Request) -> Delivery:
        answer, at = await _submitted(request, world, now, spool)
        made = world.submits[-1].generation_id
        if made is not None:
            results.begin(world.generations[made])
        return sent(answer, at)

    async def video(request: Request) -> ASGIApp:
        at, headers = now(), request.headers
        grant = polling.download(
            world,
            call_of(request, at),
            request.path_params["name"],
            had_authorization="authorization" in headers,
            byte_range=headers.get("range"),
        )
        saved()
        if grant.generation is None:
            return cdn.refused(grant, at)
        return cdn.Film(await results.result(grant.generation), request, grant.rule, at)

    async def unknown(request: Request, _: Exception) -> Delivery:
        at = now()
        world.requests["unknown"] += 1
        call = call_of(request, at)
        return sent(refusal(world, call, 404, f"Cannot {request.method} {request.url.path}"), at)

    routes = [
        Route("/v2/video/generations", submit, methods=["POST"]),
        Route("/v2/video/generations", reading(polling.poll), methods=["GET"]),
        Route("/v2/logs", reading(reports.log)),
        Route("/v2/billing", reading(reports.billing)),
        Route("/v2/billing/transactions", reading(reports.transactions)),
        Route("/v1/models", reading(reports.models)),
        Route("/models", reading(reports.models)),
        Route("/models/metrics", reading(reports.metrics)),
        Route("/cdn/{name}", video, methods=["GET", "HEAD"]),
        *admin.routes(world, now, saved),
    ]
    handlers: dict[Any, Any] = {404: unknown, 405: unknown}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


async def _submitted(request: Request, world: World, now: Now, spool: Spool) -> tuple[Answer, float]:
    """Read a submit to its last byte, whatever is wrong with it, then let the world decide."""
    limit = world.settings.body_limit
    rule = world.hit("upload", request.headers.get("x-client-request-id", ""))
    if rule is not None and rule.kind == "status":
        at = now()
        return submitting.turned_away(world, call_of(request, at), rule), at
    received, problem = 0, ""
    reader = BodyReader(lambda field: _sink(field, spool))
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if rule is not None and received >= rule.bytes:
                return _broken_off(request, world, now(), received, rule)
            if received <= limit and not problem:
                problem = _fed(reader, chunk)
    except ClientDisconnect:
        return _broken_off(request, world, now(), received, None)
    at = now()
    call = call_of(request, at)
    if received > limit:
        return submitting.too_large(world, call, limit), at
    try:
        fields = None if problem else reader.close()
    except Malformed as malformed:
        fields, problem = None, str(malformed)
    return submitting.submit(world, call, fields, problem), at


def _broken_off(
    request: Request, world: World, at: float, received: int, rule: FaultRule | None
) -> tuple[Answer, float]:
    submitting.broken_off(world, call_of(request, at), received, rule)
    return Answer(status=400, body=None, lost=True, reset=rule is not None and rule.reset), at


def _fed(reader: BodyReader, chunk: bytes) -> str:
    try:
        reader.feed(chunk)
    except Malformed as malformed:
        return str(malformed)
    return ""


def _sink(field: str, spool: Spool) -> TextSink | None:
    return MediaSink(spool, is_video=field == "video_url") if field in ("image_url", "video_url") else None
