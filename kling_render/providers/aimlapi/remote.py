"""Fetches remote inputs for checking: public https only, bounded, without the key."""

from __future__ import annotations

from pathlib import Path

import httpx

from kling_render.ports import Fetched
from kling_render.providers.aimlapi.fetch import fetch


async def fetch_input(url: str, target: Path) -> Fetched:
    """Download an input to `target`.

    Raises:
        FetchFailed: it is not public, not https, too large, or does not come.
    """
    async with httpx.AsyncHTTPTransport(trust_env=False) as transport:
        return await fetch(transport, url, "", target)
