"""The vendor's vocabulary: request fields, statuses and answer shapes, translated to ours and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from kling_render.lifecycle.answers import LogRow, PollAnswer
from kling_render.lifecycle.books import Booking
from kling_render.lifecycle.records import CREDITS_PER_USD, credits_of
from kling_render.lifecycle.requests import SubmitRequest

GENERATIONS = "/v2/video/generations"
LOGS = "/v2/logs"
BILLING = "/v2/billing"
TRANSACTIONS = "/v2/billing/transactions"
MODELS = "/v1/models"
METRICS = "/models/metrics"
CLIENT_REQUEST_ID = "X-Client-Request-Id"
INFERENCE_ID = "x-inference-id"
LOG_PAGE = 100
"""Rows per page of the log, the vendor's maximum."""
_ABSURD = Decimal(10) ** 15
"""Credits or dollars that no answer can mean; such a figure counts as not given."""


def request_fields(request: SubmitRequest) -> dict[str, Any]:
    """The JSON body without the two media fields; optional fields are always sent, defaults differ by model."""
    fields: dict[str, Any] = {
        "model": request.model,
        "character_orientation": request.orientation,
        "keep_audio": request.keep_audio,
        **request.params,
    }
    if request.prompt:
        fields["prompt"] = request.prompt
    return fields


def poll_answer(body: Mapping[str, Any], raw: str) -> PollAnswer:
    """A generation's state; an unknown status counts as still running."""
    status = str(body.get("status") or "")
    if status == "completed":
        return _completed(body, raw)
    if status == "error":
        error = _object(body.get("error"))
        name, message = str(error.get("name") or "error"), str(error.get("message") or "no reason given")
        return PollAnswer(kind="failed", status=status, error_name=name, message=message, raw=raw)
    return PollAnswer(kind="running", status=status, raw=raw)


def _completed(body: Mapping[str, Any], raw: str) -> PollAnswer:
    url = _object(body.get("video")).get("url")
    if not isinstance(url, str) or not url:
        return PollAnswer(kind="unavailable", status="completed", message="completed, but without a link yet", raw=raw)
    return PollAnswer(kind="completed", status="completed", url=url, credits=used_credits(body), raw=raw)


def used_credits(body: Mapping[str, Any]) -> int | None:
    """Whole credits from `meta.usage`, rounded up; None when the answer does not say."""
    usage = _object(_object(body.get("meta")).get("usage"))
    credits_used, usd = decimal_of(usage.get("credits_used")), decimal_of(usage.get("usd_spent"))
    if credits_used is not None:
        return _whole(credits_used)
    return credits_of(usd) if usd is not None else None


def balance_credits(body: Mapping[str, Any]) -> int | None:
    """Whole credits of a `billing` answer, rounded down; None when it names no amount in USD."""
    amount = body.get("current_balance")
    if body.get("currency", "USD") != "USD" or isinstance(amount, bool) or not isinstance(amount, int | str | Decimal):
        return None
    try:
        return int(Decimal(amount) * CREDITS_PER_USD)
    except (InvalidOperation, ValueError, OverflowError):
        return None


def log_row(row: Mapping[str, Any]) -> LogRow:
    """One row of the request log. Raises ValueError or KeyError when it is not one."""
    cost = decimal_of(_object(row.get("cost")).get("credits"))
    client_id = row.get("client_request_id")
    return LogRow(
        created=timestamp(str(row["created"])),
        failed=row.get("status") == "failed",
        credits=None if cost is None else int(cost),
        inference_id=str(row["inference_id"]),
        client_request_id=client_id if isinstance(client_id, str) else None,
        model=str(row.get("model") or ""),
    )


def booking(row: Mapping[str, Any]) -> Booking:
    """One charge of the account's ledger. Raises ValueError or KeyError when it is none."""
    amount = _object(row.get("amount"))
    credits_, usd = decimal_of(amount.get("credits")), decimal_of(amount.get("usd"))
    if credits_ is None and usd is None:
        raise ValueError("a charge without an amount")
    reference, model = row.get("reference_id"), row.get("model")
    return Booking(
        reference_id=reference if isinstance(reference, str) else None,
        at=timestamp(str(row["created_at"])),
        credits=_whole(credits_) if credits_ is not None else credits_of(usd or Decimal(0)),
        model=model if isinstance(model, str) else "",
    )


def timestamp(text: str) -> float:
    """Seconds since the epoch of an ISO-8601 time; without an offset it is UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def iso(seconds: float) -> str:
    """The API's form of a time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_object(data: bytes | str) -> dict[str, Any] | None:
    """A JSON object with exact numbers, or None when the text is anything else."""
    try:
        value = json.loads(data, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _whole(credits_: Decimal) -> int:
    return int(credits_.to_integral_value(rounding=ROUND_CEILING))


def decimal_of(value: object) -> Decimal | None:
    """A figure of an answer; None for one that no answer can mean."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 <= number < _ABSURD else None
