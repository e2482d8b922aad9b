"""The `plan --json` document and its schema, and the plan as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kling_render.lifecycle.states import State
from kling_render.planning.document import plan_document
from kling_render.planning.eta import Eta, Pace
from kling_render.planning.prices import Price, free_price
from kling_render.planning.records import Action, Note, NoteCode, Pick, Plan, ReasonCode, reason
from kling_render.planning.text import day_text, plan_text, time_text, usd_text
from tests.planning.build import World, job, place, project

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "plan.schema.json").read_text("utf-8"))
ETA = Eta(720.0, 8, Pace(360.0, 540.0, "history", 34))


def every_action() -> Plan:
    """A plan with every action in it, one shot each."""
    world = World()
    jobs = {name: job(name) for name in ("done", "restore", "resume", "render", "blocked", "pinned")}
    jobs["twin"] = replace(job("twin"), request=jobs["render"].request)
    world.facts["earlier"] = {
        jobs[n].id: world.one(replace(jobs[n], request=replace(jobs[n].request, prompt="before"))).manifest_json
        for n in ("render", "pinned")
    }
    world.render(jobs["done"])
    world.render(jobs["restore"], publish=False)
    world.attempt(jobs["resume"], State.ACCEPTED)
    world.facts["blocked"] = {jobs["blocked"].id: (reason(ReasonCode.BLOCKED, at=place(5)),)}
    world.facts["picked"] = {jobs["pinned"].cell: Pick(1, "f" * 64)}
    return world.plan(project(*jobs.values()), stale_outputs=("renders/old.mp4",))


def test_the_document_is_the_documented_one() -> None:
    """Names, order, exact money and paths relative to the shot list."""
    plan = World().plan(
        project(job(values={"place": "roof", "orientation": "image"})), stale_outputs=("renders/x.mp4",)
    )
    document = plan_document(plan)
    told = ["format", "project", "provider", "prices", "jobs", "stale_outputs", "totals"]
    assert list(document) == [*told, "notes", "eta"]
    assert (document["notes"], document["eta"]) == ([], None)
    assert document["prices"] == [
        {
            "model": "klingai/video-v2-6-pro-motion-control",
            "usd_per_second": "0.112",
            "usd_fixed": None,
            "as_of": "2026-08-01T00:00:00Z",
            "source": "catalogue",
        }
    ]
    [entry] = document["jobs"]
    assert len(entry.pop("fingerprint")) == 64
    assert entry == {
        "id": "sc010/fox/wave/roof.image/t01",
        "shot": "sc010",
        "character": "fox",
        "motion": "wave",
        "take": 1,
        "values": {"place": "roof", "orientation": "image"},
        "action": "render",
        "reasons": [{"code": "new", "text": "no result yet", "at": None}],
        "output": "renders/takes/sc010/fox/wave_roof.image_t01.mp4",
        "final": "renders/sc010/fox/wave_roof.image.mp4",
        "estimate_usd": "0.448",
        "up_to_usd": "0.448",
        "duration_s": 4.0,
        "prompt": "fox in sc010/fox/wave/roof.image",
    }
    assert document["stale_outputs"] == ["renders/x.mp4"]
    assert document["totals"]["estimate_usd"] == "0.448"
    assert document["totals"]["saved_usd"] == "0"


def test_an_unknown_price_is_null_and_not_listed() -> None:
    """`"prices": []` and `"estimate_usd": null`, as documented."""
    world = World()
    world.facts["prices"] = lambda _request: None
    document = plan_document(world.plan(project(job())))
    assert document["prices"] == []
    assert document["totals"]["estimate_usd"] is None
    assert document["jobs"][0]["estimate_usd"] is None


def test_a_free_provider_costs_nothing_and_lists_no_price() -> None:
    """Zero is a known figure."""
    world = World()
    world.facts["prices"] = lambda request: free_price(request.model)
    document = plan_document(world.plan(project(job(), provider="previz")))
    assert (document["prices"], document["totals"]["estimate_usd"]) == ([], "0")


def test_every_action_is_valid_under_the_schema() -> None:
    """A plan with every action in it validates, and so does the document of errors."""
    plan = every_action()
    assert {planned.action for planned in plan.jobs} == set(Action)
    check = jsonschema.Draft202012Validator(SCHEMA)
    check.check_schema(SCHEMA)
    check.validate(json.loads(json.dumps(plan_document(plan))))
    error = {"code": "x", "message": "y", "file": "s.yaml", "line": 1, "column": 2, "help": None}
    check.validate({"format": "kling-render.plan/1", "errors": [error]})
    with pytest.raises(jsonschema.ValidationError):
        check.validate({"format": "kling-render.plan/1", "errors": []})


def _undescribed(value: Any, schema: dict[str, Any], at: str) -> Iterator[str]:
    """Paths of keys that the schema does not know, and of keys it requires that are not there."""
    schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if isinstance(value, dict) and "properties" in schema:
        yield from (f"{at}.{name}" for name in value.keys() ^ schema["properties"].keys())
        for name in value.keys() & schema["properties"].keys():
            yield from _undescribed(value[name], schema["properties"][name], f"{at}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _undescribed(inner, schema["items"], f"{at}[]")


def test_the_schema_describes_every_key_and_no_other() -> None:
    """Document and schema cannot drift apart."""
    plan = replace(every_action(), notes=(Note(NoteCode.PRICE_CHANGED, "x"),), eta=ETA)
    # What `--base` adds is held against the schema where it is made.
    assert [name for name in _undescribed(plan_document(plan), SCHEMA["$defs"]["plan"], "") if name != ".base"] == []
    notes = SCHEMA["$defs"]["plan"]["properties"]["notes"]
    assert notes["items"]["properties"]["code"]["enum"] == [code.value for code in NoteCode]
    reasons = SCHEMA["$defs"]["job"]["properties"]["reasons"]["items"]
    assert reasons["properties"]["code"]["enum"] == [code.value for code in ReasonCode]
    assert SCHEMA["$defs"]["job"]["properties"]["action"]["enum"] == [
        "up-to-date", "restore", "resume", "adopt", "render", "blocked", "pinned",
    ]  # fmt: skip


def test_the_text_tells_counts_costs_causes_and_prices() -> None:
    """The first screen answers: how much, why, for what, at which price."""
    text = plan_text(every_action())
    assert text.startswith("street-dance: 7 jobs, provider aimlapi\n")
    for line in (
        "  1  to render: 1 changed",
        "cost: about $0.448, up to $0.448",
        "price: klingai/video-v2-6-pro-motion-control $0.112 per second (catalogue, 1 Aug 2026)",
        "  prompts/sc010.j2:1  → 1 job  about $0.448  the prompt changed",
        "stale outputs (1; `render --prune` moves them to the trash)",
        "  renders/old.mp4",
    ):
        assert line in text.splitlines()
    job_line = next(line for line in text.splitlines() if line.startswith("  render/fox"))
    assert job_line.split() == ["render/fox/wave/t01", "render", "4", "s", "$0.448", *["the", "prompt", "changed", "(prompts/sc010.j2:1)"]]  # fmt: skip # noqa: E501 - one line of output
    assert "done/fox/wave/t01" not in text
    assert "done/fox/wave/t01" in plan_text(every_action(), verbose=True)


def test_costs_are_grouped_by_shot_character_and_motion() -> None:
    """Each group that has more than one member, with its part of the bill."""
    jobs = [job(s, c, m) for s in ("a", "b") for c in ("fox", "robot") for m in ("wave", "spin")]
    lines = plan_text(World().plan(project(*jobs))).splitlines()
    for title, first in (("by shot", "  a"), ("by character", "  fox"), ("by motion", "  wave")):
        assert lines[lines.index(title) + 1].startswith(first)
        assert lines[lines.index(title) + 1].endswith("4 jobs  about $1.792")


def test_a_long_plan_is_summed_up_per_shot() -> None:
    """300 jobs fit on a screen; -v lists them."""
    jobs = [job(f"sc{n:03}", take=take) for n in range(10) for take in range(1, 31)]
    plan = World().plan(project(*jobs), stale_outputs=tuple(f"renders/{n}.mp4" for n in range(100)))
    lines = plan_text(plan).splitlines()
    assert len(lines) < 80
    assert "  sc003  30 to render  about $13.44" in lines
    assert "  … and 60 more" in lines
    assert len(plan_text(plan, verbose=True).splitlines()) > 400


def test_foreign_characters_cannot_drive_the_terminal() -> None:
    """Control and direction characters of names and messages are shown, not sent."""
    world = World()
    world.attempt(job(), State.REMOTE_FAILED, message="\x1b]52;c;x\x07 \u202e evil")
    text = plan_text(world.plan(project(job(), name="a\nb\x9b"), stale_outputs=("renders/\udcff.mp4",)))
    assert text.encode()
    assert not any(ord(char) in {0x1B, 0x07, 0x9B, 0x202E} for char in text)
    assert "\\x1b]52;c;x\\x07 \\u202e evil" in text
    assert text.startswith("a\\x0ab\\x9b: 1 job")


@pytest.mark.parametrize(
    ("amount", "text"),
    [(None, "$?"), ("0", "$0.00"), ("40", "$40.00"), ("0.1120", "$0.112"), ("0.45173333", "$0.4517")],
)
def test_amounts_for_people_have_two_to_four_digits(amount: str | None, text: str) -> None:
    """Exact figures are in the JSON document."""
    assert usd_text(None if amount is None else Decimal(amount)) == text


def test_an_unknown_price_is_said() -> None:
    """No figure is better than a wrong one, and the reader is told."""
    world = World()
    world.facts["prices"] = lambda _request: None
    text = plan_text(world.plan(project(job())))
    assert "cost: about $?, up to $?" in text
    assert "price: not known for every job to render" in text


def test_time_and_notes_stand_with_the_money() -> None:
    """When it is done, on what grounds, and what is to be known about the price: a line each."""
    warning = Note(NoteCode.RATE_DIFFERS, "it was charged more")
    plan = replace(every_action(), eta=ETA, notes=(Note(NoteCode.PRICE_CHANGED, "it changed"), warning))
    lines = plan_text(plan).splitlines()
    said = "time: about 12 min at -j 8 (one takes 6 min, one of ten 9 min or more; 34 renders of your own)"
    assert {said, "note: it changed", "warning: it was charged more"} <= set(lines)


def test_a_remembered_price_has_its_date() -> None:
    """Offline, the last known price is shown as what it is."""
    world = World()
    world.facts["prices"] = lambda r: Price(r.model, Decimal("0.1"), None, "2026-11-21T23:00:00+00:00", "cached")
    text = plan_text(world.plan(project(job())))
    assert "$0.10 per second (last known, price of 21 Nov 2026)" in text


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-08-01", "1 Aug 2026"),
        ("", ""),
        ("2026-13-01", "2026-13-01"),
        ("yesterday", "yesterday"),
        ("2026-08-", "2026-08-"),
    ],
)
def test_days_are_written_out_and_rubbish_stays_as_it_is(moment: str, day: str) -> None:
    """A date from a damaged cache stops nothing."""
    assert day_text(moment) == day


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.25 s"), (45.4, "45 s"), (721, "12 min"), (5400, "1 h 30 min"), (7200, "2 h"), (201_000, "2 d 7 h")],
)
def test_times_for_people_have_two_units_at_most(seconds: float, text: str) -> None:
    """Nobody plans by the second."""
    assert time_text(seconds) == text


def test_dollars_per_edit_come_dearest_first() -> None:
    """The edit that costs most stands first, with its place, its jobs and its money."""
    cheap, dear = job("a"), [job("b", take=take) for take in (1, 2)]
    world = World()
    world.facts["earlier"] = {
        j.id: world.one(replace(j, request=replace(j.request, prompt="before"))).manifest_json for j in (cheap, *dear)
    }
    edited = [replace(j, prompt_place=place(4, "prompts/b.j2")) for j in dear]
    lines = plan_text(world.plan(project(cheap, *edited))).splitlines()
    why = lines.index("why")
    assert lines[why + 1].split() == ["prompts/b.j2:4", "→", "2", "jobs", "about", "$0.896", "the", "prompt", "changed"]
    assert lines[why + 2].startswith("  prompts/sc010.j2:1")


def test_where_jobs_are_summed_up_the_dearest_are_named() -> None:
    """Of a long plan the money per job is still seen at its top."""
    world = World()
    world.facts["seconds"] = lambda request: Decimal(9 if request.video.shown == "spin.mp4" else 4)
    jobs = [job(f"sc{n:03}", take=take) for n in range(2) for take in range(1, 31)]
    jobs += [job(f"sc{n:03}", motion="spin") for n in range(2)]
    lines = plan_text(world.plan(project(*jobs))).splitlines()
    assert [line.split()[0] for line in lines[lines.index("dearest") + 1 :]][:2] == [
        "sc000/fox/spin/t01",
        "sc001/fox/spin/t01",
    ]
