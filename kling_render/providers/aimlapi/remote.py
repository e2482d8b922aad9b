"""Fetches remote inputs for checking: public https only, bounded in bytes and time, without the key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from kling_render.ports import Fetched, FetchFailed, LinkExpired, Unchanged
from kling_render.providers.aimlapi.fetch import fetch

MOST_BYTES = 256 << 20
"""More than any model takes, so that a file over a limit is still told by its figure."""
_MOST_S = 300.0
_AT_ONCE = 6


@dataclass(frozen=True, slots=True)
class Wanted:
    """A remote input that is to be fetched."""

    url: str
    target: Path
    #: The tag of the bytes that are at hand; empty: there are none.
    known: str = ""


async def fetch_inputs(
    wanted: Sequence[Wanted],
    done: Callable[[int], None] = lambda _count: None,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    most_s: float = _MOST_S,
) -> list[Fetched | FetchFailed | Unchanged]:
    """Download several inputs at once; in their order what came of each.

    Args:
        wanted: what and where to.
        done: called with how many are done.
        transport: what sends requests; None: the network.
        most_s: seconds each may take.
    """
    count, gate = 0, asyncio.Semaphore(_AT_ONCE)

    async def one(sending: httpx.AsyncBaseTransport, input_: Wanted) -> Fetched | FetchFailed | Unchanged:
        nonlocal count
        async with gate:
            found = await _one(sending, input_, most_s)
        count += 1
        done(count)
        return found

    async with transport or httpx.AsyncHTTPTransport(trust_env=False) as sending:
        return list(await asyncio.gather(*(one(sending, input_) for input_ in wanted)))


async def _one(transport: httpx.AsyncBaseTransport, wanted: Wanted, most_s: float) -> Fetched | FetchFailed | Unchanged:
    try:
        async with asyncio.timeout(most_s):
            return await fetch(transport, wanted.url, "", wanted.target, known=wanted.known, most=MOST_BYTES)
    except Unchanged as same:
        return same
    except TimeoutError:
        return FetchFailed(f"it took longer than {most_s:g} s")
    except FetchFailed as error:
        text = str(error).replace("the result's link", "the link").replace("the result", "the file")
        return LinkExpired(text) if isinstance(error, LinkExpired) else FetchFailed(text)
