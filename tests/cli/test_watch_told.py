"""A watch session in a pipe and as events: one line per thing that matters, in the order it happened."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from decimal import Decimal

from jsonschema import Draft202012Validator

from kling_render.cli.events import EventWriter
from kling_render.cli.watch_events import WatchEvents
from kling_render.cli.watch_plain import PlainWatch
from kling_render.engine.work import Progress, RunReport
from kling_render.schemas_at import load
from kling_render.watch.news import (
    Broken,
    Changed,
    Dropped,
    Holding,
    Leaving,
    News,
    Rendering,
    RunOver,
    Settled,
    Trouble,
)
from tests.cli.watching import (
    FOLDER,
    IDS,
    PRICE,
    REFUSED,
    TYPO,
    WARNING,
    S,
    at,
    holding,
    note,
    plan,
    replanned,
    shown,
)

PROMPT = (FOLDER / "prompts/wave.j2",)
EVIL = "\x1b]52;c;aGk=\x07bad\nnews\u202e"


def said(news: Iterable[News | Progress], *, quiet: bool = False) -> list[str]:
    lines: list[str] = []
    watch = PlainWatch(lines.append, quiet=quiet, shown=shown, base=FOLDER)
    for each in news:
        watch.tell(each)
    return [re.sub(r" {2,}", "  ", line.removesuffix("\n")) for line in lines]


EDIT: list[News | Progress] = [
    replanned(),
    Changed(PROMPT),
    Settled(PROMPT),
    replanned(2, "prompts/wave.j2"),
    holding(2, "0.896", 10.0),
    Holding(None),
    Rendering(plan(2), tuple(IDS[:2])),
    at(0, S.WAITING),
    at(0, S.SUBMITTING),
    at(0, S.RUNNING),
    at(0, S.DONE, credits=PRICE, output=FOLDER / "renders/a.mp4"),
    RunOver(states=[("done", 2)], spent=Decimal("0.896"), stops=()),
    replanned(),
]


def test_a_save_that_renders_has_a_line_for_each_thing_that_matters() -> None:
    """What was saved, what it causes and costs, that it can still be stopped, and how it ended."""
    assert said(EDIT) == [
        "watching  31 files; 8 up to date; today $4.00; this hour $13.50 of $15.00 left",
        "saved  prompts/wave.j2 -> 2 to render, about $0.896; today $4.00; this hour $13.50 of $15.00 left",
        "holding  2 jobs, about $0.896: within the allowance, in 10 s",
        f"submitting  {IDS[0]}",
        f"running  {IDS[0]}",
        f"done  {IDS[0]}  renders/a.mp4  $0.448",
        "run over  2 done, $0.896",
    ]


def test_a_save_that_changes_nothing_says_so_and_one_that_is_undone_too() -> None:
    """A watcher that is silent after a save looks broken."""
    lines = said([replanned(2), replanned(2, "a.yaml", differs=False), replanned(0, "a.yaml", "b.yaml")])
    assert lines[1:] == [
        "saved  a.yaml -> changes nothing",
        "saved  a.yaml, b.yaml -> 2 up to date again; today $4.00; this hour $13.50 of $15.00 left",
    ]


def test_only_what_a_save_adds_is_counted_as_its_effect() -> None:
    """Two jobs waited before; the save causes one more."""
    (line,) = said([replanned(2), replanned(3, "a.yaml")])[1:]
    assert "a.yaml -> 1 to render, about $0.448;" in line


def test_what_waits_while_a_save_is_being_read_is_told_once_with_its_plan() -> None:
    """Each save moves a hold about; a log shows where it came to stand."""
    reading = holding(2, "0.896", None, "a newer save is being read")
    waits = holding(2, "7.2", None, "$7.20 is more than the $5.00 that a save may cost")
    news: list[News | Progress] = [
        replanned(2),
        Changed(PROMPT),
        reading,
        Settled(PROMPT),
        replanned(2, "a.j2", differs=False),
        waits,
        waits,
    ]
    assert said(news)[2:] == [
        "waits  2 jobs, about $0.896, up to $7.20: $7.20 is more than the $5.00 that a save may cost"
    ]


def test_errors_of_a_save_are_a_line_each_with_place_and_remedy() -> None:
    """A log can be searched for a file and jumped into."""
    assert said([Broken("1 error in the input", (TYPO, WARNING))]) == [
        "broken  prompts/wave.j2:4:14: error[template-undefined]: unknown name 'motoin'; did you mean 'motion'?"
    ]
    assert said([Broken("no shot list here", help="make one")]) == ["broken  no shot list here; make one"]


def test_a_warning_is_said_once_as_long_as_it_holds() -> None:
    """Fifty saves do not repeat it fifty times; mended and made again, it is news."""
    warned = replanned(warnings=(WARNING,))
    news: list[News | Progress] = [warned, warned, warned, replanned(), warned]
    assert sum(line.startswith("warning  shotlist.yaml:2:1: warning[unused]: ") for line in said(news)) == 2


def test_what_stops_a_run_is_said_once_and_a_newer_save_is_no_stop() -> None:
    """The run tells it, and its report again."""
    news: list[News | Progress] = [
        replanned(2),
        Rendering(plan(2), tuple(IDS[:2])),
        note("out of credits", "stop", why="account"),
        note("a newer save goes on from here", "stop", why="superseded"),
        RunOver(
            states=[("waiting", 2)], spent=Decimal(0), stops=("out of credits", "no room"), notices=("moved a.mp4",)
        ),
        RunOver(states=[("done", 1)], spent=Decimal(0), stops=(), superseded=True),
    ]
    assert said(news)[1:] == [
        "stopped  out of credits",
        "stopped  no room",
        "note  moved a.mp4",
        "run over  2 waiting",
    ]


def test_foreign_texts_stay_on_their_line_and_act_on_nothing() -> None:
    """Names of files and messages of servers are other people's."""
    evil: list[News | Progress] = [
        replanned(0),
        replanned(0, EVIL, differs=False),
        Trouble(EVIL, EVIL),
        Broken(EVIL),
        Dropped((EVIL,) * 5),
        note(EVIL),
        holding(1, "1", None, EVIL),
        Leaving(EVIL),
    ]
    lines = said(evil)
    assert len(lines) == len(evil)
    assert all(line.isprintable() for line in lines)
    assert lines[4].endswith("and 2 more")


def test_quiet_leaves_what_the_user_has_to_know() -> None:
    """-q is for scripts that only want to hear of trouble."""
    trouble: list[News | Progress] = [
        at(0, S.FAILED, failure=REFUSED),
        Broken("no shot list here"),
        Trouble("the store is busy"),
        holding(2, None, None, "its price is not known"),
    ]
    assert [line.split("  ")[0] for line in said([*EDIT, *trouble], quiet=True)] == [
        *("failed", "broken", "trouble", "waits")
    ]


def test_a_free_provider_shows_no_money() -> None:
    """A rehearsal must not look like a bill."""
    assert not any("$" in line for line in said([replanned(free=True), replanned(2, "a.yaml", free=True)]))


def test_lines_carry_the_time_where_it_is_wanted() -> None:
    """Who reads a log in the morning asks when."""
    lines: list[str] = []
    watch = PlainWatch(lines.append, quiet=False, shown=shown, base=FOLDER, now=lambda: 1_785_585_600.0)
    for news in EDIT[:1] + EDIT[6:9]:
        watch.tell(news)
    assert all(re.match(r"2026-08-0[12] \d\d:\d\d:\d\d \S+  (watching|submitting) ", line) for line in lines)
    assert len(lines) == 2


def test_every_event_is_one_json_line_that_its_schema_describes() -> None:
    """A program can follow a session with a JSON parser and the published schema."""
    stream = io.StringIO()
    writer = EventWriter(stream, lambda: 1_785_585_600.0)
    watch = WatchEvents(writer, monotonic=lambda: 4.0)
    news: list[News | Progress] = [
        *EDIT,
        Broken("1 error in the input", (TYPO,), EVIL),
        Dropped((IDS[3],)),
        holding(2, None, None, "its price is not known"),
        note("a newer save goes on from here", "stop", why="superseded"),
        Progress(event="look", job=IDS[0], facts={"warnings": ["frozen at 1.0–3.0 s"]}),
        replanned(left="2", warnings=(WARNING,)),
        Trouble("the store is busy"),
        Leaving(""),
    ]
    for each in news:
        watch.tell(each)
    writer.end(RunReport())
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    schema = load("events.schema.json")
    check = Draft202012Validator(schema)
    for event in events:
        check.validate(event)
    others = schema["$defs"]["other"]["properties"]["event"]["not"]["enum"]
    assert {event["event"] for event in events} <= set(others), "no event is taken for one of a newer version"
    assert [event["event"] for event in events[:8]] == [
        *("planned", "changed", "settled", "planned", "holding", "holding", "rendering", "job")
    ]
    planned, held, free = events[3], events[4], events[5]
    assert planned["paths"] == ["/p/prompts/wave.j2"]
    assert planned["actions"] == {"render": 2, "up-to-date": 6}
    assert planned["edits"][0]["jobs"] == IDS[:2]
    assert planned["estimate_usd"] == "0.896"
    assert (held["in_s"], held["up_to_usd"], held["jobs"]) == (6.0, "0.896", IDS[:2])
    assert (free["in_s"], free["jobs"]) == (None, [])


def test_each_run_tells_its_jobs_anew() -> None:
    """What was left out as a repetition is none in the next run."""
    stream = io.StringIO()
    watch = WatchEvents(EventWriter(stream, lambda: 0.0))
    for _ in range(2):
        for each in (Rendering(plan(1), (IDS[0],)), at(0, S.SUBMITTING), at(0, S.SUBMITTING)):
            watch.tell(each)
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["rendering", "job"] * 2
