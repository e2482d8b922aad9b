"""Times for people and for programs."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


def iso(at: float) -> str:
    """Seconds since the epoch as `2026-08-01T12:00:00.000Z`."""
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local(at: float, zone: tzinfo | None = None) -> str:
    """The same for people: date and minute in their own time zone, with its name."""
    return f"{datetime.fromtimestamp(at, tz=UTC).astimezone(zone):%Y-%m-%d %H:%M %Z}"


def local_seconds(at: float, zone: tzinfo | None = None) -> str:
    """The same to the second, where one request has to be told from another."""
    return f"{datetime.fromtimestamp(at, tz=UTC).astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
