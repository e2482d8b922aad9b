"""Attempts, evidence and log rows with sensible values; a test names what matters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kling_render.lifecycle.answers import LogRow, SubmitEvidence
from kling_render.lifecycle.identity import client_request_id
from kling_render.lifecycle.reconcile import LogRead
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State

FINGERPRINT = "0123456789abcdef" * 4
SENT = 1_000_000.0
API_ERROR = '{"message": "no", "path": "/v2", "requestId": "r", "statusCode": 418, "timestamp": "t"}'


def attempt(**changes: Any) -> Attempt:
    """A request in doubt, sent at `SENT` with the key of account `acc`."""
    made = Attempt(
        id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
        namespace="sandbox",
        fingerprint=FINGERPRINT,
        client_request_id=client_request_id(FINGERPRINT, "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        account="acc",
        state=State.IN_DOUBT,
        owner="me",
        run="run",
        job="sc010/fox/wave/t01",
        project="tiny",
        folder="/project",
        output="/project/renders/takes/a.mp4",
        final="/project/renders/a.mp4",
        root="/project/renders",
        manifest="{}",
        model="m",
        hold=100,
        reserved_at=SENT - 5,
        intent_at=SENT,
    )
    return replace(made, **changes)


def evidence(**changes: Any) -> SubmitEvidence:
    """A request that left completely and was answered with 201 and an id."""
    made = SubmitEvidence(
        intended=True, body_sent=1000, body_declared=1000, status=201, body='{"id": "gen1", "status": "queued"}'
    )
    return replace(made, **changes)


def row(**changes: Any) -> LogRow:
    """The log's row of `attempt()`, accepted."""
    made = LogRow(
        created=SENT + 1,
        failed=False,
        credits=None,
        inference_id="gen1",
        client_request_id=attempt().client_request_id,
    )
    return replace(made, **changes)


def read(at: float, **changes: Any) -> LogRead:
    """A complete read made `at` seconds after the submit that showed a newer request of ours."""
    made = LogRead(
        namespace="sandbox",
        account="acc",
        start=SENT - 600,
        end=SENT + at + 600,
        at=SENT + at,
        newest_own=SENT + 30,
    )
    return replace(made, **changes)
