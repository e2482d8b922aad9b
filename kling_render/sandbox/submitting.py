"""The submit: checks in the API's order, acceptance, and what goes wrong on request. Nothing here is idempotent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from typing import Any

from kling_render.sandbox.catalogue import credits_for
from kling_render.sandbox.faults import FaultRule
from kling_render.sandbox.records import Answer, Call, Generation, Submitted, Upload
from kling_render.sandbox.spoil import error_answer, spoiled, with_body, without_header
from kling_render.sandbox.validate import Checked, check, client_request_id, described
from kling_render.sandbox.world import World, key_id, refusal, unauthorized

OUT_OF_CREDITS = "You've run out of credits. Please top up your balance or update your payment method to continue."
#: Fault kind → error.name, error.message of the failed generation.
FAILURES = {
    "refusal": (
        "ContentPolicyViolation",
        "Failure to pass the risk control system: the input violates the content policy.",
    ),
    "upstream": ("UpstreamError", "The provider could not finish the generation. Please try again later."),
    "error": ("GenerationError", "The generation failed."),
}
_BEFORE = ("status", "drop")
_LONGEST = {"image": 10, "video": 30}


def submit(world: World, call: Call, fields: Mapping[str, Any] | None, problem: str = "") -> Answer:
    """One submit, read to its last byte. `fields` is None when the body was no JSON object: `problem` says why."""
    world.advance(call.now)
    world.requests["submit"] += 1
    account = world.account_of(call)
    given = fields or {}
    rule = world.hit("submit", _match_text(call, given))
    if rule is not None and rule.kind in _BEFORE:
        answer = spoiled(world, call, refusal(world, call, 503, "Not accepted."), rule)
        return _entered(world, call, account, given, answer, rule=rule)
    refused, checked = _refused(world, call, account, fields, problem)
    if refused is not None or account is None:
        answer = refused or unauthorized(world, call)
        return _entered(world, call, account, given, answer)
    generation = _accepted(world, call, account, checked)
    answer = _spoiled_acceptance(world, call, _receipt(world, call, generation), rule)
    return _entered(world, call, account, given, answer, rule=rule, generation=generation)


def broken_off(world: World, call: Call, received: int, rule: FaultRule | None = None) -> None:
    """A submit whose body never arrived completely: nothing is accepted."""
    world.requests["submit"] += 1
    note = replace(_note(call, world.account_of(call), {}), fault=rule.kind if rule else "")
    world.keep_submit(replace(note, problem=f"the connection ended after {received} bytes of the body"))


def turned_away(world: World, call: Call, rule: FaultRule) -> Answer:
    """A submit that is answered before its body was read."""
    world.requests["submit"] += 1
    answer = error_answer(world, call, rule)
    answer = replace(answer, headers=(*answer.headers, ("connection", "close")))
    return _entered(world, call, world.account_of(call), {}, answer, rule=rule)


def too_large(world: World, call: Call, limit: int) -> Answer:
    """413."""
    world.requests["submit"] += 1
    answer = refusal(world, call, 413, f"The request body is larger than {limit} bytes.")
    return _entered(world, call, world.account_of(call), {}, answer)


def _refused(
    world: World, call: Call, account: str | None, fields: Mapping[str, Any] | None, problem: str
) -> tuple[Answer | None, Checked]:
    checked = Checked()
    if account is None:
        return unauthorized(world, call), checked
    slow_down = _too_fast(world, call, account)
    if slow_down is not None:
        return slow_down, checked
    if fields is None:
        return refusal(world, call, 400, f"The body is not a JSON object: {problem}"), checked
    checked = check(fields)
    if checked.problems:
        return refusal(world, call, 400, f"Invalid payload: {'; '.join(checked.problems)}"), checked
    if world.balances[account] - world.committed[account] < _price(world, checked)[1]:
        return refusal(world, call, 403, OUT_OF_CREDITS), checked
    limit = world.settings.max_concurrent
    if limit and world.running[account] >= limit:
        return _slow_down(world, call, f"At most {limit} generations may run at the same time."), checked
    return None, checked


def _too_fast(world: World, call: Call, account: str) -> Answer | None:
    rate = world.settings.rate_per_s
    if not rate:
        return None
    window = max(1.0, 1.0 / rate)
    recent = [at for at in world.recent_submits.get(account, []) if at > call.now - window]
    world.recent_submits[account] = recent
    if len(recent) >= rate * window:
        return _slow_down(world, call, "Too many requests. Please slow down.")
    recent.append(call.now)
    return None


def _slow_down(world: World, call: Call, message: str) -> Answer:
    seconds = world.settings.retry_after_s
    headers = {} if seconds is None else {"retry_after": f"{seconds:g}"}
    return refusal(world, call, 429, message, **headers)


def _price(world: World, checked: Checked) -> tuple[Fraction, int]:
    assert checked.model is not None
    video = checked.media["video_url"]
    known = video.duration if isinstance(video, Upload) else None
    seconds = known if known is not None else Fraction(str(world.settings.default_clip_s))
    return seconds, credits_for(checked.model, checked.mode, seconds, world.settings)


def _accepted(world: World, call: Call, account: str, checked: Checked) -> Generation:
    assert checked.model is not None
    assert call.key is not None
    seconds, credits_ = _price(world, checked)
    generation_id, accepted_id = world.new_id(), client_request_id(call.client_request_id)
    settings = world.settings
    generation = Generation(
        id=generation_id,
        account=account,
        key_id=key_id(call.key),
        request_id=world.new_id(24),
        client_request_id=accepted_id,
        model=checked.model.id,
        prompt=checked.prompt,
        orientation=checked.orientation,
        keep_audio=checked.keep_audio,
        image_sha256=_digest(checked.media["image_url"]),
        video_sha256=_digest(checked.media["video_url"]),
        duration_s=float(seconds),
        credits=credits_,
        accepted_at=call.now,
        generating_at=call.now + min(settings.queued_seconds, settings.generation_seconds),
        done_at=call.now + settings.generation_seconds,
    )
    generation = _judged(generation, checked, settings.check_media)
    text = f"{generation.model} {generation.prompt} {accepted_id} {generation_id}"
    for rule in world.hits("generation", text):
        generation = _troubled(generation, rule)
    world.accept(generation)
    return generation


def _judged(generation: Generation, checked: Checked, check_media: bool) -> Generation:
    """Media that the model cannot use end in a failed generation, after the usual time."""
    image, video = checked.media["image_url"], checked.media["video_url"]
    longest = _LONGEST[checked.orientation]
    message = ""
    if isinstance(image, Upload) and not image.is_image:
        message = "The image cannot be read: expected JPEG, PNG or WebP."
    elif isinstance(video, Upload) and video.duration is None:
        message = "The reference video cannot be read: expected MP4 or MOV."
    elif generation.duration_s > longest + 0.1:
        message = f"The reference video is {generation.duration_s:.1f} s long; at most {longest} s are allowed here."
    return replace(generation, error_name="BadInput", error_message=message) if check_media and message else generation


def _troubled(generation: Generation, rule: FaultRule) -> Generation:
    kind = rule.kind
    if kind in FAILURES:
        name, message = FAILURES[kind]
        return replace(generation, error_name=rule.name or name, error_message=rule.message or message)
    if kind == "never":
        return replace(generation, done_at=None)
    if kind == "slow" and generation.done_at is not None:
        return replace(generation, done_at=generation.done_at + rule.seconds)
    if kind == "waiting":
        return replace(generation, waiting_until=generation.accepted_at + rule.seconds)
    if kind == "overcharge":
        return replace(generation, credits=round(generation.credits * rule.factor))
    if kind == "log-late":
        return replace(generation, log_late_s=rule.seconds)
    return replace(generation, faults=(*generation.faults, kind))


def _receipt(world: World, call: Call, generation: Generation) -> Answer:
    headers = [("x-inference-id", generation.id), ("x-request-id", generation.request_id)]
    if generation.client_request_id is not None:
        headers.append(("x-client-request-id", generation.client_request_id))
    body = {"id": generation.id, "status": "queued"}
    return Answer(status=world.settings.submit_status, body=body, headers=tuple(headers))


def _spoiled_acceptance(world: World, call: Call, good: Answer, rule: FaultRule | None) -> Answer:
    if rule is None:
        return good
    bad = with_body(good, id=None) if rule.kind == "no-id" else spoiled(world, call, good, rule)
    if rule.inference_id and "x-inference-id" not in dict(bad.headers):
        return replace(bad, headers=(*bad.headers, good.headers[0]))
    # An answer without an id in its body, or one made by a proxy, is a doubt only when the header is missing too.
    if rule.inference_id is False or (rule.inference_id is None and rule.kind in ("no-id", "html")):
        return without_header(bad, "x-inference-id")
    return bad


def _entered(
    world: World,
    call: Call,
    account: str | None,
    fields: Mapping[str, Any],
    answer: Answer,
    *,
    rule: FaultRule | None = None,
    generation: Generation | None = None,
) -> Answer:
    body = answer.body if isinstance(answer.body, Mapping) else {}
    world.keep_submit(
        replace(
            _note(call, account, fields),
            request_id=dict(answer.headers).get("x-request-id", ""),
            accepted=generation is not None,
            generation_id=generation.id if generation else None,
            status=None if answer.lost else answer.status,
            fault=rule.kind if rule else "",
            problem=str(body.get("message", "")) if generation is None else "",
        )
    )
    return answer


def _note(call: Call, account: str | None, fields: Mapping[str, Any]) -> Submitted:
    stored = client_request_id(call.client_request_id)
    media = {name: _digest(value) for name, value in fields.items() if isinstance(value, Upload)}
    return Submitted(
        at=call.now,
        account=account,
        key_id=key_id(call.key) if call.key else None,
        request_id="",
        client_request_id=stored,
        dropped_client_request_id=call.client_request_id if stored is None else None,
        image_sha256=media.get("image_url"),
        video_sha256=media.get("video_url"),
        fields=described(fields),
    )


def _digest(value: Upload | str) -> str:
    if isinstance(value, Upload):
        return value.sha256
    return sha256(value.encode()).hexdigest()


def _match_text(call: Call, fields: Mapping[str, Any]) -> str:
    return f"{fields.get('model', '')} {fields.get('prompt', '')} {call.client_request_id or ''}"
