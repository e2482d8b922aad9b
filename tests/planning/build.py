"""Small builders: records with sensible values, to be varied by a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from kling_render.errors import Place
from kling_render.lifecycle.records import Attempt, Result
from kling_render.lifecycle.states import State
from kling_render.models import DEFAULT_MODEL
from kling_render.planning.manifest import InputIdentity
from kling_render.planning.plan import Facts, make_plan
from kling_render.planning.prices import Price
from kling_render.planning.records import Plan, PlannedJob, Presence
from kling_render.shotlist.records import Budget, InputRef, Job, Project, Request, WatchAllowance

LIST = "shotlist.yaml"
PRICE = Price(DEFAULT_MODEL, Decimal("0.112"), None, "2026-08-01T00:00:00Z", "catalogue")


def place(line: int, file: str = LIST) -> Place:
    return Place(file, line, 1)


IMAGES = {n: InputRef(shown=f"{n}.png", path=Path(f"/p/{n}.png"), place=place(3)) for n in ("fox", "robot")}
CLIPS = {n: InputRef(shown=f"{n}.mp4", path=Path(f"/p/{n}.mp4"), place=place(5)) for n in ("wave", "spin")}


def digest(word: str) -> str:
    """64 hex that stand for some bytes."""
    return (word.encode().hex() + "0" * 64)[:64]


def request(**changes: Any) -> Request:
    base = Request(
        model=DEFAULT_MODEL,
        image=IMAGES["fox"],
        video=CLIPS["wave"],
        start=None,
        end=None,
        prompt="a fox waves",
        orientation="image",
        keep_audio=True,
        params=(),
        take=1,
    )
    return replace(base, **changes)


def job(shot: str = "sc010", character: str = "fox", motion: str = "wave", take: int = 1, **changes: Any) -> Job:
    values: Mapping[str, str] = changes.pop("values", {})
    cell = "/".join(filter(None, (shot, character, motion, ".".join(values.values()))))
    variant = "".join(f"_{value}" for value in [".".join(values.values())] if value)
    base = Job(
        id=f"{cell}/t{take:02}",
        shot=shot,
        character=character,
        motion=motion,
        take=take,
        values=tuple(values.items()),
        request=request(
            image=IMAGES.get(character, IMAGES["fox"]),
            video=CLIPS.get(motion, CLIPS["wave"]),
            prompt=f"{character} in {cell}",
            take=take,
        ),
        output=f"takes/{shot}/{character}/{motion}{variant}_t{take:02}.mp4",
        final=f"{shot}/{character}/{motion}{variant}.mp4",
        priority=0,
        tags=(),
        place=place(8),
        prompt_place=place(1, "prompts/sc010.j2"),
    )
    return replace(base, **changes)


def project(*jobs: Job, **changes: Any) -> Project:
    base = Project(
        name="street-dance",
        folder=Path("/p"),
        provider="aimlapi",
        characters={},
        motions={},
        shots=tuple(dict.fromkeys(j.shot for j in jobs)),
        jobs=jobs,
        output_dir="renders",
        budget=Budget(),
        watch=WatchAllowance(),
        sources=(),
    )
    return replace(base, **changes)


def identity(ref: InputRef) -> InputIdentity:
    """Bytes are as their name says; a remote input without a pin is its URL."""
    return InputIdentity(url=ref.url) if ref.path is None else InputIdentity(digest(ref.shown))


@dataclass
class World:
    """What exists: results and attempts by fingerprint, files by path."""

    results: dict[str, Result] = field(default_factory=dict)
    latest: dict[str, Attempt] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def present(self, path: str, sha256: str) -> Presence:
        there = self.files.get(path)
        return Presence.MISSING if there is None else Presence.HERE if there == sha256 else Presence.OTHER

    def plan(self, project: Project, *, stale_outputs: tuple[str, ...] = (), **options: Any) -> Plan:
        facts = Facts(
            **{
                "namespace": "https://api.example.com",
                "identities": identity,
                "seconds": lambda _request: Decimal("4.0"),
                "prices": lambda _request: PRICE,
                "present": self.present,
                "results": self.results,
                "latest": self.latest,
                **self.facts,
            }
        )
        return make_plan(project, facts, stale_outputs=stale_outputs, **options)

    def one(self, *jobs: Job) -> PlannedJob:
        """The decision about the first of these jobs."""
        return next(p for p in self.plan(project(*jobs)).jobs if p.job.id == jobs[0].id)

    def render(self, job: Job, *, publish: bool = True) -> Result:
        """The job is done: its result is in the store and, if `publish`, its files stand there."""
        key = self.one(job).key
        result = Result(
            namespace="https://api.example.com",
            fingerprint=key,
            blob=digest(f"out {job.id}"),
            size=1000,
            attempt="A1",
            charge=896_000,
            generation_id="g1",
            made_at=1.0,
        )
        self.results[key] = result
        if publish:
            self.files[f"renders/{job.output}"] = result.blob
            self.files.setdefault(f"renders/{job.final}", result.blob)
        return result

    def attempt(self, job: Job, state: State, **facts: Any) -> Attempt:
        """The newest attempt for the job's request is in this state."""
        planned = self.one(job)
        made = Attempt(
            **{
                "id": "A1",
                "namespace": "https://api.example.com",
                "fingerprint": planned.key,
                "client_request_id": "kr1:x:A1",
                "account": "",
                "state": state,
                "owner": "",
                "run": "r1",
                "job": job.id,
                "project": "street-dance",
                "folder": "/p",
                "root": "/p/renders",
                "output": f"/p/renders/{job.output}",
                "final": f"/p/renders/{job.final}",
                "manifest": planned.manifest_json,
                "model": job.request.model,
                "hold": 896_000,
                **facts,
            }
        )
        self.latest[planned.key] = made
        return made
