"""What a run looks like while it goes on: lines, events, the board. Every claim is one a reader of a log relies on."""

from __future__ import annotations

import io
import json
import re
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from kling_render.cli.events import EventWriter
from kling_render.cli.job_words import LOOKS
from kling_render.cli.progress_board import Board
from kling_render.cli.progress_live import LiveProgress
from kling_render.cli.progress_plain import PlainProgress
from kling_render.engine.work import Failure, JobReport, JobState, Progress, RunReport
from kling_render.lifecycle.records import credits_of
from kling_render.planning.eta import Eta, Pace
from kling_render.planning.records import Plan
from kling_render.schemas_at import load
from tests.cli.plans import job, plan_of

S = JobState
PRICE = credits_of(Decimal("0.448"))
EVIL = "\x1b]52;c;aGk=\x07\x1b[2Jbad\r\nnews\u202e[red]x[/red]" + "y" * 1000
REFUSED = Failure(kind="content-refused", message=EVIL, remedy="change the prompt")


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return 1_785_585_600.0 + self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def at(job_id: str, state: JobState, generation_id: str | None = None, **facts: object) -> Progress:
    report = JobReport(job=job_id, state=state, **facts)  # type: ignore[arg-type]
    extra = {"generation_id": generation_id} if generation_id else {}
    return Progress(event="job", job=job_id, facts={"report": report, **extra})


def plain(events: list[Progress], *, quiet: bool = False) -> list[str]:
    lines: list[str] = []
    progress = PlainProgress(lines.append, quiet=quiet, base=Path("/p"))
    for event in events:
        progress.tell(event)
    return lines


LIFE = [
    at("a", S.WAITING),
    at("a", S.SUBMITTING),
    at("a", S.RUNNING, "gen-1", detail="queued"),
    at("a", S.RUNNING, "gen-1", detail="queued"),
    at("a", S.RUNNING, "gen-1", detail="generating"),
    at("a", S.FETCHING, "gen-1"),
    at("a", S.DONE, generation_id="gen-1", credits=PRICE, sha256="b" * 64, output=Path("/p/renders/a.mp4")),
]


def test_a_job_that_goes_well_has_three_lines_with_its_id_path_and_cost() -> None:
    """Polls are noise; what was sent, where it is and what it cost is not."""
    assert [re.split(r" {2,}", line.strip()) for line in plain(LIFE)] == [
        ["submitting", "a"],
        ["running", "a", "gen-1"],
        ["done", "a", "renders/a.mp4", "$0.448"],
    ]


def test_a_failure_is_one_line_with_class_message_and_remedy_and_nothing_that_acts_on_the_terminal() -> None:
    """Whatever the server wrote, a log stays one line per event."""
    (line,) = plain([at("a", S.FAILED, failure=REFUSED)])
    assert line.count("\n") == 1
    assert line.endswith("change the prompt\n")
    assert "content-refused: " in line
    assert all(char.isprintable() for char in line[:-1])
    assert "\u202e" not in line
    assert len(line) < 700


def test_an_outage_is_said_once_and_not_once_per_job_and_poll() -> None:
    """The same sentence about all running jobs is one fact."""
    outage = "the server does not answer: timed out"
    running = [at(j, S.RUNNING, detail="queued") for j in "abc"]
    polls = [at(j, S.RUNNING, detail=outage) for j in "abcabc"]
    assert sum(outage in line for line in plain([*running, *polls])) == 1


def test_slow_down_answers_do_not_flood_the_log() -> None:
    """A job that waits in turn for 3, 4, 5 seconds is told once."""
    turns = [at("a", S.WAITING, detail=f"the server asks to slow down ({n} s)") for n in range(3, 9)]
    sends = [at("a", S.SUBMITTING)] * len(turns)
    lines = plain([event for pair in zip(sends, turns, strict=True) for event in pair])
    assert len(lines) == 2


def test_a_further_attempt_after_a_failure_is_told_again() -> None:
    """Failed, waiting, submitting again, failed again: five lines, since each may cost or matter."""
    failed = at("a", S.FAILED, failure=Failure(kind="upstream", message="overloaded", remedy="again"))
    again = at("a", S.WAITING, detail="failed remotely; further attempt 1")
    events = [at("a", S.SUBMITTING), failed, again, at("a", S.SUBMITTING), failed]
    words = [line.split()[0] for line in plain(events)]
    assert words == ["submitting", "failed", "waiting", "submitting", "failed"]


LOOK = Progress(event="look", job="b", facts={"warnings": ["frozen at 1.0–3.0 s", f"silent {EVIL}"]})
"""What is found when a result is watched to its end."""


def test_what_a_look_at_a_result_finds_is_a_line() -> None:
    """As soon as it is known: a long run can be looked into before it ends."""
    (line,) = plain([LOOK])
    assert line.startswith("warning     b: frozen at 1.0–3.0 s; silent ")
    assert line.isprintable() or line[:-1].isprintable()
    _, shown = screen(100, 20, many(2), [*LIFE, LOOK])
    assert "warning" in shown
    assert "frozen at 1.0–3.0 s" in shown


def test_quiet_leaves_failures_doubts_and_stops() -> None:
    """-q is for scripts that only want to hear of trouble."""
    trouble = [
        at("b", S.FAILED, failure=REFUSED),
        at("c", S.IN_DOUBT, detail="connection reset"),
        Progress(event="note", facts={"text": "hello"}),
        LOOK,
        Progress(event="stop", facts={"why": "budget", "text": "no room"}),
    ]
    assert [line.split("  ")[0].strip() for line in plain(LIFE + trouble, quiet=True)] == [
        "failed",
        "in doubt",
        "stopped",
    ]


def test_every_event_is_one_flushed_json_line_that_its_schema_describes() -> None:
    """A program can follow a run with a JSON parser and the published schema."""
    stream = io.StringIO()
    writer = EventWriter(stream, HandClock().now)
    extra = [at("b", S.FAILED, failure=REFUSED), Progress(event="note", facts={"text": EVIL, "look_at": 5.0})]
    stop = Progress(event="stop", facts={"why": "budget", "text": "no room"})
    for event in [*LIFE, *extra, LOOK, stop]:
        writer.tell(event)
    writer.end(RunReport(jobs={e.job: e.facts["report"] for e in (*LIFE, extra[0])}, submits=1))
    check = Draft202012Validator(load("events.schema.json"))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    for line in lines:
        check.validate(line)
    assert stream.getvalue().isascii()
    assert lines[0]["at"] == "2026-08-01T12:00:00.000Z"
    assert [line.get("state", line["event"]) for line in lines] == [
        *("waiting", "submitting", "running", "running", "fetching", "done"),
        *("failed", "note", "look", "stop", "end"),
    ]
    assert lines[5]["usd"] == "0.448"
    assert lines[-1]["exit_code"] == 3
    assert lines[-1]["usd"] == "0.448"


def test_a_reader_of_events_that_goes_away_does_not_disturb_the_run() -> None:
    """`--events -` into `head` must not end a paid run."""
    stream = io.StringIO()
    writer = EventWriter(stream, HandClock().now)
    stream.close()
    writer.tell(LIFE[0])
    writer.tell(LIFE[1])
    assert writer.broken


def many(count: int) -> Plan:
    return plan_of([job(f"sc{n // 20:03}_on_the_rooftop", "captain-of-the-guard", f"wave-{n}") for n in range(count)])


def screen(width: int, height: int, plan: Plan, events: list[Progress], encoding: str = "utf-8") -> tuple[str, str]:
    """What the board shows after the events, and all that was written until the end."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    console = Console(file=file, force_terminal=True, width=width, height=height, color_system="standard")
    clock = HandClock()
    with LiveProgress(console, plan, clock, cap_usd=Decimal(50)) as live:
        for event in events:
            clock.at += 1
            live.tell(event)
        shot = io.BytesIO()
        paper = Console(file=io.TextIOWrapper(shot, encoding, write_through=True), width=width, height=height)
        paper.print(live.board())
    return shot.getvalue().decode(encoding), raw.getvalue().decode(encoding)


def busy(plan: Plan) -> list[Progress]:
    ids = [planned.job.id for planned in plan.jobs]
    events = [at(i, S.WAITING) for i in ids]
    events += [at(i, S.RUNNING, detail="queued") for i in ids[:20]]
    events += [at(i, S.DONE, credits=PRICE, output=Path("/p/a.mp4")) for i in ids[:10]]
    return [*events, at(ids[10], S.FAILED, failure=REFUSED), at(ids[11], S.IN_DOUBT, detail="reset")]


@pytest.mark.parametrize(("width", "height"), [(60, 14), (80, 24), (100, 30), (160, 50), (20, 5)])
def test_the_board_fits_every_screen_and_names_what_it_leaves_out(width: int, height: int) -> None:
    """500 jobs on 14 lines: no line is wrapped, and totals and money always show."""
    plan = many(500)
    board, _ = screen(width, height, plan, busy(plan))
    lines = board.rstrip("\n").splitlines()
    assert all(len(line) <= width for line in lines)
    if width >= 60:
        assert len(lines) < height
        assert "12/500" in board
        assert "more waiting" in board
        assert any("✗ 1 failed" in line for line in lines)
        assert "spent $4.48" in board
        assert "held $4.032" in board
        assert "left $41.488 of $50.00" in board


def test_states_are_readable_without_colour_and_without_unicode() -> None:
    """Each state has its own word, and its own symbol even on an ASCII terminal."""
    assert len({look.word for look in LOOKS.values()}) == len(LOOKS) == len(JobState)
    assert len({look.symbol for look in LOOKS.values()}) == len(LOOKS)
    assert len({look.plain_symbol for look in LOOKS.values()}) == len(LOOKS)
    plan = plan_of([job("sc1", "fox", "wave")])
    board, _ = screen(80, 24, plan, [at("sc1/fox/wave/t01", S.RUNNING)], encoding="ascii")
    assert "> running" in board
    assert board.isascii()


def test_trouble_and_notes_stand_above_the_board_once_and_harmless() -> None:
    """A failure is not lost when its row scrolls away, and cannot act on the terminal."""
    plan = many(40)
    note = Progress(event="note", facts={"text": "found again \x1b[5m[bold]really[/bold]"})
    failed = at(plan.jobs[0].job.id, S.FAILED, failure=REFUSED)
    _, written = screen(80, 24, plan, [*busy(plan)[:-2], failed, failed, note])
    assert written.count("change the prompt") == 1
    assert "[bold]really[/bold]" in written
    assert "\x1b]52" not in written
    assert "\x1b[5m" not in written


def test_the_board_leaves_its_totals_behind() -> None:
    """After the run the terminal keeps one short block, not half a table."""
    plan = many(2)
    ids = [planned.job.id for planned in plan.jobs]
    _, written = screen(80, 24, plan, [at(i, S.DONE, credits=PRICE) for i in ids])
    tail = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written).splitlines()[-3:]
    assert "2/2" in tail[0]
    assert tail[1].strip() == "✓ 2 done"
    assert tail[2].strip() == "spent $0.896   left $49.104 of $50.00"


def test_a_free_provider_shows_no_money() -> None:
    """A rehearsal must not look like a bill."""
    plan = plan_of([job("sc1", "fox", "wave")], free=True)
    board, _ = screen(80, 24, plan, [at("sc1/fox/wave/t01", S.RUNNING)])
    assert "$" not in board


def test_the_remaining_time_comes_from_the_jobs_that_ended() -> None:
    """Two of four at once took 10 s each: the next round takes 10 s more."""
    board = Board(many(4))
    ids = [planned.job.id for planned in many(4).jobs]
    for i in ids:
        board.put(JobReport(job=i, state=S.WAITING), 0.0)
    for i in ids[:2]:
        board.put(JobReport(job=i, state=S.RUNNING), 0.0)
    assert board.left_s(5.0) is None
    for i in ids[:2]:
        board.put(JobReport(job=i, state=S.DONE, credits=PRICE), 10.0)
    assert board.left_s(10.0) == 10.0


def test_before_the_first_job_ended_the_plan_tells_the_remaining_time() -> None:
    """Four jobs, two at once, six minutes each by earlier runs: twelve minutes, and less as time passes."""
    plan = replace(many(4), eta=Eta(720.0, 2, Pace(360.0, 400.0, "history", 9)))
    board = Board(plan)
    ids = [planned.job.id for planned in plan.jobs]
    for i in ids:
        board.put(JobReport(job=i, state=S.WAITING), 0.0)
    assert board.left_s(0.0) == 720.0
    for i in ids[:2]:
        board.put(JobReport(job=i, state=S.RUNNING), 0.0)
    assert board.left_s(60.0) == 660.0
    for i in ids[:2]:
        board.put(JobReport(job=i, state=S.DONE, credits=PRICE), 100.0)
    assert board.left_s(100.0) == 100.0


def test_telling_the_board_is_quick_with_many_jobs() -> None:
    """The engine tells it everything: 20,000 events and 50 redraws take well under five seconds."""
    plan = many(5000)
    events = busy(plan) + [at(planned.job.id, S.DONE, credits=PRICE) for planned in plan.jobs] * 3
    board = Board(plan)
    started = time.perf_counter()
    for number, event in enumerate(events):
        board.put(event.facts["report"], number)
        if number % 400 == 0:
            board.rows(20)
            board.sums()
            board.left_s(number)
    assert time.perf_counter() - started < 5
