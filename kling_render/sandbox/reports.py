"""What the account can read about itself: the request log, the balance and its movements; and the public pages."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any

from kling_render.sandbox import catalogue
from kling_render.sandbox.query import BadQuery, choice, integer, many, moment, one
from kling_render.sandbox.records import CREDITS_PER_USD, Answer, Call, Generation, Movement, Submitted, timestamp
from kling_render.sandbox.spoil import spoiled
from kling_render.sandbox.world import World, key_id, refusal, unauthorized

_LONGEST_WINDOW_S = 92 * 86_400
_METRICS_WINDOW_S = 300
_TYPES = ("PAYMENT", "BONUS", "REFUND", "ADJUSTMENT", "MODEL_USAGE", "CREDITS_EXPIRED", "INIT")


def log(world: World, call: Call) -> Answer:
    """`GET /v2/logs`: the requests made with the caller's key, newest first."""
    world.advance(call.now)
    world.requests["log"] += 1
    rule = world.hit("log")
    if world.account_of(call) is None:
        return spoiled(world, call, unauthorized(world, call), rule)
    assert call.key is not None
    wait = _reads_too_often(world, call)
    if wait:
        answer = refusal(world, call, 429, "At most 200 log requests a minute.", retry_after=str(wait))
        return spoiled(world, call, answer, rule)
    try:
        body = _log_page(world, call)
    except BadQuery as problem:
        return spoiled(world, call, refusal(world, call, 400, str(problem)), rule)
    return spoiled(world, call, Answer(status=200, body=body), rule)


def billing(world: World, call: Call) -> Answer:
    """`GET /v2/billing`: the balance."""
    world.advance(call.now)
    world.requests["billing"] += 1
    rule = world.hit("billing")
    account = world.account_of(call)
    if account is None:
        return spoiled(world, call, unauthorized(world, call), rule)
    unseen = sum(m.credits for m in world.movements if m.account == account and not _visible(world, m, call.now))
    body = {"current_balance": (world.balances[account] + unseen) / CREDITS_PER_USD, "currency": "USD"}
    return spoiled(world, call, Answer(status=200, body=body), rule)


def transactions(world: World, call: Call) -> Answer:
    """`GET /v2/billing/transactions`: movements of money, newest first, by opaque cursor."""
    world.advance(call.now)
    world.requests["billing"] += 1
    rule = world.hit("billing")
    account = world.account_of(call)
    if account is None:
        return spoiled(world, call, unauthorized(world, call), rule)
    try:
        body = _movements_page(world, call, account)
    except BadQuery as problem:
        return spoiled(world, call, refusal(world, call, 400, str(problem)), rule)
    return spoiled(world, call, Answer(status=200, body=body), rule)


def models(world: World, call: Call) -> Answer:
    """`GET /v1/models`: the catalogue, with an ETag."""
    world.requests["catalogue"] += 1
    rule = world.hit("catalogue")
    body = catalogue.listing(call.query, world.settings)
    etag = catalogue.etag_of(body)
    headers = (("etag", etag), ("cache-control", "public, max-age=60"))
    if catalogue.same_etag(call.if_none_match, etag):
        return spoiled(world, call, Answer(status=304, body=None, headers=headers), rule)
    return spoiled(world, call, Answer(status=200, body=body, headers=headers), rule)


def metrics(world: World, call: Call) -> Answer:
    """`GET /models/metrics`: how long generations took in the last minutes."""
    world.advance(call.now)
    world.requests["metrics"] += 1
    rule = world.hit("metrics")
    unknown = [name for name, _ in call.query if name != "aliases"]
    if unknown:
        answer = refusal(world, call, 400, f"property {unknown[0]} should not exist")
        return spoiled(world, call, answer, rule)
    body = {
        "window_seconds": _METRICS_WINDOW_S,
        "generated_at": timestamp(call.now),
        "models": _durations(world, call.now, [value for _, value in call.query]),
    }
    return spoiled(world, call, Answer(status=200, body=body), rule)


# -- the log ------------------------------------------------------------------------------------------------------


def _reads_too_often(world: World, call: Call) -> int:
    account = key_id(call.key or "")
    recent = [at for at in world.log_reads.get(account, []) if at > call.now - 60]
    world.log_reads[account] = recent
    if len(recent) >= world.settings.log_reads_per_minute:
        return int(recent[0] + 60 - call.now) + 1
    recent.append(call.now)
    return 0


def _log_page(world: World, call: Call) -> dict[str, Any]:
    start, end = _window(call)
    prefix = one(call, "key_prefix")
    if prefix is not None and not (call.key or "").startswith(prefix):
        raise BadQuery("key_prefix: listing the requests of a different key requires a management key")
    asked_models, statuses = many(call, "model"), many(call, "status")
    if len(asked_models) > 50:
        raise BadQuery("model: expected at most 50 values")
    for status in statuses:
        if status not in ("succeeded", "failed"):
            raise BadQuery(f"status: invalid enum value, expected 'succeeded' | 'failed', received '{status}'")
    limit = integer(call, "limit", 50, 1, 100)
    offset = integer(call, "offset", 0, 0, 10**9)
    found = [
        record
        for record in _log_records(world, call)
        if start <= _made(record) <= end
        and (not statuses or _log_status(record) in statuses)
        and _is_model(_model_of(record), asked_models)
    ]
    page = [_row(record) for record in found[offset : offset + limit]]
    more = offset + limit < len(found)
    return {"data": page, "pagination": {"limit": limit, "offset": offset, "total": len(found), "has_more": more}}


def _log_records(world: World, call: Call) -> list[Generation | Submitted]:
    """What the log shows of the caller's key by now, newest first."""
    own, now = key_id(call.key or ""), call.now
    records: list[Generation | Submitted] = [
        g for g in world.generations.values() if g.key_id == own and _listed(world, g, now)
    ]
    if world.settings.log_refused:
        lag = world.settings.log_lag_s
        records += [s for s in world.submits if s.key_id == own and _refused(s) and s.at + lag <= now]
    return sorted(records, key=_made, reverse=True)


def _refused(submitted: Submitted) -> bool:
    return submitted.account is not None and not submitted.accepted and submitted.status is not None


def _made(record: Generation | Submitted) -> float:
    return record.accepted_at if isinstance(record, Generation) else record.at


def _model_of(record: Generation | Submitted) -> str:
    return record.model if isinstance(record, Generation) else str(record.fields.get("model") or "")


def _log_status(record: Generation | Submitted) -> str:
    ran = isinstance(record, Generation) and not (record.ended and record.failed)
    return "succeeded" if ran else "failed"


def _listed(world: World, generation: Generation, now: float) -> bool:
    if "log-missing" in generation.faults or not (world.settings.log_running or generation.ended):
        return False
    since = generation.accepted_at if world.settings.log_running else generation.done_at or now
    return since + world.settings.log_lag_s + generation.log_late_s <= now


def _row(record: Generation | Submitted) -> dict[str, Any]:
    generation = record if isinstance(record, Generation) else None
    charged = generation.credits if generation and generation.ended and not generation.failed else 0
    anonymous = generation is not None and "log-anonymous" in generation.faults
    return {
        "created": timestamp(_made(record)),
        "status": _log_status(record),
        "origin": "api",
        "model": _model_of(record),
        "cost": {"usd": charged / CREDITS_PER_USD, "credits": charged},
        "tokens": {"input": 0, "output": 0, "total": 0},
        "request_id": record.request_id,
        "inference_id": generation.id if generation else record.request_id,
        "client_request_id": None if anonymous else record.client_request_id,
    }


def _is_model(full: str, asked: Sequence[str]) -> bool:
    return not asked or full in asked or full.rpartition("/")[2] in asked


def _window(call: Call) -> tuple[float, float]:
    period, start, end = (one(call, name) for name in ("period", "start", "end"))
    if period is not None and (start is not None or end is not None):
        raise BadQuery("period: provide either period or start and end, not both")
    if (start is None) != (end is None):
        raise BadQuery("start and end must be used together")
    if start is not None and end is not None:
        first, last = moment("start", start), moment("end", end)
        if last < first:
            raise BadQuery("end: must not be earlier than start")
    else:
        match = re.fullmatch(r"([1-9][0-9]{0,5})([hd])", period or "24h")
        if match is None:
            raise BadQuery("period: expected a positive integer followed by h or d")
        first = call.now - int(match[1]) * (3600 if match[2] == "h" else 86_400)
        last = call.now
    if last - first > _LONGEST_WINDOW_S:
        raise BadQuery("the window must not exceed 92 days")
    return first, last


# -- movements ----------------------------------------------------------------------------------------------------


def _visible(world: World, movement: Movement, now: float) -> bool:
    lag = world.settings.charge_lag_s if movement.type == "MODEL_USAGE" else 0.0
    return movement.at + lag <= now


def _movements_page(world: World, call: Call, account: str) -> dict[str, Any]:
    direction = choice(call, "direction", ("TOPUP", "CHARGE"))
    kind = choice(call, "type", _TYPES)
    since, until = one(call, "from"), one(call, "to")
    first = moment("from", since) if since is not None else 0.0
    last = moment("to", until) if until is not None else float("inf")
    if last <= first:
        raise BadQuery("to: must be later than from")
    limit = integer(call, "limit", 50, 1, 100)
    before = _cursor(call)
    rows = [
        m
        for m in sorted(world.movements, key=lambda m: (m.at, m.number), reverse=True)
        if m.account == account
        and (direction is None or m.direction == direction)
        and (kind is None or m.type == kind)
        and first <= m.at < last
        and _visible(world, m, call.now)
        and (before is None or (m.at, m.number) < before)
    ]
    page, more = rows[:limit], len(rows) > limit
    cursor = make_cursor(page[-1]) if more else None
    return {"data": [_movement(m) for m in page], "pagination": {"next_cursor": cursor, "has_more": more}}


def _movement(movement: Movement) -> dict[str, Any]:
    return {
        "created_at": timestamp(movement.at),
        "direction": movement.direction,
        "type": movement.type,
        "amount": {"usd": movement.credits / CREDITS_PER_USD, "credits": movement.credits},
        "model": movement.model,
        "reference_id": movement.reference_id,
    }


def make_cursor(last: Movement) -> str:
    """An opaque position: after this movement."""
    text = json.dumps({"v": 1, "c": last.at, "n": last.number}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _cursor(call: Call) -> tuple[float, int] | None:
    given = one(call, "cursor")
    if given is None:
        return None
    try:
        plain = json.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
        at, number = float(plain["c"]), int(plain["n"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise BadQuery("cursor: not a cursor of this API") from None
    # Only the exact form that was issued counts: a padded or re-encoded one does not.
    issued = make_cursor(Movement(number=number, at=at, account="", direction="", type="", credits=0))
    if issued != given:
        raise BadQuery("cursor: not a cursor of this API")
    return at, number


# -- metrics ------------------------------------------------------------------------------------------------------


def _durations(world: World, now: float, aliases: Sequence[str]) -> list[dict[str, Any]]:
    took: dict[str, list[float]] = {}
    for generation in world.generations.values():
        at = generation.done_at
        if generation.ended and not generation.failed and at is not None and at > now - _METRICS_WINDOW_S:
            took.setdefault(generation.model, []).append((at - generation.accepted_at) * 1000)
    listed = []
    for name, times in sorted(took.items()):
        model = catalogue.find(name)
        names = {name, *(model.aliases if model else ())}
        if not aliases or names & set(aliases):
            ordered = sorted(times)
            quantiles = {
                f"p{p}": round(ordered[min(len(ordered) - 1, len(ordered) * p // 100)]) for p in (50, 75, 90, 99)
            }
            listed.append({"alias": name, "endpoint": catalogue.VIDEO_ENDPOINT, "metrics": {"duration_ms": quantiles}})
    return listed
