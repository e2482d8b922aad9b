"""Fetches remote inputs for checking: public https only, bounded, without the key."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx

from kling_render.ports import Fetched
from kling_render.providers.aimlapi.fetch import fetch

_TIMEOUT_S = 30.0


async def fetch_input(url: str, target: Path) -> Fetched:
    """Download an input to `target`.

    Raises:
        FetchFailed: it is not public, not https, too large, or does not come.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False) as client:
        return await fetch(client, url, "", target)
