"""What a plan is: one decision per job with its reasons and its money. Frozen records, no effects."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from kling_render.errors import Place
from kling_render.lifecycle.records import Attempt, Result
from kling_render.planning.eta import Eta
from kling_render.planning.manifest import InputIdentity
from kling_render.planning.prices import Price
from kling_render.shotlist.records import Job


class Action(StrEnum):
    """What a run will do about a job."""

    #: Nothing: take and final stand there with the result's bytes.
    UP_TO_DATE = "up-to-date"
    #: Publish a result of the store; free.
    RESTORE = "restore"
    #: Go on with an attempt that was already made; free.
    RESUME = "resume"
    #: Take over a result that is paid for: what another job of this plan brings, or what the lock file names; free.
    ADOPT = "adopt"
    #: Submit: the only action that spends.
    RENDER = "render"
    #: Cannot be done; the reason says what would help.
    BLOCKED = "blocked"
    #: A picked take is protected: its cell was edited, and only unpinning renders it again.
    PINNED = "pinned"


class ReasonCode(StrEnum):
    """Why, as a closed list; the sentences are in `SENTENCES`."""

    NEW = "new"
    IMAGE_CHANGED = "image-changed"
    CLIP_CHANGED = "clip-changed"
    TRIM_CHANGED = "trim-changed"
    PROMPT_CHANGED = "prompt-changed"
    MODEL_CHANGED = "model-changed"
    OPTION_CHANGED = "option-changed"
    FAILED_BEFORE = "failed-before"
    OUTPUT_MISSING = "output-missing"
    OUTPUT_EDITED = "output-edited"
    FINAL_MISSING = "final-missing"
    FINAL_DIFFERS = "final-differs"
    RUNNING = "running"
    READY = "ready"
    FETCHED = "fetched"
    IN_DOUBT = "in-doubt"
    SHARED = "shared-result"
    NEEDS_USER = "needs-user"
    PAID_LOST = "paid-lost"
    ABANDONED = "abandoned"
    HELD_BACK = "held-back"
    BLOCKED = "blocked"
    PICKED = "picked"
    LOCKED = "locked"
    LOCKED_HERE = "locked-here"


SENTENCES = {
    ReasonCode.NEW: "no result yet",
    ReasonCode.IMAGE_CHANGED: "the image changed",
    ReasonCode.CLIP_CHANGED: "the clip changed",
    ReasonCode.TRIM_CHANGED: "the clip's trim changed",
    ReasonCode.PROMPT_CHANGED: "the prompt changed",
    ReasonCode.MODEL_CHANGED: "the model changed",
    ReasonCode.OPTION_CHANGED: "an option changed",
    ReasonCode.FAILED_BEFORE: "the last attempt failed",
    ReasonCode.OUTPUT_MISSING: "the take is in the store but not in the output tree",
    ReasonCode.OUTPUT_EDITED: "the take's file does not hold this result",
    ReasonCode.FINAL_MISSING: "the final is missing",
    ReasonCode.FINAL_DIFFERS: "the final holds another take or other bytes",
    ReasonCode.RUNNING: "submitted and running",
    ReasonCode.READY: "paid and ready to download",
    ReasonCode.FETCHED: "downloaded and not yet published",
    ReasonCode.IN_DOUBT: "submitted with unknown outcome; looked up before anything is paid again",
    ReasonCode.SHARED: "the same request as another job of this plan",
    ReasonCode.NEEDS_USER: "only you can tell what became of it",
    ReasonCode.PAID_LOST: "charged without an obtainable result",
    ReasonCode.ABANDONED: "given up while its outcome was unknown",
    ReasonCode.HELD_BACK: "it failed and is not tried again by itself",
    ReasonCode.BLOCKED: "it cannot be rendered",
    ReasonCode.PICKED: "a take is picked and protected",
    ReasonCode.LOCKED: "the lock file names a paid generation",
    ReasonCode.LOCKED_HERE: "the lock file names its result, whose bytes are here",
}


_PROMISED = frozenset({ReasonCode.LOCKED, ReasonCode.LOCKED_HERE})


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: a code for programs, a sentence for people, and the place of the edit as `file:line`."""

    code: ReasonCode
    text: str
    at: str | None = None


def reason(code: ReasonCode, text: str = "", at: Place | None = None) -> Reason:
    """A reason with its own text or the sentence of its code."""
    return Reason(code, text or SENTENCES[code], f"{at.file}:{at.line}" if at is not None else None)


class Presence(StrEnum):
    """What stands at an output path, compared with the bytes that belong there."""

    HERE = "here"
    MISSING = "missing"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Pick:
    """The take the user chose for a cell, and the SHA-256 of its file."""

    take: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """A job with the decision about it."""

    job: Job
    fingerprint: str
    #: The name under which store and ledger hold results of this job (the fingerprint for paid providers).
    key: str
    manifest_json: str
    action: Action
    reasons: tuple[Reason, ...]
    #: Seconds of the clip after trims × price, unrounded; what a render of this job costs, whatever the action.
    estimate_usd: Decimal | None
    #: The most it may be: for the next whole second, or as earlier charges taught.
    up_to_usd: Decimal | None
    #: Seconds of the clip's video stream after trims.
    duration_s: Decimal | None
    #: The result that belongs at the job's paths, if there is one (for a pinned job: the picked take's).
    result: Result | None
    #: The newest attempt for the key.
    attempt: Attempt | None
    image: InputIdentity
    video: InputIdentity
    #: The SHA-256 that the cell's final should hold now, if this job is the one that provides it.
    final_sha256: str | None = None
    #: What a budget holds for a render: the estimate, or more where earlier charges were more.
    hold_usd: Decimal | None = None

    @property
    def is_promised(self) -> bool:
        """Whether only the lock file says that it is paid for: to be tried before anything is paid."""
        return self.action is Action.ADOPT and any(each.code in _PROMISED for each in self.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts by action, and money. None: a price or a duration is unknown."""

    jobs: int
    render: int
    up_to_date: int
    restore: int
    resume: int
    adopt: int
    blocked: int
    pinned: int
    #: What the jobs to render cost.
    estimate_usd: Decimal | None
    up_to_usd: Decimal | None
    #: What the jobs that have a result already, or share one, would cost.
    saved_usd: Decimal | None
    #: Of `adopt`: what the lock file says is paid for and to be fetched.
    locked: int = 0
    #: What those cost at most if the provider has them no longer; no part of `up_to_usd`.
    locked_up_to_usd: Decimal | None = Decimal(0)


class NoteCode(StrEnum):
    """What there is to say about prices."""

    PRICE_CHANGED = "price-changed"
    PRICE_UNKNOWN = "price-unknown"
    ROUNDING_LEARNT = "rounding-learnt"
    #: A warning: what is charged is not what the catalogue says.
    RATE_DIFFERS = "rate-differs"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence about the prices of a plan, and its code for programs."""

    code: NoteCode
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every job in the order it is rendered: priority first, then the order of the list."""

    project: str
    provider: str
    namespace: str
    #: The output folder, POSIX style, relative to the shot list.
    output_dir: str
    #: The prices used; empty when none is known.
    prices: tuple[Price, ...]
    jobs: tuple[PlannedJob, ...]
    #: Files whose job no longer exists, relative to the shot list.
    stale_outputs: tuple[str, ...]
    totals: Totals
    #: What there is to say about its prices; silent when nothing is to be rendered.
    notes: tuple[Note, ...] = ()
    #: When its renders are probably done; None when nobody knows.
    eta: Eta | None = None
