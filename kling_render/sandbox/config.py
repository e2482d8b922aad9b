"""The sandbox's settings: what the world obeys, and what the server around it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal, Self

from kling_render.errors import UsageError, did_you_mean
from kling_render.sandbox.faults import FaultRule

Answers = Literal["rehearsal", "canned", "echo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSettings:
    """How the simulated API behaves. Times are seconds, prices USD."""

    #: Accepted keys, each `KEY` or `KEY=ACCOUNT` (two keys may share an account). Empty: every non-empty key, each
    #: with an account of its own.
    keys: tuple[str, ...] = ()
    #: What a new account owns.
    balance_usd: Decimal = Decimal(100)
    #: Price of one second of output. Two sellers of the model quote this figure; the catalogue call is the truth.
    price_per_s: Decimal = Decimal("0.112")
    #: How many seconds the catalogue's figure is quoted for.
    price_per: int = 1
    #: `variable` hides the price: such a model cannot be quoted ahead of the request.
    price_kind: Literal["fixed", "variable"] = "fixed"
    #: From acceptance to the end of a generation, its time in the queue included.
    generation_seconds: float = 2.0
    #: The queue's part of it.
    queued_seconds: float = 0.5
    #: Status of a successful submit; the vendor's pages show 200 and 201.
    submit_status: int = 201
    #: Extra time before every answer of the API.
    latency_s: float = 0.0
    #: How long a log row takes to appear.
    log_lag_s: float = 0.0
    #: Whether requests that still run are in the log; if not, they appear (`log_lag_s` later) when they end.
    log_running: bool = True
    #: Whether refused submits (4xx with a valid key) are in the log, as `failed`.
    log_refused: bool = False
    #: Documented: 200 log reads a minute.
    log_reads_per_minute: int = 200
    #: How long after completion the charge appears in billing.
    charge_lag_s: float = 0.0
    #: Validity of a result link.
    url_ttl_s: float = 7 * 86_400.0
    #: Running generations per account before a submit gets 429; 0: no limit.
    max_concurrent: int = 0
    #: Submits per second and account before one gets 429; 0: no limit.
    rate_per_s: float = 0.0
    #: `Retry-After` of those 429s; None: the header is absent.
    retry_after_s: float | None = None
    #: Length assumed for a clip given as URL (the sandbox fetches nothing).
    default_clip_s: float = 5.0
    #: Whether unreadable media and clips above the documented length end in a failed generation.
    check_media: bool = True
    #: Shift of the sandbox's clock against the machine's.
    clock_offset_s: float = 0.0
    #: Largest request body in bytes before 413.
    body_limit: int = 200_000_000

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """A copy with some fields replaced by plain JSON or text values.

        Raises:
            UsageError: an unknown name or a value of the wrong form.
        """
        known = {field.name: str(field.type) for field in fields(WorldSettings)}
        values = {}
        for name, value in changes.items():
            if name not in known:
                raise UsageError(f"the sandbox has no setting '{name}'{did_you_mean(name, known)}")
            values[name] = _convert(name, known[name], value)
        return replace(self, **values)

    def plain(self) -> dict[str, Any]:
        """All world settings as JSON values; `changed` takes them back."""
        plain = {field.name: getattr(self, field.name) for field in fields(WorldSettings)}
        return {
            k: str(v) if isinstance(v, Decimal) else list(v) if isinstance(v, tuple) else v for k, v in plain.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig(WorldSettings):
    """The world's settings and those of the server process."""

    host: str = "127.0.0.1"
    #: 0: any free port.
    port: int = 0
    #: Fixes ids and chances; None: different on every start.
    seed: int | None = None
    #: Where a result's bytes come from: drawn by the free local renderer (`rehearsal`), a plain clip of the right
    #: length (`canned`), or the uploaded clip itself (`echo`). Each result is unique either way.
    answers: Answers = "rehearsal"
    #: Long edge of a drawn result in pixels.
    answer_edge: int = 360
    #: A folder that outlives the process; None: everything is forgotten at the end.
    state: Path | None = None
    #: Faults from the start.
    faults: tuple[FaultRule, ...] = ()


def _convert(name: str, kind: str, value: Any) -> Any:
    try:
        if kind == "Decimal":
            return _amount(value)
        if kind == "bool":
            return _flag(value)
        if kind == "int":
            return int(value)
        if kind.startswith("float"):
            return None if value is None and "None" in kind else float(value)
        if kind.startswith("tuple"):
            return tuple(str(v) for v in value)
        if value not in ("fixed", "variable"):
            raise ValueError  # noqa: TRY301 - told to the user below
    except (TypeError, ValueError, InvalidOperation):
        raise UsageError(f"setting '{name}' of the sandbox: cannot use {value!r} as {kind}") from None
    return value


def _amount(value: Any) -> Decimal:
    amount = Decimal(str(value))
    if not amount.is_finite() or amount < 0:
        raise ValueError
    return amount


def _flag(value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise ValueError
    return str(value).lower() == "true"
