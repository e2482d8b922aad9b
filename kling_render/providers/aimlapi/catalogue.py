"""The catalogue: prices, without a key. Asked once per run, for at most two seconds in all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from kling_render import __version__
from kling_render.providers.aimlapi import vocabulary as v
from kling_render.providers.aimlapi.wire import Wire, WireError, place_of

LOOKUP_S = 2.0
_CAP = 8 << 20


@dataclass(frozen=True, slots=True)
class CatalogueAnswer:
    """`body` is None when the catalogue did not change since `etag` (HTTP 304)."""

    body: Mapping[str, Any] | None
    etag: str | None


def look_up(base_url: str, models: list[str], etag: str | None) -> CatalogueAnswer | None:
    """The catalogue's answer for some models with exact numbers; None when it cannot be had in two seconds."""
    try:
        return asyncio.run(_look_up(base_url, models, etag))
    except (WireError, TimeoutError):
        return None


async def _look_up(base_url: str, models: list[str], etag: str | None) -> CatalogueAnswer | None:
    headers = {"User-Agent": f"kling-render/{__version__}"} | ({"If-None-Match": etag} if etag else {})
    place = place_of(base_url.rstrip("/") + v.MODELS, urlencode({"include": "pricing", "id": models}, doseq=True))
    wire = Wire()
    try:
        async with asyncio.timeout(LOOKUP_S), wire.get(place, headers) as answer:
            if answer.status == 304:
                return CatalogueAnswer(None, etag)
            text = await answer.text(_CAP)
            body = v.json_object(text) if answer.status == 200 else None
            return CatalogueAnswer(body, answer.headers.get("etag")) if body is not None else None
    finally:
        wire.close()
