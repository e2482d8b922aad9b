"""Attempts, results and budget caps, as frozen records. Money is counted in whole credits."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any

from kling_render.lifecycle.states import SPENT_NOTHING, State

CREDITS_PER_USD = 2_000_000
"""Stated by the vendor: 2,000,000 credits are 1 USD."""


def credits_of(usd: Decimal) -> int:
    """Whole credits for an amount in USD, rounded up."""
    return int((usd * CREDITS_PER_USD).to_integral_value(rounding=ROUND_CEILING))


def usd_of(credits: int) -> Decimal:  # noqa: A002 - the vendor's word
    """The amount in USD, exact."""
    return Decimal(credits) / CREDITS_PER_USD


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One submission for a fingerprint, as the ledger holds it. Times are seconds since the epoch (UTC)."""

    #: A ULID; the last part of the client request id.
    id: str
    #: The API's origin, or `sandbox`, or `previz`: results of one never satisfy another.
    namespace: str
    fingerprint: str
    client_request_id: str
    #: A keyed hash of the API key that pays; empty for free providers. Not a secret.
    account: str
    state: State
    #: The process that drives it; see `store.owners`. Empty when nobody does.
    owner: str
    #: The run that reserved it.
    run: str
    job: str
    #: The project's name and the absolute folder of its shot list: enough to publish without the shot list.
    project: str
    folder: str
    #: Take and final path and the output folder they lie in, absolute.
    output: str
    final: str
    root: str
    #: The manifest, canonical JSON.
    manifest: str
    model: str
    #: Budget hold in credits; None when the price was unknown and no cap was set.
    hold: int | None
    #: Credits charged as the provider reported it; None while unknown.
    charge: int | None = None
    #: The length of the clip that was sent, in seconds; the result should be about as long.
    duration_s: float | None = None
    generation_id: str | None = None
    #: The server's answer to the submit, at most 64 KiB, for later questions.
    raw_answer: str | None = None
    result_url: str | None = None
    #: `lifecycle.classify.FailureClass` and the message shown to the user.
    failure: str | None = None
    message: str | None = None
    #: SHA-256 and size in bytes of the stored result.
    blob: str | None = None
    size: int | None = None
    reserved_at: float = 0.0
    intent_at: float | None = None
    accepted_at: float | None = None
    ready_at: float | None = None
    ended_at: float | None = None

    @property
    def is_unattached(self) -> bool:
        """Whether no job is known for it: the account's log named a prefix that nothing in the store matches.

        Its fingerprint is `<prefix>:<attempt id>`, so that several of one prefix may live side by side.
        """
        return not self.folder and not self.manifest

    @property
    def is_paid(self) -> bool:
        """Whether it may have been charged."""
        return self.state not in SPENT_NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A result of the store: any job with this fingerprint may use it."""

    namespace: str
    fingerprint: str
    blob: str
    size: int
    attempt: str
    #: What the result cost, in credits; None when the provider did not say.
    charge: int | None
    generation_id: str | None
    made_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """A budget cap in credits over a scope of the ledger (one namespace): all of it that is given must match."""

    #: `--max-usd`, `budget.total_usd`, …: named in the message when it is reached.
    name: str
    limit: int
    project_folder: str | None = None
    run: str | None = None
    #: Only attempts reserved at or after this time (seconds since the epoch).
    since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """The claim stands: this process, and no other, may pay for the fingerprint."""

    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Another attempt holds the fingerprint, live or finished."""

    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class OverBudget:
    """The hold does not fit under a cap."""

    cap: Cap
    #: Charges and holds that count against it already, in credits.
    committed: int
    #: The part of `committed` that is in doubt.
    in_doubt: int
    asked: int | None
    #: Open attempts of the scope whose price is unknown: under a cap they leave room for nothing.
    unpriced: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One line of an attempt's history."""

    attempt: str
    at: float
    event: str
    state: State
    detail: dict[str, Any] = field(default_factory=dict)
