"""An explanation as lines for people, and as the document of `explain --json`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import tzinfo
from typing import Any

from kling_render.cli.diagnostics import escaped
from kling_render.cli.job_words import credits_text, one_line
from kling_render.cli.timestamps import iso, local
from kling_render.cli.upkeep_words import usd
from kling_render.lifecycle.records import Attempt, Result
from kling_render.planning.document import job_document
from kling_render.planning.explanation import MEDIA, Change
from kling_render.planning.records import SENTENCES, Action
from kling_render.planning.text import usd_text
from kling_render.planning.words import Piece, Side
from kling_render.workspace.plans.explaining import Explained, InputSeen, Kept

FORMAT = "kling-render.explain/1"
SHORT = 12
"""Hex digits of a digest that people compare."""

_RED, _GREEN, _BOLD, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[1m", "\x1b[0m"
_OLD_WORDS, _NEW_WORDS, _REVERSED = "\x1b[1;31m", "\x1b[1;32m", "\x1b[7m"
_LONGEST_SAME = 120
"""Characters of an unchanged run of a prompt that are shown without `-v`."""

#: What a run does about the job, and why nothing is paid for it, or what is.
_HEADLINES = {
    Action.UP_TO_DATE: "up to date, because its result was made from this very request and stands in its place",
    Action.RESTORE: "to restore, free, because the store has a result of this very request",
    Action.RESUME: "to go on with, free: it was submitted already and is not sent again",
    Action.ADOPT: "shares another job's result, free: one request is rendered and paid once",
    Action.RENDER: "to render, because the store has no result of this request",
    Action.BLOCKED: "blocked: nothing is sent for it",
    Action.PINNED: "picked and edited since: its picked take stays, and nothing is sent",
}
_PROMISED = "to fetch, free: the lock file says that it was paid for"
_UNPROVEN = "up to date, because its result stands in its place: the lock file says that this request made it"
_KEPT = {
    Action.UP_TO_DATE: "up to date, because an earlier result was kept for it and stands in its place",
    Action.RESTORE: "to restore, free, because an earlier result was kept for it",
}
_LABELS = {"video": "clip", "start": "trim start", "end": "trim end"}
_LEFT_OUT = {"start": "the clip's beginning", "end": "the clip's end", "prompt": "none"}

Paint = Callable[[str, str], str]


def _painted(style: str, text: str) -> str:
    return f"{style}{text}{_PLAIN}" if text else ""


def _unpainted(_style: str, text: str) -> str:
    return text


def explain_text(told: Explained, *, color: bool, verbose: bool, zone: tzinfo | None = None) -> str:
    """The explanation, one fact per line, lines never wrapped; ends with a newline."""
    paint = _painted if color else _unpainted
    lines = [*_head(told, paint), *_result(told, zone), *_earlier(told, paint, zone, verbose=verbose)]
    lines += _identity(told, verbose=verbose)
    return "\n".join(lines) + "\n"


# -- what is so, and why -------------------------------------------------------------------------------------------


def _head(told: Explained, paint: Paint) -> Iterator[str]:
    planned = told.planned
    headline = (_KEPT if told.kept else _HEADLINES).get(planned.action) or _HEADLINES[planned.action]
    headline = _PROMISED if planned.is_promised else headline
    if planned.action is Action.UP_TO_DATE and not told.kept and told.proof == "":
        headline = _UNPROVEN
    yield f"{paint(_BOLD, escaped(planned.job.id))}: {headline}"
    for each in planned.reasons:
        at = f" ({one_line(each.at)})" if each.at else ""
        yield f"  why: {one_line(each.text)}{at}"
    attempt = planned.attempt
    if attempt is not None and planned.action in (Action.RESUME, Action.BLOCKED):
        name = f", generation {one_line(attempt.generation_id)}" if attempt.generation_id else ""
        yield f"  attempt: {attempt.id} is '{attempt.state.value}'{name}"


def _result(told: Explained, zone: tzinfo | None) -> Iterator[str]:
    """The result that the job has: what it is, when it was made, what it cost, where it stands."""
    result = told.result
    if result is None:
        return
    made = f"made {local(result.made_at, zone)}"
    name = f"generation {one_line(result.generation_id)}, " if result.generation_id else ""
    yield f"  result: sha256 {result.blob[:SHORT]}, {_bytes(result.size)}, {name}{made}, cost {_cost(told, result)}"
    source = told.source
    if source is not None and (source.job, source.folder) != (told.planned.job.id, str(told.project.folder)):
        yield f"  made for: {_whose(told, source)}"
    if told.kept is not None:
        yield f"  {_kept_text(told.kept, zone)}"
    if told.proof is not None:
        yield f"  by the lock file; {one_line(told.proof) or 'nothing else says what it was paid for'}"
    yield f"  stands at: {'; '.join(_stands(told)) or 'nowhere in the output folder yet; it is in the store'}"


def _stands(told: Explained) -> list[str]:
    """Its files in the output tree, as far as they hold it."""
    planned, output_dir = told.planned, told.project.output_dir
    codes = {each.code.value for each in planned.reasons}
    take = [] if codes & {"output-missing", "output-edited"} else [planned.job.output]
    shown = planned.final_sha256 is not None and not codes & {"final-missing", "final-differs"}
    return [escaped(f"{output_dir}/{path}") for path in [*take, *([planned.job.final] if shown else [])]]


def _kept_text(kept: Kept, zone: tzinfo | None) -> str:
    why = f" because {one_line(kept.why)}" if kept.why else ""
    return f"kept from {kept.fingerprint[:SHORT]} by {one_line(kept.by)} at {local(kept.at, zone)}{why}"


def _cost(told: Explained, result: Result) -> str:
    return "nothing" if told.project.provider == "previz" else credits_text(result.charge)


def _whose(told: Explained, attempt: Attempt) -> str:
    elsewhere = f" of {escaped(attempt.folder)}" if attempt.folder != str(told.project.folder) else ""
    return f"{escaped(attempt.job)}{elsewhere}"


# -- what changed --------------------------------------------------------------------------------------------------


def _earlier(told: Explained, paint: Paint, zone: tzinfo | None, *, verbose: bool) -> Iterator[str]:
    """The differences with the nearest earlier result."""
    earlier = told.earlier
    if earlier is None:
        if told.result is None:
            yield "  the store holds no earlier result to compare with"
        return
    at = local(told.earlier_result.made_at if told.earlier_result else _made_at(earlier), zone)
    own = (earlier.job, earlier.folder) == (told.planned.job.id, str(told.project.folder))
    whose = "its own newest result" if own else f"the nearest result of the store, {_whose(told, earlier)}"
    if told.result is not None:
        whose = f"the request of {_whose(told, earlier)}"
    if not told.changes:
        yield f"  compared with {whose}, made {at}: the requests are the same"
        return
    yield f"  compared with {whose}, made {at}:"
    for change in told.changes:
        yield from (f"    {line}" for line in _change(told, change, paint, verbose=verbose))
    same = [_LABELS.get(name, name) for name in ("image", "video") if name not in {c.field for c in told.changes}]
    if same:
        yield f"    {' and '.join(same)}: the same"
    if told.planned.action is Action.RENDER and own and {c.field for c in told.changes} <= MEDIA:
        yield f"  if pixels and sound are as they were: kling-render keep {told.planned.job.id} --same-media --old FILE"


def _change(told: Explained, change: Change, paint: Paint, *, verbose: bool) -> Iterator[str]:
    label = _LABELS.get(change.field, change.field.removeprefix("params."))
    if change.field in told.inputs:
        old, new = told.inputs[change.field]
        yield f"{label}: {paint(_RED, _input(old))} -> {paint(_GREEN, _input(new))} ({one_line(change.at)})"
    elif change.field == "prompt":
        note = f"; {change.note}" if change.note else ""
        yield f"{label} ({_edited_at(change)}){note}"
        yield from (f"  {line}" for line in _prompt(change, paint, verbose=verbose))
    else:
        old_text, new_text = (_value(change.field, value) for value in (change.old, change.new))
        yield f"{label}: {paint(_RED, old_text)} -> {paint(_GREEN, new_text)} ({one_line(change.at)})"


def _edited_at(change: Change) -> str:
    """Where a prompt was edited, and which value it was."""
    told = []
    for edit in change.edits:
        what = edit.text.removeprefix(SENTENCES[edit.code]).lstrip(":, ")
        told.append(", ".join(filter(None, (edit.at, what))))
    return one_line("; ".join(told) or change.at)


def _input(seen: InputSeen) -> str:
    if seen.sha256 is None:
        return one_line(seen.url or "")
    facts = ", ".join(([one_line(seen.name)] if seen.name else []) + [_bytes(seen.bytes)])
    return f"{seen.sha256[:SHORT]} ({facts})"


def _bytes(size: int | None) -> str:
    return "size unknown" if size is None else f"{size:,} bytes"


def _value(field: str, value: Any) -> str:
    if value is None:
        return _LEFT_OUT.get(field, "default")
    if isinstance(value, bool):
        return str(value).lower()
    unit = " s" if field in ("start", "end") else ""
    return f"{one_line(str(value))}{unit}"


def _prompt(change: Change, paint: Paint, *, verbose: bool) -> Iterator[str]:
    """Old and new text line by line, the changed words marked; what did not change in full only with `-v`."""
    for side, style, marks in ((Side.OLD, _RED, "[-]"), (Side.NEW, _GREEN, "{+}")):
        for line in _lines(change.words, side):
            if verbose or any(piece.side is side for piece in line):
                shown = "".join(_piece(piece, side, marks, paint, verbose=verbose) for piece in line)
                yield f"{paint(style, marks[1])} {shown}"


def _lines(pieces: tuple[Piece, ...], side: Side) -> list[list[Piece]]:
    """The pieces of one text by its lines; a line break that is itself new or gone stays inside its piece."""
    lines: list[list[Piece]] = [[]]
    for piece in pieces:
        if piece.side is side:
            lines[-1].append(piece)
        elif piece.side is Side.BOTH:
            first, *more = piece.text.split("\n")
            lines[-1].append(Piece(Side.BOTH, first))
            lines += [[Piece(Side.BOTH, text)] for text in more]
    return lines


def _piece(piece: Piece, side: Side, marks: str, paint: Paint, *, verbose: bool) -> str:
    text = escaped(piece.text.replace("\n", "\\n"))
    if piece.side is not side:
        return (
            text
            if verbose or len(text) <= _LONGEST_SAME
            else f"{text[: _LONGEST_SAME // 2]} … {text[-_LONGEST_SAME // 2 :]}"
        )
    if paint is _painted:
        style = _OLD_WORDS if side is Side.OLD else _NEW_WORDS
        return paint(style if text.strip() else f"{style}{_REVERSED}", text)
    return f"{marks[0]}{marks[1]}{text}{marks[1]}{marks[2]}"


# -- what it is called, and what it costs ---------------------------------------------------------------------------


def _identity(told: Explained, *, verbose: bool) -> Iterator[str]:
    planned = told.planned
    yield f"  fingerprint: {planned.fingerprint}"
    if told.project.provider != "previz":
        if planned.estimate_usd is None:
            cost = "not known"
        else:
            cost = f"about {usd_text(planned.estimate_usd)}, up to {usd_text(planned.up_to_usd)}"
        yield f"  rendering it costs: {cost}" + ("" if planned.action is Action.RENDER else "; now it costs nothing")
    if verbose:
        yield f"  manifest: {planned.manifest_json}"


def _made_at(attempt: Attempt) -> float:
    return attempt.ended_at or attempt.ready_at or attempt.reserved_at


# -- the document ----------------------------------------------------------------------------------------------------


def explain_document(told: Explained) -> dict[str, Any]:
    """The document of `explain --json`, as `schemas/explain.schema.json` describes it."""
    planned = told.planned
    result, earlier = told.result, told.earlier
    return {
        "format": FORMAT,
        "project": told.project.name,
        "provider": told.project.provider,
        **job_document(planned, told.project.output_dir),
        "result": None if result is None else _result_document(told, result),
        "earlier": None if earlier is None else _earlier_document(told, earlier),
        "differences": [_change_document(told, change) for change in told.changes],
        "manifest": planned.manifest_json,
    }


def _result_document(told: Explained, result: Result) -> dict[str, Any]:
    kept, source = told.kept, told.source
    return {
        "sha256": result.blob,
        "bytes": result.size,
        "generation_id": result.generation_id,
        "attempt": result.attempt,
        "made_at": iso(result.made_at),
        "usd": usd(result.charge),
        "job": source.job if source else None,
        "folder": source.folder if source else None,
        "stands_at": _stands(told),
        "kept": None
        if kept is None
        else {"fingerprint": kept.fingerprint, "by": kept.by, "at": iso(kept.at), "why": kept.why},
        "locked": None if told.proof is None else {"proof": told.proof},
    }


def _earlier_document(told: Explained, earlier: Attempt) -> dict[str, Any]:
    before = told.earlier_result
    return {
        "job": earlier.job,
        "project": earlier.project,
        "folder": earlier.folder,
        "fingerprint": earlier.fingerprint,
        "attempt": earlier.id,
        "generation_id": earlier.generation_id,
        "sha256": earlier.blob,
        "made_at": iso(before.made_at if before else _made_at(earlier)),
        "usd": usd(earlier.charge),
    }


def _change_document(told: Explained, change: Change) -> dict[str, Any]:
    found: dict[str, Any] = {"field": change.field, "old": change.old, "new": change.new, "at": change.at}
    if change.field == "prompt":
        found["words"] = [{"side": piece.side.value, "text": piece.text} for piece in change.words]
        found["note"] = change.note
        found["edits"] = [{"text": edit.text, "at": edit.at} for edit in change.edits]
    if change.field in told.inputs:
        old, new = told.inputs[change.field]
        found |= {"old_input": _input_document(old), "new_input": _input_document(new)}
    return found


def _input_document(seen: InputSeen) -> dict[str, Any]:
    return {"sha256": seen.sha256, "url": seen.url, "bytes": seen.bytes, "name": seen.name}
