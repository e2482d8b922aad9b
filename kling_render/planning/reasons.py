"""The verdict on a single job: what became of its attempt, what stands at its paths, what changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kling_render.errors import Place
from kling_render.lifecycle.records import Attempt, Result
from kling_render.lifecycle.states import State
from kling_render.planning.manifest import Difference, Manifest, differences
from kling_render.planning.records import Action, Presence, Reason, ReasonCode, reason
from kling_render.shotlist.records import Job


class Verdict(NamedTuple):
    """An action, why, and the result it rests on."""

    action: Action
    reasons: tuple[Reason, ...] = ()
    result: Result | None = None


#: What an attempt asks for before anything else is looked at. `RESERVED` is absent on purpose: nothing was sent,
#: so going on with it spends, and it must be counted as a render.
_OPEN = {
    State.INTENT: Verdict(Action.RESUME, (reason(ReasonCode.RUNNING),)),
    State.ACCEPTED: Verdict(Action.RESUME, (reason(ReasonCode.RUNNING),)),
    State.STALLED: Verdict(Action.RESUME, (reason(ReasonCode.RUNNING, "submitted long ago and still without an end"),)),
    State.READY: Verdict(Action.RESUME, (reason(ReasonCode.READY),)),
    State.FETCHED: Verdict(Action.RESUME, (reason(ReasonCode.FETCHED),)),
    State.IN_DOUBT: Verdict(Action.RESUME, (reason(ReasonCode.IN_DOUBT),)),
    State.NEEDS_USER: Verdict(Action.BLOCKED, (reason(ReasonCode.NEEDS_USER),)),
}

#: Ends that hold the right to pay although there is no result.
_ENDED = {
    State.PAID_LOST: Verdict(Action.BLOCKED, (reason(ReasonCode.PAID_LOST),)),
    State.ABANDONED: Verdict(Action.BLOCKED, (reason(ReasonCode.ABANDONED),)),
    State.DONE: Verdict(
        Action.RESUME, (reason(ReasonCode.READY, "paid and done before, but its result is not in the store"),)
    ),
}

_FAILED = frozenset({State.REJECTED, State.REMOTE_FAILED, State.ABSENT})

_MESSAGE_LENGTH = 200
"""Characters of a provider's message shown in a reason."""


def judge_attempt(attempt: Attempt, *, has_result: bool) -> Verdict | None:
    """What the newest attempt demands; None when it leaves the decision to other facts."""
    verdict = _OPEN.get(attempt.state)
    if verdict is None and not has_result:
        verdict = _ENDED.get(attempt.state)
    return verdict


def judge_output(
    job: Job, result: Result, final: str | None, output_dir: str, present: Callable[[str, str], Presence]
) -> Verdict:
    """Up to date, or what has to be restored. `final` is None when another take provides the cell's final."""
    take = present(f"{output_dir}/{job.output}", result.blob)
    stands = present(f"{output_dir}/{job.final}", final) if final else Presence.HERE
    if take is stands is Presence.HERE:
        return Verdict(Action.UP_TO_DATE, (), result)
    reasons = []
    if take is not Presence.HERE:
        missing = take is Presence.MISSING
        reasons.append(reason(ReasonCode.OUTPUT_MISSING if missing else ReasonCode.OUTPUT_EDITED))
    if stands is not Presence.HERE:
        missing = stands is Presence.MISSING
        reasons.append(reason(ReasonCode.FINAL_MISSING if missing else ReasonCode.FINAL_DIFFERS))
    return Verdict(Action.RESTORE, tuple(reasons), result)


def render_reasons(job: Job, new: str, earlier: str | None, attempt: Attempt | None) -> tuple[Reason, ...]:
    """Why a job is to be rendered: the edits since its last result, the failure, or that it is new.

    `new` and `earlier` are the JSON of manifests.
    """
    if not earlier and attempt is None:
        return _ONLY_NEW
    changes = differences(Manifest(earlier), Manifest(new)) if earlier else []
    reasons = [_changed(job, change) for change in changes if change.field != "format" or len(changes) == 1]
    reasons = list(dict.fromkeys(reasons))  # start and end are one trim
    if attempt is not None and attempt.state in _FAILED:
        reasons.append(_failed(attempt))
    return tuple(reasons) or _ONLY_NEW


_ONLY_NEW = (reason(ReasonCode.NEW),)


def _failed(attempt: Attempt) -> Reason:
    """The failure of the last attempt in its own words."""
    if attempt.state is State.ABSENT:
        return reason(ReasonCode.FAILED_BEFORE, "the last attempt never reached the provider")
    if not attempt.message:
        return reason(ReasonCode.FAILED_BEFORE)
    message = " ".join(attempt.message.split())
    short = message if len(message) <= _MESSAGE_LENGTH else f"{message[:_MESSAGE_LENGTH]}…"
    return reason(ReasonCode.FAILED_BEFORE, f"the last attempt failed: {short}")


def place_of(job: Job, name: str) -> Place:
    """Where a field of the manifest is written, as far as the shot list's places tell."""
    if name == "image":
        return job.request.image.place
    if name in ("video", "start", "end"):
        return job.trim_places.get(name) or job.request.video.place
    if name == "prompt":
        return job.prompt_place or job.place
    said = job.settings.places if job.settings is not None else {}
    return said.get(name) or (said.get("params") if name.startswith("params.") else None) or job.place


_CODES = {
    "image": ReasonCode.IMAGE_CHANGED,
    "video": ReasonCode.CLIP_CHANGED,
    "start": ReasonCode.TRIM_CHANGED,
    "end": ReasonCode.TRIM_CHANGED,
    "prompt": ReasonCode.PROMPT_CHANGED,
    "model": ReasonCode.MODEL_CHANGED,
}


def _changed(job: Job, change: Difference) -> Reason:
    """One edit and where it was made."""
    place = place_of(job, change.field)
    if change.field in _CODES:
        return reason(_CODES[change.field], at=place)
    text = f"{change.field.removeprefix('params.')}: {_shown(change.old)} → {_shown(change.new)}"
    return reason(ReasonCode.OPTION_CHANGED, text, at=place)


def _shown(value: object) -> str:
    """A value as YAML would write it; the model's default when it was left out."""
    if value is None:
        return "default"
    return str(value).lower() if isinstance(value, bool) else str(value)
