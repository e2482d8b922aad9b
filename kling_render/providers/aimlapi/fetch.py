"""Downloads a result: no key, no redirects to private hosts, resumed by Range, bounded in size and in slowness."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin

from kling_render.ports import Fetched, FetchFailed, LinkExpired
from kling_render.providers.aimlapi.links import vetted_address
from kling_render.providers.aimlapi.wire import Connection, Wire, WireError, place_of

SIZE_CAP = 1 << 30
"""A result may have at most 1 GiB."""
_REDIRECTS = 3
_TRIES = 4
_HEAD_S = 30.0
_PORTION_S = 60.0
_PORTION = 1 << 16
"""Bytes that must come within that time, or the download counts as broken."""
_EXPIRED = frozenset({401, 403, 404, 410})
_REDIRECTED = frozenset({301, 302, 303, 307, 308})


class _Part:
    """What has arrived so far, and the validator that says whether the rest still belongs to it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = sha256()
        self.size = 0
        self.etag: str | None = None

    def restart(self) -> None:
        if self.size:
            self.file.seek(0)
            self.file.truncate()
        self.digest, self.size, self.etag = sha256(), 0, None

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > SIZE_CAP:
            raise FetchFailed(f"the result is larger than {SIZE_CAP >> 20} MiB")
        self.digest.update(chunk)
        self.file.write(chunk)


async def fetch(wire: Wire, url: str, base_url: str, target: Path) -> Fetched:
    """Download `url` to `target`; see `ports.PaidProvider.fetch`."""
    with target.open("wb") as file:
        part = _Part(file)
        for attempt in range(_TRIES):
            try:
                if await _continue(wire, url, base_url, part):
                    return Fetched(sha256=part.digest.hexdigest(), size=part.size)
                broken = "the connection ended before the last byte"
            except (WireError, TimeoutError, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
                    raise
                broken = str(error) or "too slow"
            await asyncio.sleep(0.2 * 2**attempt)
        raise FetchFailed(f"the download broke off {_TRIES} times: {broken}")


async def _continue(wire: Wire, url: str, base_url: str, part: _Part) -> bool:
    """Take what is still missing; True when the body is complete."""
    for _ in range(_REDIRECTS + 1):
        place = place_of(url, address=await vetted_address(url, base_url))
        async with asyncio.timeout(_HEAD_S) as limit, wire.get(place, _headers(part)) as answer:
            if answer.status not in _REDIRECTED or "location" not in answer.headers:
                return await _take(answer, part, limit)
            url = urljoin(url, answer.headers["location"])
    raise FetchFailed(f"the result's link redirects more than {_REDIRECTS} times")


def _headers(part: _Part) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if part.size and part.etag:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.etag}
    return headers


async def _take(answer: Connection, part: _Part, limit: asyncio.Timeout) -> bool:
    expected = _expected_total(answer, part)
    now, due = asyncio.get_running_loop().time, part.size
    async for chunk in answer.chunks():
        if part.size >= due:
            due = part.size + _PORTION
            limit.reschedule(now() + _PORTION_S)
        part.add(chunk)
    return expected is None or part.size == expected


def _expected_total(answer: Connection, part: _Part) -> int | None:
    """Checks the head of the answer, prepares the part and says how long the whole must be (None: not said)."""
    status, headers = answer.status, answer.headers
    if status in _EXPIRED:
        raise LinkExpired(f"the result's link answered {status}")
    if status == 206 and part.size:
        start, _, total = headers.get("content-range", "").removeprefix("bytes ").partition("/")
        if start.split("-")[0] == str(part.size) and total.isdecimal():
            return int(total)
    if status != 200:
        part.restart()
        raise WireError(f"HTTP {status}")
    part.restart()
    etag = headers.get("etag", "")
    part.etag = etag if etag.startswith('"') else None
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() else None
