"""The server's end of each connection, so that a fault can cut it."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_open: dict[tuple[str, int], asyncio.Transport] = {}


class CuttableProtocol(H11Protocol):
    """uvicorn's HTTP protocol, findable by the peer's address."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """Remember the connection."""
        super().connection_made(transport)
        if self.client is not None:
            _open[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self.client is not None:
            _open.pop(self.client, None)
        super().connection_lost(exc)


def cut(scope: Any, *, reset: bool = False) -> None:
    """End the connection of this request at once; what was not sent yet never is."""
    client = scope.get("client")
    transport = _open.get((client[0], client[1])) if client else None
    if transport is None:
        return
    peer = transport.get_extra_info("socket")
    if reset and peer is not None:
        peer.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        )
    transport.abort()
