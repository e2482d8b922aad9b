"""Turns a good answer into the faulty one that a rule asks for."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from kling_render.sandbox.faults import FaultRule
from kling_render.sandbox.records import Answer, Call
from kling_render.sandbox.world import World, refusal

_MESSAGES = {
    401: "The API key is invalid, expired or disabled.",
    403: "You've run out of credits. Please top up your balance or update your payment method to continue.",
    404: "Not found.",
    413: "The request body is too large.",
    429: "Too many requests. Please slow down.",
    500: "Internal server error.",
    504: "The generation did not finish in time.",
}


def page(status: int) -> str:
    """An error page as a proxy makes it."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    title = f"{status} {phrase}"
    return f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>\n"


def error_answer(world: World, call: Call, rule: FaultRule) -> Answer:
    """The answer of a `status` fault."""
    message = rule.message or _MESSAGES.get(rule.status, "The upstream service is not available.")
    answer = refusal(world, call, rule.status, message)
    if rule.html:
        answer = replace(answer, body=page(rule.status))
    extra = [("retry-after", rule.retry_after)] if rule.retry_after else []
    if rule.location:
        extra.append(("location", rule.location))
    return replace(answer, headers=(*answer.headers, *extra))


def spoiled(world: World, call: Call, good: Answer, rule: FaultRule | None) -> Answer:
    """A good answer after a fault that any endpoint can have."""
    if rule is None:
        return good
    if rule.kind in ("status", "status-after"):
        return error_answer(world, call, rule)
    if rule.kind in ("lost", "drop"):
        return replace(good, lost=True, reset=rule.reset)
    if rule.kind == "delay":
        return replace(good, delay_s=rule.seconds)
    if rule.kind == "cut":
        return replace(good, cut_at=rule.bytes)
    if rule.kind == "html":
        return replace(good, body="<html><body>Just a moment...</body></html>\n")
    return good


def spoiled_page(denied: Answer, rule: FaultRule | None) -> Answer:
    """A refusal of the CDN after a fault."""
    if rule is None:
        return denied
    if rule.kind == "html":
        return replace(denied, status=200, body=page(200))
    if rule.kind == "status":
        extra = (("retry-after", rule.retry_after),) if rule.retry_after else ()
        place = (("location", rule.location),) if rule.location else ()
        return replace(denied, status=rule.status, body=page(rule.status), headers=(*extra, *place))
    return denied


def with_body(answer: Answer, **changes: Any) -> Answer:
    """The answer with some fields of its JSON body replaced; None removes a field."""
    body = dict(answer.body) if answer.body is not None and not isinstance(answer.body, str) else {}
    body.update(changes)
    return replace(answer, body={k: v for k, v in body.items() if v is not None})


def without_header(answer: Answer, name: str) -> Answer:
    """The answer without a header."""
    return replace(answer, headers=tuple(pair for pair in answer.headers if pair[0] != name))
