"""Downloads a result: no key, no redirects to private hosts, resumed by Range, bounded in size and in slowness."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import httpx

from kling_render.ports import Fetched, FetchFailed, LinkExpired, Unchanged
from kling_render.providers.aimlapi.links import vetted_address

SIZE_CAP = 1 << 30
"""A result may have at most 1 GiB."""
_REDIRECTS = 3
_TRIES = 4
_TIMES = {"timeout": {"connect": 10.0}}
_HEAD_S = 30.0
_CHUNK_S = 60.0
_NOT_MODIFIED = 304
_EXPIRED = frozenset({401, 403, 404, 410})


class _Part:
    """What has arrived so far, and the validator that says whether the rest still belongs to it."""

    def __init__(self, file: BinaryIO, known: str = "", most: int = SIZE_CAP) -> None:
        self.file = file
        #: The tag of bytes that are at hand, and how many bytes there may be.
        self.known, self.most = known, most
        #: The tag of these bytes, as `If-None-Match` takes it.
        self.tag = ""
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
        if self.size > self.most:
            raise FetchFailed(f"the result is larger than {self.most >> 20} MiB")
        self.digest.update(chunk)
        self.file.write(chunk)


async def fetch(
    transport: httpx.AsyncBaseTransport, url: str, base_url: str, target: Path, *, known: str = "", most: int = SIZE_CAP
) -> Fetched:
    """Download `url` to `target`; see `ports.PaidProvider.fetch`.

    Args:
        transport: what sends requests.
        url: where it lies.
        base_url: the API's; only its own host may be on loopback.
        target: the file to write.
        known: the tag of bytes that are at hand.
        most: bytes it may have.

    Raises:
        Unchanged: the server still has the bytes of `known`.
    """
    with target.open("wb") as file:
        part = _Part(file, known, most)
        for attempt in range(_TRIES):
            try:
                if await _continue(transport, url, base_url, part):
                    return Fetched(sha256=part.digest.hexdigest(), size=part.size, etag=part.tag)
                broken = "the connection ended before the last byte"
            except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
                    raise
                broken = f"{type(error).__name__}: {error}"
            await asyncio.sleep(0.2 * 2**attempt)
        raise FetchFailed(f"the download broke off {_TRIES} times: {broken}")


async def _continue(transport: httpx.AsyncBaseTransport, url: str, base_url: str, part: _Part) -> bool:
    """Take what is still missing; True when the body is complete."""
    for _ in range(_REDIRECTS + 1):
        request = await _request(url, base_url, part)
        async with asyncio.timeout(_HEAD_S):
            response = await transport.handle_async_request(request)
        try:
            if not response.is_redirect or response.status_code == _NOT_MODIFIED:
                return await _take(response, part)
            url = urljoin(url, response.headers.get("location", ""))
        finally:
            await response.aclose()
    raise FetchFailed(f"the result's link redirects more than {_REDIRECTS} times")


async def _request(url: str, base_url: str, part: _Part) -> httpx.Request:
    headers = {"Accept-Encoding": "identity"}
    if part.size and part.etag:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.etag}
    elif part.known:
        headers["If-None-Match"] = part.known
    address = await vetted_address(url, base_url)
    if address is None:
        return httpx.Request("GET", url, headers=headers, extensions=_TIMES)
    # Connect to the very address that was vetted; TLS still proves the host's name.
    parts = urlsplit(url)
    headers["Host"] = parts.netloc
    pinned = httpx.URL(url).copy_with(host=address)
    return httpx.Request("GET", pinned, headers=headers, extensions={"sni_hostname": parts.hostname, **_TIMES})


async def _take(response: httpx.Response, part: _Part) -> bool:
    expected = _expected_total(response, part)
    chunks = response.aiter_raw(1 << 16)
    while True:
        async with asyncio.timeout(_CHUNK_S):
            chunk = await anext(chunks, None)
        if chunk is None:
            return expected is None or part.size == expected
        part.add(chunk)


def _expected_total(response: httpx.Response, part: _Part) -> int | None:
    """Checks the head of the answer, prepares the part and says how long the whole must be (None: not said)."""
    status, headers = response.status_code, response.headers
    if status in _EXPIRED:
        raise LinkExpired(f"the result's link answered {status}")
    if status == _NOT_MODIFIED and part.known:
        raise Unchanged
    if status == 206 and part.size:
        start, _, total = headers.get("content-range", "").removeprefix("bytes ").partition("/")
        if start.split("-")[0] == str(part.size) and total.isdecimal():
            return int(total)
    if status != 200:
        part.restart()
        raise httpx.RemoteProtocolError(f"HTTP {status}")
    part.restart()
    etag = headers.get("etag", "")
    part.tag, part.etag = etag, etag if etag.startswith('"') else None
    length = headers.get("content-length", "")
    expected = int(length) if length.isdecimal() else None
    if expected is not None and expected > part.most:
        raise FetchFailed(f"the result is larger than {part.most >> 20} MiB")
    return expected
