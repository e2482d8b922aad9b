"""Which result links may be followed: https to a public host, or http on loopback where the API itself lives."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from kling_render.ports import FetchFailed

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL, lower case."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or ""), parts.port or (443 if parts.scheme == "https" else 80)


async def vetted_address(url: str, base_url: str) -> str | None:
    """The address to connect to (None: the URL's own host may be used as it is).

    Raises:
        FetchFailed: the link leads somewhere a result must not come from.
    """
    try:
        parts = urlsplit(url)
        scheme, host, port = origin(url)
    except ValueError:
        raise FetchFailed("the result's link is not a URL") from None
    if parts.username or parts.password:
        raise FetchFailed("the result's link carries credentials")
    if host in LOOPBACK_HOSTS and origin(base_url) == (scheme, host, port):
        return None
    if scheme != "https" or not host:
        raise FetchFailed(f"the result's link is not https ({scheme or 'no scheme'}://{host})")
    return await _public_address(host, port)


async def _public_address(host: str, port: int) -> str:
    """One public address of the host; connecting to it, not to the name, leaves no room for a second answer."""
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchFailed(f"the host of the result's link was not found: {host}") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(ipaddress.ip_address(a.split("%")[0]).is_global for a in addresses):
        raise FetchFailed(f"the result's link leads to a private address ({host})")
    return addresses[0]
