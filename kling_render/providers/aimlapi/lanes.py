"""Connections that are used again, each by one exchange at a time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1)


class Lanes:
    """A few transports with one connection each; the one used last is taken first.

    One transport with many connections would look at all of them whenever an exchange begins or ends. Clients above
    the transports would redirect, keep cookies and log signed links; none of that is wanted here.
    """

    def __init__(self, count: int, tls: ssl.SSLContext) -> None:
        self._gate = asyncio.Semaphore(count)
        self._tls = tls
        self._made: list[httpx.AsyncHTTPTransport] = []
        self._free: list[httpx.AsyncHTTPTransport] = []

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncHTTPTransport]:
        """A transport that nobody else uses meanwhile."""
        async with self._gate:
            transport = self._free.pop() if self._free else self._new()
            try:
                yield transport
            finally:
                self._free.append(transport)

    def _new(self) -> httpx.AsyncHTTPTransport:
        self._made.append(httpx.AsyncHTTPTransport(verify=self._tls, limits=_ONE, trust_env=False))
        return self._made[-1]

    async def aclose(self) -> None:
        """End all connections."""
        for transport in self._made:
            await transport.aclose()
