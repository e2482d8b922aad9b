"""Settles one attempt with the provider's help: what was paid about then, whether an id is its, and how it ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from kling_render import __version__
from kling_render.config import Settings
from kling_render.engine.attempts import work_of
from kling_render.engine.run import Run
from kling_render.engine.work import Options, RunReport
from kling_render.engine.world import Watcher
from kling_render.errors import AccountRefused, DecisionNeeded, UsageError
from kling_render.lifecycle.answers import LogRow, PollAnswer
from kling_render.lifecycle.books import Booking
from kling_render.lifecycle.identity import fingerprint_prefix
from kling_render.lifecycle.reconcile import LOG_WINDOW_S, WINDOW_MARGIN_S
from kling_render.lifecycle.records import Attempt
from kling_render.outputs.publisher import TreePublisher
from kling_render.ports import Clock, LogRefused, LogUnavailable
from kling_render.store.opening import Store
from kling_render.workspace.account.account import client_of
from kling_render.workspace.doubts.evidence import PREFIX_LENGTH, Nearby, Question, candidates
from kling_render.workspace.doubts.resolving import refuse_known
from kling_render.workspace.running import Wiring, run

_BOOKED_WITHIN_S = 86_400.0
"""A charge is booked when the generation has ended; much later ones are others'."""
_ID = re.compile(r"[!-~]{1,200}")


async def finish_one(
    store: Store,
    settings: Settings,
    attempt: Attempt,
    options: Callable[[str], Options],
    *,
    watcher: Watcher,
    clock: Clock,
    claimed: Mapping[Path, str] = MappingProxyType({}),
    on_start: Callable[[Run], None],
) -> RunReport:
    """Look this attempt up, or bring it home, and touch no other. Never submits.

    Raises:
        AccountRefused: no key is set.
    """
    publisher = TreePublisher(
        store.blobs, store.digests(), now=clock.now, tool_version=__version__, allowed=settings.input_roots
    )
    wiring = Wiring(
        namespace=attempt.namespace, watcher=watcher, publisher=publisher, clock=clock, online=True, helpful=True
    )
    # No project folder is called "": nothing but the work itself is recovered.
    report = await run(
        store, settings, wiring, [work_of(attempt)], options, folder="", claimed=claimed, on_start=on_start
    )
    report.notices.extend(publisher.notices)
    return report


async def paid_nearby(store: Store, settings: Settings, question: Question, clock: Clock) -> Nearby:
    """Paid generations that may be the doubtful one, as far as log and books can be read."""
    attempt, sent = question.attempt, question.sent_at
    rows: list[LogRow] = []
    bookings: list[Booking] = []
    read = []
    try:
        async with client_of(settings, attempt.namespace, clock) as api:
            with suppress(LogUnavailable):
                rows = await api.log(sent - WINDOW_MARGIN_S, sent + WINDOW_MARGIN_S)
                read.append("log")
            with suppress(LogUnavailable):
                bookings = await api.transactions(sent - WINDOW_MARGIN_S, sent + _BOOKED_WITHIN_S)
                read.append("books")
    except AccountRefused:
        return Nearby()
    with store.ledger.reading() as ledger:
        known = ledger.known_generations(attempt.namespace)
    return Nearby(tuple(candidates(question, rows, bookings, known)), tuple(read))


async def check_generation(
    store: Store, settings: Settings, question: Question, generation_id: str, clock: Clock
) -> str:
    """Whether a generation may be the result of an attempt; returns what could not be checked, empty if nothing.

    Raises:
        UsageError: it is not: the server does not know it, or it is another request's.
        AccountRefused: there is no key, or it is refused.
        DecisionNeeded: the server cannot say now.
    """
    attempt = question.attempt
    if not _ID.fullmatch(generation_id):
        raise UsageError(f"not a generation id: {generation_id!r}", code="generation-id")
    with store.ledger.reading() as ledger:
        refuse_known(ledger, attempt, generation_id)
    async with client_of(settings, attempt.namespace, clock) as api:
        answer = await api.poll(generation_id)
        _refuse_unusable(answer, generation_id)
        try:
            start = max(question.sent_at - WINDOW_MARGIN_S, clock.now() - LOG_WINDOW_S)
            rows = await api.log(start, clock.now() + api.server_ahead_s() + WINDOW_MARGIN_S)
        except LogRefused as error:
            raise AccountRefused(str(error), help="check the key", code="refused") from error
        except LogUnavailable as error:
            rows, doubt = [], f"{str(error).rstrip('.')}, so nothing was found that speaks against {generation_id}"
        else:
            doubt = _compared(store, attempt, [row for row in rows if row.inference_id == generation_id], generation_id)
    if answer.kind == "failed" and not any(row.client_request_id == attempt.client_request_id for row in rows):
        raise UsageError(
            f"the generation {generation_id} failed ({answer.error_name}: {answer.message}), so it has no result",
            help="--wait leaves it to the log to say whether it was this request; --abandon gives the shot up",
            code="generation-failed",
        )
    return doubt


def _refuse_unusable(answer: PollAnswer, generation_id: str) -> None:
    if answer.kind == "unknown-id":
        raise UsageError(
            f"the server does not know the generation {generation_id}",
            help="check the id; with another account's key its generations cannot be seen",
            code="unknown-generation",
        )
    if answer.kind == "refused":
        raise AccountRefused(answer.message, help="check the key and the account's balance", code="refused")
    if answer.kind == "unavailable":
        raise DecisionNeeded(
            f"the server cannot say now what {generation_id} is: {answer.message}",
            help="nothing was changed; run it again",
            code="unavailable",
        )


def _compared(store: Store, attempt: Attempt, rows: list[LogRow], generation_id: str) -> str:
    """Hold the log's word on an id against the attempt."""
    for row in rows:
        prefix = fingerprint_prefix(row.client_request_id)
        if prefix is not None and prefix != attempt.fingerprint[:PREFIX_LENGTH]:
            raise UsageError(
                f"{generation_id} is another result: the account's log lists it as {row.client_request_id}"
                f"{_whose(store, attempt.namespace, str(row.client_request_id))}",
                help=f"this request was {attempt.client_request_id}",
                code="generation-of-another",
            )
    return "" if rows else f"the account's log does not list {generation_id} since the request was sent"


def _whose(store: Store, namespace: str, client_request_id: str) -> str:
    with store.ledger.reading() as ledger:
        other = ledger.attempt(client_request_id.rpartition(":")[2])
    return f", which is {other.job}" if other is not None and other.namespace == namespace else ""
