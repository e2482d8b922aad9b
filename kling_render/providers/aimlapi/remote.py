"""Fetches remote inputs for checking: public https only, bounded, without the key."""

from __future__ import annotations

from pathlib import Path

from kling_render.ports import Fetched
from kling_render.providers.aimlapi.fetch import fetch
from kling_render.providers.aimlapi.wire import Wire


async def fetch_input(url: str, target: Path) -> Fetched:
    """Download an input to `target`.

    Raises:
        FetchFailed: it is not public, not https, too large, or does not come.
    """
    wire = Wire()
    try:
        return await fetch(wire, url, "", target)
    finally:
        wire.close()
