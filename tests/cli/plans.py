"""Plans for the displays' tests, made by the planner itself from a few facts."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path

from kling_render.errors import Place
from kling_render.lifecycle.records import Attempt, Result, credits_of
from kling_render.lifecycle.states import State
from kling_render.models import DEFAULT_MODEL
from kling_render.planning.manifest import InputIdentity
from kling_render.planning.plan import Facts, make_plan
from kling_render.planning.prices import Price, free_price
from kling_render.planning.records import Plan, Presence, Reason, ReasonCode
from kling_render.shotlist.records import Budget, InputRef, Job, Project, Request, WatchAllowance

PRICE = Price(DEFAULT_MODEL, Decimal("0.112"), None, "2026-08-01T00:00:00Z", "catalogue")


def job(shot: str, character: str, motion: str, take: int = 1, prompt: str | None = None) -> Job:
    name = f"{character}_{motion}"
    place = Place("shotlist.yaml", 4, 3)
    return Job(
        id=f"{shot}/{character}/{motion}/t{take:02}",
        shot=shot,
        character=character,
        motion=motion,
        take=take,
        values=(),
        request=Request(
            model=DEFAULT_MODEL,
            image=InputRef(shown=f"{character}.png", path=Path(f"/p/{character}.png"), place=place),
            video=InputRef(shown=f"{motion}.mp4", path=Path(f"/p/{motion}.mp4"), place=place),
            start=None,
            end=None,
            prompt=prompt if prompt is not None else f"{shot}: {character} {motion}",
            orientation="image",
            keep_audio=True,
            params=(),
            take=take,
        ),
        output=f"takes/{shot}/{name}_t{take:02}.mp4",
        final=f"{shot}/{name}.mp4",
        priority=0,
        tags=(),
        place=place,
        prompt_place=None,
    )


def plan_of(
    jobs: list[Job],
    *,
    done: frozenset[str] = frozenset(),
    attempts: dict[str, State] | None = None,
    blocked: dict[str, str] | None = None,
    free: bool = False,
    priced: bool = True,
    stale: tuple[str, ...] = (),
) -> Plan:
    """The plan for these jobs: ids in `done` are finished, `attempts` have gone so far."""
    keys: dict[str, str] = {}

    def key(one: Job, digest: str) -> str:
        keys[one.id] = digest
        return digest

    def build(results: dict[str, Result], latest: dict[str, Attempt]) -> Plan:
        facts = Facts(
            namespace="sandbox",
            identities=lambda ref: InputIdentity(sha256=hashlib.sha256(ref.shown.encode()).hexdigest()),
            seconds=lambda _request: Decimal(4),
            prices=lambda request: free_price(request.model) if free else (PRICE if priced else None),
            present=lambda _path, _sha: Presence.HERE,
            results=results,
            latest=latest,
            blocked={i: (Reason(ReasonCode.BLOCKED, text),) for i, text in (blocked or {}).items()},
            key=key,
        )
        return make_plan(_project(jobs), facts, stale_outputs=stale)

    build({}, {})
    results = {keys[i]: _result(keys[i]) for i in done}
    latest = {keys[i]: attempt(i, keys[i], state) for i, state in (attempts or {}).items()}
    return build(results, latest)


def attempt(job_id: str, key: str = "0" * 64, state: State = State.ACCEPTED, failure: str | None = None) -> Attempt:
    return Attempt(
        id="01J0000000000000000000" + hashlib.sha256(job_id.encode()).hexdigest()[:4].upper(),
        namespace="sandbox",
        fingerprint=key,
        client_request_id="kr1:x",
        account="a",
        state=state,
        owner="me",
        run="r",
        job=job_id,
        project="street-dance",
        folder="/p",
        output=f"/p/renders/takes/{job_id}.mp4",
        final=f"/p/renders/{job_id}.mp4",
        root="/p/renders",
        manifest="{}",
        model=DEFAULT_MODEL,
        hold=credits_of(Decimal("0.448")),
        generation_id=f"gen-{job_id.replace('/', '-')}",
        failure=failure or ("upstream" if state is State.REMOTE_FAILED else None),
        message="the model is overloaded" if state is State.REMOTE_FAILED else None,
        accepted_at=1_000.0,
    )


def _result(key: str) -> Result:
    return Result(
        namespace="sandbox",
        fingerprint=key,
        blob="b" * 64,
        size=10,
        attempt="01J",
        charge=credits_of(Decimal("0.448")),
        generation_id="gen-old",
        made_at=0.0,
    )


def _project(jobs: list[Job]) -> Project:
    return Project(
        name="street-dance",
        folder=Path("/p"),
        provider="aimlapi",
        characters={},
        motions={},
        shots=tuple(dict.fromkeys(one.shot for one in jobs)),
        jobs=tuple(jobs),
        output_dir="renders",
        budget=Budget(),
        watch=WatchAllowance(),
        sources=(),
    )
