"""Polls of a generation and requests for its video."""

from __future__ import annotations

import hmac
from typing import Any

from kling_render.sandbox.faults import FaultRule
from kling_render.sandbox.records import CREDITS_PER_USD, Answer, Call, Download, Generation
from kling_render.sandbox.spoil import spoiled, with_body
from kling_render.sandbox.world import World, refusal, unauthorized


def poll(world: World, call: Call) -> Answer:
    """The state of a generation of the caller's account."""
    world.advance(call.now)
    world.requests["poll"] += 1
    account = world.account_of(call)
    generation_id = dict(call.query).get("generation_id", "")
    generation = world.generations.get(generation_id)
    text = (
        f"{generation_id} {generation.model} {generation.prompt} {generation.client_request_id}" if generation else ""
    )
    rule = world.hit("poll", text)
    if account is None:
        return spoiled(world, call, unauthorized(world, call), rule)
    if not generation_id:
        return spoiled(world, call, refusal(world, call, 400, "generation_id: required"), rule)
    if generation is None or generation.account != account:
        return spoiled(world, call, refusal(world, call, 404, "Generation not found."), rule)
    world.polls[generation_id] += 1
    body = _state(world, call, generation)
    answer = Answer(status=200, body=body)
    return _spoiled_poll(world, call, answer, rule)


def status_of(generation: Generation, now: float) -> str:
    """The status that a poll shows."""
    if generation.ended:
        return "error" if generation.failed else "completed"
    if now < generation.waiting_until:
        return "waiting"
    return "queued" if now < generation.generating_at else "generating"


def _state(world: World, call: Call, generation: Generation) -> dict[str, Any]:
    status = status_of(generation, call.now)
    body: dict[str, Any] = {"id": generation.id, "status": status}
    if status == "error":
        body["error"] = {"name": generation.error_name, "message": generation.error_message}
        body["video"] = None
    elif status == "completed":
        body["video"] = {"url": world.link(generation, call)}
        body["error"] = None
        if "no-usage" not in generation.faults:
            body["meta"] = {"usage": _usage(generation)}
    elif status == "generating":  # absent while queued: the documentation allows both
        body |= {"video": None, "error": None, "meta": None}
    return body


def _usage(generation: Generation) -> dict[str, Any]:
    usage: dict[str, Any] = {"credits_used": generation.credits}
    if "no-usd" not in generation.faults:
        usage["usd_spent"] = generation.credits / CREDITS_PER_USD
    return usage


def _spoiled_poll(world: World, call: Call, answer: Answer, rule: FaultRule | None) -> Answer:
    if rule is None:
        return answer
    if rule.kind == "waiting":
        return with_body(answer, status="waiting", video=None, error=None, meta=None)
    if rule.kind == "no-url":
        return with_body(answer, video=None)
    if rule.kind == "wrong-id":
        return with_body(answer, id=world.new_id())
    return spoiled(world, call, answer, rule)


def download(world: World, call: Call, name: str, *, had_authorization: bool, byte_range: str | None) -> Grant:
    """Whether a signed link opens, and with which fault. Every request enters the books."""
    world.advance(call.now)
    world.requests["cdn"] += 1
    generation = world.generations.get(name.removesuffix(".mp4"))
    rule = world.hit("cdn", f"{name} {generation.client_request_id} {generation.prompt}" if generation else name)
    status = _opens(world, call, name, generation)
    kind = rule.kind if rule else ""
    if status == 200 and rule is not None:
        status = {"expired": 403, "status": rule.status}.get(kind, 200)
    noted = Download(
        at=call.now,
        name=name,
        status=status,
        had_authorization=had_authorization,
        range=byte_range,
        fault=kind,
        generation_id=generation.id if generation else None,
    )
    world.keep_download(noted)
    if status != 200 or generation is None or kind == "html":
        return Grant(None, _denied(status), rule)
    return Grant(generation, None, rule)


def _opens(world: World, call: Call, name: str, generation: Generation | None) -> int:
    query = dict(call.query)
    expires, signature = query.get("expires", ""), query.get("sig", "")
    if not expires.isdecimal() or not hmac.compare_digest(signature, world.signature(name, int(expires))):
        return 403
    if int(expires) <= call.now:
        return 403
    return 200 if generation is not None and generation.ended and not generation.failed else 404


def _denied(status: int) -> Answer:
    code = {403: "AccessDenied", 404: "NoSuchKey"}.get(status, "Error")
    body = f"<html><body><h1>{status}</h1><p>{code}</p></body></html>\n"
    return Answer(status=status, body=body)


class Grant:
    """What the CDN does: send the video of `generation`, or `refused`; `rule` spoils the sending."""

    __slots__ = ("generation", "refused", "rule")

    def __init__(self, generation: Generation | None, refused: Answer | None, rule: FaultRule | None) -> None:
        self.generation = generation
        self.refused = refused
        self.rule = rule
