"""What a provider answered, in the lifecycle's own words: evidence in, verdicts out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class FailureClass(StrEnum):
    """Why a job has no result; each has its remedy in `REMEDIES`."""

    NOT_SENT = "not-sent"
    INPUT_CHANGED = "input-changed"
    BAD_REQUEST = "bad-request"
    TOO_LARGE = "too-large"
    ACCOUNT = "account"
    CREDITS = "credits"
    RATE = "rate-limited"
    REFUSED = "refused"
    CONTENT = "content-refused"
    UPSTREAM = "upstream"
    DOWNLOAD = "download"
    OUTPUT = "output"
    LOCAL = "local-render"


REMEDIES: dict[FailureClass, str] = {
    FailureClass.NOT_SENT: "check the network and run `kling-render render` again; nothing was sent",
    FailureClass.INPUT_CHANGED: "the image or clip changed while it was sent; run `kling-render render` again",
    FailureClass.BAD_REQUEST: "change the field that the message names, then render again",
    FailureClass.TOO_LARGE: "make the image or clip smaller, or give it as an https URL",
    FailureClass.ACCOUNT: "check the key (AIMLAPI_KEY), then run `kling-render render` again",
    FailureClass.CREDITS: "top up the account, then run `kling-render render` again",
    FailureClass.RATE: "wait a little, then run `kling-render render` again; lower -j if it stays",
    FailureClass.REFUSED: "read the server's message; the request was not accepted",
    FailureClass.CONTENT: "change the prompt, image or clip; the same request would be refused again",
    FailureClass.UPSTREAM: "run `kling-render render` again; the failed generation was not charged",
    FailureClass.DOWNLOAD: "run `kling-render pull`; the result is paid for and fetching it again is free",
    FailureClass.OUTPUT: "make the output folder writable, then run `kling-render pull`",
    FailureClass.LOCAL: "run `kling-render check`; if it finds nothing, report a bug",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitEvidence:
    """Everything that is known after a submit ended, one way or the other."""

    #: Whether the connection stood and the intent hook ran, i.e. a byte may have left.
    intended: bool
    #: Bytes of headers and body handed to the socket, and the body's share of them and of what was declared.
    body_sent: int
    body_declared: int
    status: int | None = None
    #: The `x-inference-id` header, if the answer's head came.
    inference_id: str | None = None
    retry_after: str | None = None
    #: The answer's body, at most 64 KiB, decoded leniently.
    body: str = ""
    #: What broke, in words, when no complete answer came.
    broken: str | None = None
    #: The input no longer has the bytes that were fingerprinted; the request was cut on purpose.
    input_changed: str | None = None
    #: The server's certificate did not prove who it is: nothing is sent there.
    untrusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The server took the job."""

    generation_id: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The server definitely did not take the job, or nothing complete reached it."""

    failure: FailureClass
    message: str
    #: Whether the same request may be sent again in this run.
    again: bool = False
    #: Stop all submitting: the account, not the job, is refused.
    stop: bool = False
    #: Seconds the server asked to wait, already capped.
    wait_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """Nobody here knows whether the server took the job."""

    message: str
    #: The id from the header of an answer that was otherwise no acceptance: it can be polled for free.
    generation_id: str | None = None
    raw: str = ""


Verdict = Accepted | Rejected | InDoubt


@dataclass(frozen=True, slots=True, kw_only=True)
class PollAnswer:
    """One look at a running generation."""

    kind: Literal["running", "completed", "failed", "unknown-id", "refused", "unavailable"]
    #: The provider's own word for the status, for display.
    status: str = ""
    url: str | None = None
    credits: int | None = None
    error_name: str = ""
    message: str = ""
    wait_s: float | None = None
    raw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One row of the account's request log."""

    #: Seconds since the epoch, server time.
    created: float
    failed: bool
    credits: int | None
    inference_id: str
    client_request_id: str | None
    #: Empty when the row does not say.
    model: str = ""
