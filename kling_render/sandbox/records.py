"""What the simulated API keeps: accounts, generations, submits, movements of money, downloads. All JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

CREDITS_PER_USD = 2_000_000
"""Stated by the vendor. Kept apart from the tool's own figure on purpose: a stand-in must not share its mistakes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it arrived. `now` is the API's clock: seconds since the epoch (UTC)."""

    now: float
    path: str
    #: The bearer token; None when there is none.
    key: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    #: `X-Client-Request-Id` as sent.
    client_request_id: str | None = None
    if_none_match: str | None = None
    #: Scheme and authority under which the caller reaches the API: result links carry it.
    origin: str = "http://sandbox.invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to answer, and how the delivery goes wrong."""

    status: int
    #: A mapping is sent as JSON, a text as HTML.
    body: Mapping[str, Any] | str | None
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0
    #: The connection is closed without a byte.
    lost: bool = False
    #: That end is a reset.
    reset: bool = False
    #: The connection is closed after so many bytes of the body.
    cut_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An input that came as a data URI, decoded."""

    mime: str
    sha256: str
    size: int
    #: Length of a clip in seconds; None when it is no readable MP4, or no clip.
    duration: Fraction | None = None
    #: Whether the bytes begin like one of the accepted image types.
    is_image: bool = False
    #: Why the data URI cannot be decoded.
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One accepted submit. Its fate is decided at acceptance; time does the rest."""

    id: str
    account: str
    #: A digest of the key that paid: the log lists requests by key.
    key_id: str
    request_id: str
    client_request_id: str | None
    model: str
    prompt: str
    orientation: str
    keep_audio: bool
    image_sha256: str
    video_sha256: str
    duration_s: float
    credits: int
    accepted_at: float
    generating_at: float
    #: When it ends; None: never.
    done_at: float | None
    error_name: str = ""
    error_message: str = ""
    #: A status outside the documented ones is reported until then.
    waiting_until: float = 0.0
    #: Faults of its answers: `no-usage`, `no-usd`, `log-missing`, `log-anonymous`.
    faults: tuple[str, ...] = ()
    log_late_s: float = 0.0
    ended: bool = False
    #: When the current result link runs out.
    expires: int = 0

    @property
    def failed(self) -> bool:
        """Whether it ends without a video, uncharged."""
        return bool(self.error_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """One submit that arrived, accepted or not."""

    number: int = 0
    at: float
    account: str | None
    request_id: str
    client_request_id: str | None
    #: The header as sent when it was dropped for its form.
    dropped_client_request_id: str | None = None
    key_id: str | None = None
    accepted: bool = False
    generation_id: str | None = None
    #: The status meant for the caller; None when nothing was answered.
    status: int | None = None
    fault: str = ""
    problem: str = ""
    image_sha256: str | None = None
    video_sha256: str | None = None
    #: The other fields as received.
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """A line of an account's ledger."""

    number: int = 0
    at: float
    account: str
    direction: str
    type: str
    credits: int
    model: str | None = None
    reference_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One request to the CDN."""

    at: float
    name: str
    status: int
    #: A key sent to the CDN is a bug of the caller.
    had_authorization: bool
    range: str | None = None
    fault: str = ""
    generation_id: str | None = None


def plain(record: Any) -> dict[str, Any]:
    """A record as JSON values (shallow: nothing here is changed in place)."""
    return {name: getattr(record, name) for name in record.__slots__}


def timestamp(at: float) -> str:
    """`2026-08-17T10:00:00.000Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
