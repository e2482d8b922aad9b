"""Which URLs may stand in a shot list: https, a public host, no credentials.

Only literal hosts can be judged from the text; what a name resolves to is checked when it is fetched.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from urllib.parse import urlsplit

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?")
_OPAQUE = frozenset({"data", "file", "http", "https", "javascript", "blob"})
_CREDENTIALS = re.compile(r"(://)[^/?#@\s]*@")
_UNSAFE = re.compile(r"[\s\x00-\x20\x7f\\]")
_LOCAL_SUFFIXES = ("localhost", "local", "internal", "localdomain", "lan", "home.arpa")


def is_url(text: str) -> bool:
    """Whether the text is meant as a URL rather than a path."""
    match = _SCHEME.match(text)
    return match is not None and (match[2] is not None or match[1].casefold() in _OPAQUE)


def masked(text: str) -> str:
    """The text without the credentials that a URL in it carries; as long as before, so that carets fit."""
    return _CREDENTIALS.sub(lambda match: match[1] + "*" * (len(match[0]) - len(match[1]) - 1) + "@", text)


def refusal(url: str) -> str | None:
    """Why the URL is refused, or None when it may be used."""
    match = _SCHEME.match(url)
    scheme = match[1].casefold() if match else ""
    if scheme != "https":
        return f"only https URLs are allowed, not {scheme}:"
    if _UNSAFE.search(url):
        return "a URL has no spaces, backslashes or control characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "this is not a valid URL"
    if "@" in parts.netloc:
        return "a URL must not carry a user name or password"
    return None if _is_public(host) else f"'{host}' is not a public host"


def _is_public(host: str) -> bool:
    name = unicodedata.normalize("NFKC", host).casefold().rstrip(".")
    if not name or "%" in name:
        return False
    address = _address(name)
    if address is not None:
        return address.is_global and not address.is_multicast
    if _is_numeric(name.rpartition(".")[2]):
        return False  # a number where the top-level domain stands: an address in disguise
    return "." in name and not any(name == local or name.endswith("." + local) for local in _LOCAL_SUFFIXES)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if ":" in name:
        try:
            address = ipaddress.IPv6Address(name)
        except ValueError:
            return None
        return address.ipv4_mapped or address.sixtofour or address
    number = _ipv4_number(name.split("."))
    return None if number is None else ipaddress.IPv4Address(number)


def _ipv4_number(parts: list[str]) -> int | None:
    """An IPv4 address in any of the forms that resolvers accept: 1 to 4 parts, decimal, octal or hexadecimal."""
    if len(parts) > 4 or not all(_is_numeric(part) for part in parts):
        return None
    try:
        numbers = [_part(part) for part in parts]
    except ValueError:
        return None
    *high, low = numbers
    if any(number > 255 for number in high) or low >= 256 ** (5 - len(parts)):
        return None
    return sum(number << (24 - 8 * place) for place, number in enumerate(high)) + low


def _is_numeric(part: str) -> bool:
    return re.fullmatch(r"[0-9]{1,20}|0x[0-9a-f]{0,16}", part) is not None


def _part(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8) if part.startswith("0") and len(part) > 1 else int(part)
