"""HTTP/1.1 on asyncio's sockets: h11 knows the protocol, this module the connections.

Nothing is repeated, redirected or sent on its own: one call is one exchange, and whoever submits knows the moment at
which the connection stands and no byte has left. A general client spends ten times the CPU on a small exchange.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import h11

CONNECT_S = 10.0
_HEAD_CAP = 100 * 1024
_BUFFERED = 1 << 20
"""Received bytes that may wait here to be read; beyond them the sender is held up."""
_IDLE_S = 4.0
"""Servers close an idle connection after some seconds: one that idled nearly as long is not used again."""
_KEPT = 16
_AS_IT_IS = "".join(map(chr, range(0x21, 0x7F)))
"""Signed links are not touched; only what cannot stand in a request's first line is quoted."""
_METHODS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class WireError(Exception):
    """The exchange broke: no connection, reset, cut off, or not HTTP."""

    #: Whether the certificate did not prove the host.
    untrusted = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes. `address` is connected to; `host` is what TLS proves."""

    tls: bool
    host: str
    port: int
    address: str
    authority: str
    target: str


def place_of(url: str, query: str = "", *, address: str | None = None) -> Place:
    """The place of an http or https URL.

    Args:
        url: absolute.
        query: appended to it, encoded.
        address: connect there instead of to the URL's host.

    Raises:
        WireError: it is not such a URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError as error:
        raise WireError(f"not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise WireError("not an http or https URL")
    tls = parts.scheme == "https"
    joined = "&".join(part for part in (parts.query, query) if part)
    shown = f"[{host}]" if ":" in host else host
    return Place(
        tls=tls,
        host=host,
        port=port or (443 if tls else 80),
        address=address or host,
        authority=shown if port is None else f"{shown}:{port}",
        target=quote((parts.path or "/") + (f"?{joined}" if joined else ""), safe=_AS_IT_IS),
    )


def trusted() -> ssl.SSLContext:
    """The system's certificates; reading them takes long, so it is done once."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def message(method: str, place: Place, headers: Mapping[str, str]) -> h11.Request:
    """A request's head.

    Raises:
        WireError: a header or the target has characters that no head may have.
    """
    fields = [("Host", place.authority), ("Accept", "*/*"), *headers.items()]
    try:
        return h11.Request(method=method, target=place.target, headers=fields)
    except (h11.ProtocolError, UnicodeError) as error:
        raise WireError(f"no valid request: {error}") from error


class Connection(asyncio.Protocol):
    """One connection; one exchange at a time."""

    def __init__(self, place: Place, loop: asyncio.AbstractEventLoop) -> None:
        self.place = place
        #: When it was kept, in the loop's seconds.
        self.kept_at = 0.0
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._loop = loop
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_CAP)
        self._transport: Any = None
        self._received = bytearray()
        self._ended = False
        self._fault: Exception | None = None
        self._held_up = False
        self._waiting: asyncio.Future[None] | None = None
        self._full: asyncio.Future[None] | None = None

    # -- one exchange ----------------------------------------------------------------------------------------

    async def ask(self, head: h11.Request, body: AsyncIterator[bytes] | None = None) -> None:
        """Send a request and read the head of its answer into `status` and `headers`.

        A server may refuse and close before it has read everything: then its answer counts.
        """
        if self._ended:
            raise self._broken("closed before anything was sent")
        try:
            self._write(self._http.send(head))
            if body is not None:
                await self._send(body)
            else:
                self._write(self._http.send(h11.EndOfMessage()))
            await self._read_head()
        except h11.ProtocolError as error:
            raise self._broken(str(error)) from error

    async def _send(self, body: AsyncIterator[bytes]) -> None:
        async for piece in body:
            self._write(self._http.send(h11.Data(data=piece)))
            await (self._full or asyncio.sleep(0))
            if self._ended or self._transport.is_closing():
                return
        self._write(self._http.send(h11.EndOfMessage()))

    async def _read_head(self) -> None:
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                self.status, self.headers = event.status_code, _joined(event.headers)
                return
            assert isinstance(event, h11.InformationalResponse)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The answer's body as it comes, undecoded.

        Raises:
            WireError: it ended before its last byte.
        """
        while True:
            try:
                event = await self._event()
            except h11.ProtocolError as error:
                raise self._broken(str(error)) from error
            if not isinstance(event, h11.Data):
                return
            yield event.data

    async def text(self, cap: int) -> str:
        """The whole answer, unpacked, cut at `cap` bytes."""
        data = bytearray()
        async for chunk in self.chunks():
            data += chunk
            if len(data) > cap:
                break
        return _unpacked(bytes(data[:cap]), self.headers.get("content-encoding", ""), cap).decode("utf-8", "replace")

    # -- its life --------------------------------------------------------------------------------------------

    def again(self) -> bool:
        """Whether it can take another exchange; prepares it for one."""
        if self._ended or self._received or self._http.our_state is not h11.DONE:
            return False
        if self._http.their_state is not h11.DONE or self._http.trailing_data != (b"", False):
            return False
        self._http.start_next_cycle()
        return True

    @property
    def alive(self) -> bool:
        """Whether the other side said nothing since the last exchange."""
        return not self._ended and not self._received

    def abort(self) -> None:
        """Close it at once; what has not left yet never leaves."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    def _broken(self, what: str) -> WireError:
        fault = self._fault
        return WireError(f"{type(fault).__name__}: {fault}".rstrip(": ") if fault is not None else what)

    # -- the socket ------------------------------------------------------------------------------------------

    def _write(self, data: bytes | None) -> None:
        if data and not self._ended:
            self._transport.write(data)

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._receive()
            if not data and self._http.their_state is h11.SEND_RESPONSE:
                raise WireError("the connection was closed without an answer")
            self._http.receive_data(data)
        return event

    async def _receive(self) -> bytes:
        """What has come; nothing at the end. Bytes that came before a reset are not lost."""
        while not self._received:
            if self._ended:
                if self._fault is not None:
                    raise self._broken("")
                return b""
            self._waiting = self._loop.create_future()
            await self._waiting
        data, self._received = bytes(self._received), bytearray()
        if self._held_up:
            self._held_up = False
            self._transport.resume_reading()
        return data

    def connection_made(self, transport: Any) -> None:
        """asyncio's."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        self._received += data
        if len(self._received) > _BUFFERED and not self._held_up:
            self._held_up = True
            self._transport.pause_reading()
        _wake(self._waiting)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's; an end without a fault comes here too."""
        self._ended = True
        self._fault = exc
        _wake(self._waiting)
        self.resume_writing()

    def pause_writing(self) -> None:
        """asyncio's."""
        self._full = self._loop.create_future()

    def resume_writing(self) -> None:
        """asyncio's."""
        full, self._full = self._full, None
        _wake(full)


class Wire:
    """Connections to servers; some are kept for further exchanges."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls or trusted()
        self._idle: list[Connection] = []

    async def connect(self, place: Place) -> Connection:
        """A fresh connection, TLS included; the caller aborts it.

        Raises:
            WireError: nobody answers there, or the certificate does not prove the host.
        """
        loop = asyncio.get_running_loop()
        named = not place.address[-1:].isdecimal() and ":" not in place.address
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(
                    lambda: Connection(place, loop),
                    place.address,
                    place.port,
                    ssl=self._tls if place.tls else None,
                    server_hostname=place.host if place.tls else None,
                    happy_eyeballs_delay=0.25 if named else None,
                )
        except TimeoutError as error:
            raise WireError(f"no connection to {place.authority} within {CONNECT_S:.0f} s") from error
        except (OSError, UnicodeError) as error:
            fault = WireError(f"{type(error).__name__}: {error}".rstrip(": "))
            fault.untrusted = isinstance(error, ssl.SSLCertVerificationError)
            raise fault from error
        return connection

    @asynccontextmanager
    async def get(self, place: Place, headers: Mapping[str, str]) -> AsyncIterator[Connection]:
        """One GET; inside, the answer's head is there and its body can be read.

        Raises:
            WireError: see `WireError`.
        """
        head = message("GET", place, headers)
        connection = self._kept(place) or await self.connect(place)
        kept = False
        try:
            await connection.ask(head)
            yield connection
            kept = self._keep(connection)
        finally:
            if not kept:
                connection.abort()

    def _keep(self, connection: Connection) -> bool:
        if len(self._idle) >= _KEPT or not connection.again():
            return False
        connection.kept_at = asyncio.get_running_loop().time()
        self._idle.append(connection)
        return True

    def _kept(self, place: Place) -> Connection | None:
        """The connection that idled shortest; those that idled too long are closed."""
        now = asyncio.get_running_loop().time()
        found, rest = None, []
        for connection in reversed(self._idle):
            if not connection.alive or now - connection.kept_at > _IDLE_S:
                connection.abort()
            elif found is None and _end(connection.place) == _end(place):
                found = connection
            else:
                rest.append(connection)
        self._idle = rest[::-1]
        return found

    def close(self) -> None:
        """End the kept connections."""
        for connection in self._idle:
            connection.abort()
        self._idle.clear()


def _end(place: Place) -> tuple[bool, str, int, str]:
    return (place.tls, place.host, place.port, place.address)


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _joined(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; one that comes several times is joined with commas."""
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("ascii"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _unpacked(data: bytes, encoding: str, cap: int) -> bytes:
    """Nobody is asked to pack; some proxies do. Never more than `cap` bytes."""
    window = _METHODS.get(encoding.strip().lower())
    if window is None:
        return data
    try:
        return zlib.decompressobj(window).decompress(data, cap)
    except zlib.error:
        return data
