"""The catalogue: prices, without a key. Asked once per run, for at most two seconds in all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from kling_render import __version__
from kling_render.providers.aimlapi import vocabulary as v

LOOKUP_S = 2.0
_CAP = 8 << 20


@dataclass(frozen=True, slots=True)
class CatalogueAnswer:
    """`body` is None when the catalogue did not change since `etag` (HTTP 304)."""

    body: Mapping[str, Any] | None
    etag: str | None


def look_up(base_url: str, models: list[str], etag: str | None) -> CatalogueAnswer | None:
    """The catalogue's answer for some models with exact numbers; None when it cannot be had in two seconds."""
    headers = {"User-Agent": f"kling-render/{__version__}"} | ({"If-None-Match": etag} if etag else {})
    query = {"include": "pricing", "id": models}
    deadline = time.monotonic() + LOOKUP_S
    try:
        with (
            httpx.Client(timeout=LOOKUP_S, trust_env=False) as client,
            client.stream("GET", base_url.rstrip("/") + v.MODELS, params=query, headers=headers) as response,
        ):
            if response.status_code == 304:
                return CatalogueAnswer(None, etag)
            data = bytearray()
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > _CAP or time.monotonic() > deadline:
                    return None
            body = v.json_object(bytes(data)) if response.status_code == 200 else None
            return CatalogueAnswer(body, response.headers.get("etag")) if body is not None else None
    except (httpx.HTTPError, httpx.StreamError, OSError):
        return None
