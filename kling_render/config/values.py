"""How the texts and values of settings are read. A `ValueError` says what is expected."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE,
)
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Context:
    """What relative paths and `~` refer to."""

    home: Path
    folder: Path


def origin(raw: Any, _context: Context) -> str:
    """The API's origin."""
    return normal_origin(raw)


def normal_origin(raw: Any) -> str:
    """`https://host[:port]`, or http on loopback, in one spelling.

    Raises:
        ValueError: it is anything else.
    """
    match = _ORIGIN.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:  # the value is not repeated: it may hold a password
        raise ValueError("expected an address like https://api.example.com, without user, path or query")
    scheme, host, port = match["scheme"].lower(), match["host"].lower(), match["port"]
    if port is not None and not 0 < int(port) < 65536:
        raise ValueError("expected a port from 1 to 65535")
    usual = {"http": 80, "https": 443}[scheme]
    written = f"{scheme}://{host}" if port is None or int(port) == usual else f"{scheme}://{host}:{int(port)}"
    if scheme == "http" and not is_loopback(written):
        raise ValueError("expected https; http is for this machine only (127.0.0.1, [::1], localhost)")
    return written


def is_loopback(base_url: str) -> bool:
    """Whether a normalised origin is this machine. Other spellings of an address (decimal, mapped) are not."""
    match = _ORIGIN.fullmatch(base_url)
    host = match["host"].strip("[]") if match else ""
    if host == "localhost":
        return True
    if not host or not (host[0].isdigit() or ":" in host):
        return False
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def choice(*words: str) -> Callable[[Any, Context], str]:
    """One of some words."""

    def read(raw: Any, _context: Context) -> str:
        if raw not in words:
            raise ValueError(f"expected one of {', '.join(words)}")
        return str(raw)

    return read


def switch(raw: Any, _context: Context) -> bool:
    """True or false."""
    if isinstance(raw, bool):
        return raw
    known = _WORDS.get(raw.lower()) if isinstance(raw, str) else None
    if known is None:
        raise ValueError("expected true or false")
    return known


def figure(raw: Any, _context: Context) -> Decimal:
    """A decimal figure from 0, exact."""
    written = "" if isinstance(raw, bool) else str(raw).strip()
    if not _DECIMAL.fullmatch(written):
        raise ValueError("expected a plain figure from 0, like 12.50")
    return Decimal(written)


def number(low: float, high: float) -> Callable[[Any, Context], float]:
    """A number of seconds between two bounds, fractions allowed."""

    def read(raw: Any, _context: Context) -> float:
        written = "" if isinstance(raw, bool) else str(raw).strip()
        if not _DECIMAL.fullmatch(written) or not low <= float(written) <= high:
            raise ValueError(f"expected a number from {low:g} to {high:g}")
        return float(written)

    return read


def whole(low: int, high: int) -> Callable[[Any, Context], int]:
    """A whole number between two bounds."""

    def read(raw: Any, _context: Context) -> int:
        written = "" if isinstance(raw, bool) else str(raw).strip()
        if not re.fullmatch(r"[0-9]{1,9}", written) or not low <= int(written) <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return int(written)

    return read


def path(raw: Any, context: Context) -> Path:
    """A path, absolute: `~` is the user's home, a relative one starts where it was written."""
    written = str(raw) if isinstance(raw, Path) else raw
    if not isinstance(written, str) or not written or "\0" in written:
        raise ValueError("expected a path")
    if "://" in written:
        raise ValueError("expected a folder of this machine, not a URL")
    if written == "~" or written.startswith(("~/", f"~{os.sep}")):
        return context.home / written[2:]
    return Path(os.path.normpath(context.folder / written))


def paths(raw: Any, context: Context) -> tuple[Path, ...]:
    """Several paths: a list, or a text with the system's separator."""
    if isinstance(raw, str):
        raw = [part for part in raw.split(os.pathsep) if part]
    if not isinstance(raw, Sequence):
        raise ValueError("expected a list of folders")  # noqa: TRY004 - every reader reports with ValueError
    return tuple(path(each, context) for each in raw)
