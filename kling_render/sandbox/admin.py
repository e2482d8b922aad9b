"""The sandbox's own endpoints: books, faults, settings, reset. For programs on this machine only; no key needed."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from kling_render.errors import KlingRenderError, UsageError
from kling_render.sandbox.books import books
from kling_render.sandbox.faults import KINDS, parse_rule, rule_of
from kling_render.sandbox.wire import Delivery, json_answer
from kling_render.sandbox.world import World

Saved = Callable[[], None]
Now = Callable[[], float]


def routes(world: World, now: Now, saved: Saved) -> list[Route]:
    """The endpoints below `/sandbox`."""

    async def show_books(_: Request) -> Delivery:
        return json_answer(books(world, now()), now())

    async def show_faults(_: Request) -> Delivery:
        return json_answer({"faults": world.faults.plain(), "known": KINDS}, now())

    async def set_faults(request: Request) -> Delivery:
        body = await _json(request)
        rules = [body] if isinstance(body, (dict, str)) else body
        if not isinstance(rules, list):
            raise UsageError("expected a fault, a list of faults, or {}")
        new = [parse_rule(r) if isinstance(r, str) else rule_of(r) for r in rules if r]
        for rule in new:
            world.add_fault(rule)
        return await show_faults(request)

    async def drop_faults(request: Request) -> Delivery:
        world.clear_faults()
        return await show_faults(request)

    async def show_settings(_: Request) -> Delivery:
        return json_answer(world.settings.plain(), now())

    async def change_settings(request: Request) -> Delivery:
        body = await _json(request)
        if not isinstance(body, dict):
            raise UsageError("expected an object of settings")
        world.configure(now(), body)
        return await show_settings(request)

    async def reset(_: Request) -> Delivery:
        world.reset()
        return json_answer({"ok": True}, now())

    table: list[tuple[str, str, Callable[[Request], Awaitable[Delivery]]]] = [
        ("/sandbox/books", "GET", show_books),
        ("/sandbox/faults", "GET", show_faults),
        ("/sandbox/faults", "POST", set_faults),
        ("/sandbox/faults", "DELETE", drop_faults),
        ("/sandbox/config", "GET", show_settings),
        ("/sandbox/config", "POST", change_settings),
        ("/sandbox/reset", "POST", reset),
    ]
    return [Route(path, _guarded(work, now, saved), methods=[method]) for path, method, work in table]


def _guarded(
    work: Callable[[Request], Awaitable[Delivery]], now: Now, saved: Saved
) -> Callable[[Request], Awaitable[Delivery]]:
    async def endpoint(request: Request) -> Delivery:
        if not _is_local(request):
            return json_answer({"message": "only for programs on this machine"}, now(), 403)
        try:
            answer = await work(request)
        except KlingRenderError as problem:
            return json_answer({"message": problem.message, "help": problem.help}, now(), 400)
        saved()
        return answer

    return endpoint


def _is_local(request: Request) -> bool:
    """From a loopback address, under a loopback name, and not from a web page."""
    host = (request.url.hostname or "").strip("[]")
    peer = request.client.host if request.client else ""
    return _loopback(peer) and (host == "localhost" or _loopback(host)) and "origin" not in request.headers


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        raise UsageError("the body is not JSON") from None
