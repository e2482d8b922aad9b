"""The classifier of answers: evidence → verdict. The one place that decides whether money may have moved.

Sure that nothing was accepted: nothing was sent, fewer body bytes were written than declared, or the server
said so itself. Everything else that is not a clean acceptance is in doubt, and a doubt is never sent again.
"""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Any

from kling_render.lifecycle.answers import Accepted, FailureClass, InDoubt, Rejected, SubmitEvidence, Verdict

#: Definite refusals by the API. 402 and 403 are the account's, 401 the key's.
_REFUSALS = {
    400: FailureClass.BAD_REQUEST,
    401: FailureClass.ACCOUNT,
    402: FailureClass.CREDITS,
    403: FailureClass.CREDITS,
    404: FailureClass.REFUSED,
    405: FailureClass.REFUSED,
    411: FailureClass.REFUSED,
    413: FailureClass.TOO_LARGE,
    414: FailureClass.REFUSED,
    415: FailureClass.REFUSED,
    422: FailureClass.BAD_REQUEST,
    429: FailureClass.RATE,
}
_AMBIGUOUS_4XX = frozenset({408, 409, 425})
RETRY_AFTER_CAP_S = 3600.0
_CONTENT_WORDS = (
    "content",
    "policy",
    "moderation",
    "nsfw",
    "sensitive",
    "safety",
    "risk control",
    "prohibited",
)


def classify(evidence: SubmitEvidence, now: float = 0.0) -> Verdict:
    """What the end of a submit means; `now` is wall time, for a `Retry-After` given as a date."""
    if not evidence.intended:
        return Rejected(
            failure=FailureClass.INPUT_CHANGED if evidence.input_changed else FailureClass.NOT_SENT,
            message=evidence.input_changed or evidence.broken or "the connection could not be made",
            again=not evidence.untrusted and not evidence.input_changed,
            stop=evidence.untrusted,
        )
    if evidence.status is not None:
        return _by_status(evidence.status, evidence, now)
    if evidence.body_sent < evidence.body_declared:
        why = f"only {evidence.body_sent} of {evidence.body_declared} bytes left before: {evidence.broken}"
        return _incomplete(evidence, why)
    return InDoubt(
        message=f"all {evidence.body_declared} bytes were sent, but no answer came: {evidence.broken}",
        generation_id=_clean_id(evidence.inference_id),
    )


def _incomplete(evidence: SubmitEvidence, why: str) -> Rejected:
    """The last bytes never left: nobody can have accepted the request."""
    changed = evidence.input_changed
    failure = FailureClass.INPUT_CHANGED if changed else FailureClass.NOT_SENT
    return Rejected(failure=failure, message=changed or why, again=not changed)


def _by_status(status: int, evidence: SubmitEvidence, now: float) -> Verdict:
    body = _json_object(evidence.body) if not evidence.broken else None
    if 200 <= status < 300:
        return _accepted(evidence, body)
    message = api_message(body) or f"HTTP {status}"
    failure = _REFUSALS.get(status)
    if failure is None and 400 <= status < 500 and status not in _AMBIGUOUS_4XX and is_api_error(body):
        failure = FailureClass.REFUSED
    if failure is None and evidence.body_sent < evidence.body_declared:
        return _incomplete(evidence, f"the server answered {status} before the request was complete: {message}")
    if failure is None:
        return InDoubt(
            message=f"the server answered {status} after the request was sent: {message}",
            generation_id=_clean_id(evidence.inference_id),
            raw=evidence.body,
        )
    if status == 429:
        wait = retry_after_s(evidence.retry_after, now)
        return Rejected(failure=failure, message=message, again=True, wait_s=wait)
    return Rejected(failure=failure, message=f"{message} (HTTP {status})", stop=status in (401, 402, 403))


def _accepted(evidence: SubmitEvidence, body: dict[str, Any] | None) -> Verdict:
    found = _clean_id((body or {}).get("id")) or _clean_id(evidence.inference_id)
    if found:
        return Accepted(generation_id=found, raw=evidence.body)
    return InDoubt(
        message=f"the server answered {evidence.status} without an id", raw=evidence.body, generation_id=None
    )


def is_api_error(body: dict[str, Any] | None) -> bool:
    """Whether this is the API's own error body (`message`, `statusCode`, …), not a proxy's page."""
    return body is not None and "message" in body and "statusCode" in body


def api_message(body: dict[str, Any] | None) -> str:
    """The message of an error body; lists are joined."""
    message = (body or {}).get("message")
    if isinstance(message, list):
        return "; ".join(str(part) for part in message)
    return str(message) if message else ""


def is_content_refusal(name: str, message: str) -> bool:
    """Whether a failed generation was refused for its content: sending it again would fail again."""
    text = f"{name} {message}".casefold()
    return any(word in text for word in _CONTENT_WORDS)


def retry_after_s(header: str | None, now: float) -> float | None:
    """The seconds a `Retry-After` header asks for, between 1 s and an hour; None when absent or unreadable."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - now
        except ValueError:
            return None
    return min(max(seconds, 1.0), RETRY_AFTER_CAP_S) if seconds == seconds else None  # noqa: PLR0124 - NaN


def _clean_id(found: object) -> str | None:
    """A generation id that can be used; anything odd is left to the log."""
    ok = isinstance(found, str) and 0 < len(found) <= 512 and found.isprintable() and not found.isspace()
    return str(found).strip() if ok else None


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
