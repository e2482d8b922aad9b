"""What can be asked without a key: the catalogue's prices, and how long renders take. Two seconds at most in all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from kling_render import __version__
from kling_render.providers.aimlapi import vocabulary as v

LOOKUP_S = 2.0
_CAP = 8 << 20
_ABSURD_MS = 7 * 86_400_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CatalogueAnswer:
    """`body` is None when the catalogue did not change since `etag` (HTTP 304)."""

    body: Mapping[str, Any] | None
    etag: str | None


@dataclass(frozen=True, slots=True)
class Durations:
    """How long everybody's renders of a model took in the last minutes, in seconds: the median, and nine of ten."""

    p50_s: float
    p90_s: float


def look_up(base_url: str, models: Sequence[str], etag: str | None) -> CatalogueAnswer | None:
    """The catalogue's answer for some models with exact numbers; None when it cannot be had in two seconds."""
    return ask(base_url, models, etag)[0]


def ask(
    base_url: str,
    models: Sequence[str],
    etag: str | None,
    *,
    timed: Sequence[str] = (),
    within_s: float = LOOKUP_S,
) -> tuple[CatalogueAnswer | None, Mapping[str, Durations]]:
    """The prices of `models` and how long renders of `timed` take, asked for side by side.

    Whatever does not come in time is missing. Each waits in a thread of its own, since the search for a host's
    address cannot be broken off.
    """
    deadline = time.monotonic() + within_s
    prices = _begun(lambda: _catalogue(base_url, models, etag, deadline)) if models else _nothing
    durations = _begun(lambda: _durations(base_url, timed, deadline)) if timed else _nothing
    return prices(deadline), durations(deadline) or {}


def _nothing(_deadline: float) -> None:
    return


def _begun(work: Callable[[], T]) -> Callable[[float], T | None]:
    """Begin some work; the returned function waits for its value, but not past a deadline."""
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()

    def value(deadline: float) -> T | None:
        thread.join(max(deadline - time.monotonic(), 0.0))
        return found[0] if found else None

    return value


def _catalogue(base_url: str, models: Sequence[str], etag: str | None, deadline: float) -> CatalogueAnswer | None:
    query = {"include": "pricing", "id": list(models)}
    status, found, body = _get(base_url, v.MODELS, query, deadline, etag)
    if status == 304:
        return CatalogueAnswer(None, etag)
    return CatalogueAnswer(body, found) if body is not None else None


def _durations(base_url: str, models: Sequence[str], deadline: float) -> dict[str, Durations]:
    """Of the models with traffic; one that nobody used in the last minutes is absent."""
    _, _, body = _get(base_url, v.METRICS, {"aliases": list(models)}, deadline)
    listed = (body or {}).get("models")
    found = {}
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and entry.get("alias") in models and (read := _quantiles(entry.get("metrics"))):
            found[str(entry["alias"])] = read
    return found


def _quantiles(metrics: object) -> Durations | None:
    durations = metrics.get("duration_ms") if isinstance(metrics, dict) else None
    if not isinstance(durations, dict):
        return None
    p50, p90 = (_seconds(durations.get(name)) for name in ("p50", "p90"))
    return None if p50 is None else Durations(p50, max(p90 or p50, p50))


def _seconds(milliseconds: object) -> float | None:
    """Seconds of a plausible number of milliseconds."""
    number = v.decimal_of(milliseconds)
    return float(number / 1000) if number is not None and 0 < number < _ABSURD_MS else None


def _get(
    base_url: str, path: str, query: Mapping[str, Any], deadline: float, etag: str | None = None
) -> tuple[int, str | None, dict[str, Any] | None]:
    """Status (0: no answer), ETag, and the body of a 200 that is a JSON object."""
    headers = {"User-Agent": f"kling-render/{__version__}"} | ({"If-None-Match": etag} if etag else {})
    left = max(deadline - time.monotonic(), 0.01)
    try:
        with (
            httpx.Client(timeout=left, trust_env=False) as client,
            client.stream("GET", base_url.rstrip("/") + path, params=query, headers=headers) as response,
        ):
            data = bytearray()
            for chunk in response.iter_bytes() if response.status_code == 200 else ():
                data += chunk
                if len(data) > _CAP or time.monotonic() > deadline:
                    return 0, None, None
            return response.status_code, response.headers.get("etag"), v.json_object(bytes(data))
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError):
        return 0, None, None
