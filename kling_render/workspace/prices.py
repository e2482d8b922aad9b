"""Prices from the catalogue: asked once per plan, remembered with their date for when the catalogue is out of reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from kling_render.planning.prices import Price, free_price, price_from_catalogue, priced_parameters
from kling_render.shotlist.records import Request
from kling_render.store.cache import Cache

_CATALOGUE = "catalogue/1"


def free(request: Request) -> Price | None:
    """The price of a rehearsal."""
    return free_price(request.model)


def from_catalogue(
    models: Iterable[str], base_url: str, cache: Cache, now: float, *, offline: bool = False
) -> Callable[[Request], Price | None]:
    """A look-up of prices for these models; unknown stays unknown."""
    wanted = sorted(set(models))
    key = f"{base_url} {' '.join(wanted)}"
    known: dict[str, Any] = cache.get(_CATALOGUE, key) or {}
    source = "cached"
    if wanted and not offline:
        from kling_render.providers.aimlapi.catalogue import look_up

        answer = look_up(base_url, wanted, known.get("etag"))
        if answer is not None:
            body = known.get("body") if answer.body is None else _plain(answer.body)
            moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
            known = {"etag": answer.etag, "body": body, "as_of": moment}
            source = "catalogue"
            cache.put(_CATALOGUE, key, known)
    body, as_of = known.get("body"), str(known.get("as_of", ""))
    if not isinstance(body, dict):
        return lambda _request: None

    def price(request: Request) -> Price | None:
        return price_from_catalogue(
            body,
            request.model,
            priced_parameters(request),
            as_of=as_of,
            source="catalogue" if source == "catalogue" else "cached",
        )

    return price


def _plain(value: Any) -> Any:
    """JSON values with numbers as text, so that the cache keeps them exactly."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
