"""What people and programs are told before and after a run: the plan's tables, the summary, the status."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from kling_render.cli.plan_table import print_plan
from kling_render.cli.status_table import Money, Status, status_document, status_text
from kling_render.cli.summary import completed, run_document, run_text
from kling_render.engine.work import Failure, JobReport, JobState, RunReport, Stop
from kling_render.lifecycle.records import credits_of
from kling_render.lifecycle.states import State
from kling_render.planning.records import Plan
from kling_render.planning.text import plan_text
from kling_render.schemas_at import load
from tests.cli.plans import attempt, job, plan_of

S = JobState
PRICE = credits_of(Decimal("0.448"))
IDS = [f"sc{n}/fox/wave/t01" for n in range(8)]
JOBS = [job(f"sc{n}", "fox", "wave") for n in range(8)]
REMEDY = "change the prompt, image or clip"


def mixed() -> tuple[RunReport, Plan]:
    """One of everything: done, failed twice, in doubt, needs the user, blocked, left running, up to date."""
    plan = plan_of(
        JOBS,
        done=frozenset({IDS[7]}),
        attempts={IDS[4]: State.NEEDS_USER},
        blocked={IDS[5]: "the clip is too short \x1b[31m"},
    )
    refused = Failure(kind="content-refused", message="not \x1b]0;allowed\x07", remedy=REMEDY)
    done = JobReport(
        job=IDS[0],
        state=S.DONE,
        generation_id="gen-0",
        sha256="c" * 64,
        credits=PRICE,
        output=Path("/p/renders/a.mp4"),
        warning="shorter than its clip",
    )
    jobs = {
        IDS[0]: done,
        IDS[1]: JobReport(job=IDS[1], state=S.FAILED, generation_id="gen-1", failure=refused),
        IDS[2]: JobReport(job=IDS[2], state=S.FAILED, failure=refused),
        IDS[3]: JobReport(job=IDS[3], state=S.IN_DOUBT, detail="the connection broke"),
        IDS[6]: JobReport(job=IDS[6], state=S.RUNNING, detail="left running"),
    }
    report = RunReport(
        jobs=jobs,
        stops={Stop.BUDGET: "the next job costs $0.448, but only $0.10 is left"},
        doubts={"01JDOUBT": 1_785_589_200.0},
        left_running=[attempt(IDS[6])],
        submits=5,
    )
    return report, plan


def test_the_summary_says_what_happened_what_it_cost_and_what_to_do() -> None:
    """One reading is enough: counts, money, each failure class with its remedy, doubts with a time, what runs on."""
    text = run_text(*mixed(), zone=UTC)
    assert text.splitlines() == [
        "street-dance: 1 done, 1 up to date, 1 running, 2 failed, 1 blocked, 1 in doubt, 1 needs you",
        "spent in this run: $0.448 (5 requests sent)",
        f"warning: {IDS[0]}: shorter than its clip",
        f"failed, content-refused (2 jobs): {REMEDY}",
        f"  {IDS[1]} [gen-1]  not ^[]0;allowed^G",
        f"  {IDS[2]}  not ^[]0;allowed^G",
        "blocked (1 job): `kling-render check` says what is wrong",
        f"  {IDS[5]}  the clip is too short ^[[31m",
        (
            "in doubt (1 job): perhaps paid, so never sent again before that is known; `kling-render pull` "
            "looks it up; worth looking again from 2026-08-01 13:00 UTC on"
        ),
        f"  {IDS[3]}  the connection broke",
        "needs you (1 job): nothing is sent again; `kling-render resolve JOB` says what is known and asks",
        f"  {IDS[4]}  only you can tell what became of it",
        "left running (1 job): `kling-render pull` brings the results; nothing is paid again",
        f"  {IDS[6]}  gen-sc6-fox-wave-t01  $0.448",
        "stopped: the next job costs $0.448, but only $0.10 is left",
        "exit 4: money needs a decision or a wait",
    ]


def test_a_run_with_nothing_to_do_says_so_in_one_line() -> None:
    """The commonest run has the shortest answer."""
    plan = plan_of(JOBS, done=frozenset(IDS))
    assert run_text(RunReport(), plan) == "everything is up to date: nothing was sent (8 jobs)\n"
    assert run_text(RunReport(), None) == "nothing to do: nothing was sent\n"


def test_jobs_the_run_had_no_work_with_count_for_the_exit_code() -> None:
    """A blocked job makes exit 3 and one that needs the user exit 4, even though nothing was run."""
    blocked = plan_of(JOBS, done=frozenset(IDS[1:]), blocked={IDS[0]: "x"})
    assert completed(RunReport(), blocked).exit_code == 3
    asked = plan_of(JOBS, done=frozenset(IDS[1:]), attempts={IDS[0]: State.NEEDS_USER})
    assert completed(RunReport(), asked).exit_code == 4
    assert run_document(RunReport(), asked)["exit_code"] == 4


def test_many_failures_are_counted_and_not_all_listed() -> None:
    """300 refusals do not push the money off the screen."""
    failure = Failure(kind="upstream", message="m", remedy="r")
    jobs = {f"j{n}": JobReport(job=f"j{n}", state=S.FAILED, failure=failure) for n in range(300)}
    lines = run_text(RunReport(jobs=jobs)).splitlines()
    assert len(lines) < 30
    assert "  … and 280 more" in lines


def valid(name: str, document: dict[str, Any]) -> dict[str, Any]:
    schema = load(f"{name}.schema.json")
    Draft202012Validator.check_schema(schema)
    parsed: dict[str, Any] = json.loads(json.dumps(document))
    Draft202012Validator(schema).validate(parsed)
    return parsed


def test_the_document_of_a_run_has_every_job_with_its_outcome_and_exact_money() -> None:
    """A program needs neither the plan nor the text: ids, states, bytes, money and errors are all there."""
    report, plan = mixed()
    document = valid("render", run_document(report, plan))
    jobs = {one["id"]: one for one in document["jobs"]}
    assert list(jobs) == IDS
    done, old = jobs[IDS[0]], jobs[IDS[7]]
    assert (done["usd"], done["sha256"], done["generation_id"]) == ("0.448", "c" * 64, "gen-0")
    assert done["output"] == "renders/takes/sc0/fox_wave_t01.mp4"
    assert (old["state"], old["usd"], old["result_usd"], old["sha256"]) == ("up-to-date", "0", "0.448", "b" * 64)
    assert jobs[IDS[1]]["error"] == {"class": "content-refused", "message": "not \x1b]0;allowed\x07", "remedy": REMEDY}
    assert document["totals"]["usd"] == "0.448"
    assert document["doubts"] == [{"attempt": "01JDOUBT", "look_at": "2026-08-01T13:00:00.000Z"}]
    assert document["left_running"][0]["held_usd"] == "0.448"
    assert document["exit_code"] == 4


def test_jobs_of_other_plans_are_in_the_document_too() -> None:
    """What was finished on the way was paid for: it is listed, with the absolute path."""
    stray = JobReport(job="old/x/y/t01", state=S.DONE, credits=None, sha256="d" * 64, output=Path("/p/old.mp4"))
    document = valid("render", run_document(RunReport(jobs={stray.job: stray}), None))
    assert document["jobs"][0]["output"] == "/p/old.mp4"
    assert document["jobs"][0]["usd"] is None


def test_schemas_describe_errors_of_the_input_as_the_plan_does() -> None:
    """Exit 2 prints one shape, whatever the command."""
    problem = {"code": "x", "message": "m", "file": None, "line": None, "column": None, "help": ""}
    plan_form = Draft202012Validator(load("plan.schema.json"))
    for name in ("render", "status"):
        form = Draft202012Validator(load(f"{name}.schema.json"))
        for errors in ([problem], []):
            planned = {"format": "kling-render.plan/1", "errors": errors}
            assert form.is_valid({**planned, "format": f"kling-render.{name}/1"}) == plan_form.is_valid(planned)


def test_schemas_describe_a_job_as_the_plan_does() -> None:
    """A field the plan gains cannot be forgotten in the other documents."""
    planned = load("plan.schema.json")["$defs"]["job"]["properties"]
    for name in ("render", "status"):
        described = load(f"{name}.schema.json")["$defs"]["job"]["properties"]
        assert {field: described.get(field) for field in planned if field != "output"} == {
            field: text for field, text in planned.items() if field != "output"
        }


def standing() -> Status:
    states = {IDS[0]: State.ACCEPTED, IDS[1]: State.REMOTE_FAILED, IDS[2]: State.IN_DOUBT, IDS[3]: State.PAID_LOST}
    plan = plan_of(JOBS, done=frozenset(IDS[4:]), attempts=states)
    mine = Money(name="this project", charged=4 * PRICE, held=2 * PRICE, in_doubt=PRICE)
    cap = Money(name="--max-usd", charged=0, held=PRICE, in_doubt=0, limit=credits_of(Decimal(5)))
    return Status(plan=plan, money=[mine, cap], now=1_090.0, typical_s=360.0)


def test_the_status_says_where_every_job_stands_and_what_the_money_does() -> None:
    """Counts, spent, held and left, failures with remedy, what runs and for how long still."""
    assert status_text(standing()).splitlines() == [
        "street-dance: 8 jobs, provider aimlapi",
        "  4  up to date",
        "  1  running",
        "  1  failed",
        "  1  in doubt",
        "  1  paid and lost",
        "",
        "this project: spent $1.792, held $0.896, in doubt $0.448",
        "--max-usd: spent $0.00, held $0.448, left $4.552 of $5.00",
        "",
        "failed, upstream (1 job): run `kling-render render` again; the failed generation was not charged",
        f"  {IDS[1]}  the model is overloaded",
        "",
        "running (1 job)",
        f"  {IDS[0]}  gen-sc0-fox-wave-t01  for 1:30  about 4:30 left  $0.448",
        "",
        "in doubt (1 job)",
        f"  {IDS[2]}  submitted with unknown outcome; looked up before anything is paid again",
        "",
        "paid and lost (1 job)",
        f"  {IDS[3]}  charged without an obtainable result",
    ]


def test_the_document_of_the_status_is_what_its_schema_says() -> None:
    """Times, money and errors of each job in one document."""
    document = valid("status", status_document(standing()))
    running, failed = document["jobs"][0], document["jobs"][1]
    assert (running["state"], running["eta_s"], running["since"]) == ("running", 270.0, "1970-01-01T00:16:40.000Z")
    assert failed["error"]["class"] == "upstream"
    assert document["money"][1]["left_usd"] == "4.552"
    assert document["states"] == {"up-to-date": 4, "running": 1, "failed": 1, "in-doubt": 1, "paid-lost": 1}


def test_the_status_tells_good_films_from_films_that_nobody_watched() -> None:
    """No warning about a film says something only when somebody looked; rehearsals are not watched."""
    status = replace(standing(), unwatched=frozenset(IDS[4:6]), warnings={IDS[6]: ["frozen at 1.0–3.0 s"]})
    jobs = {job["id"]: job for job in valid("status", status_document(status))["jobs"]}
    assert [jobs[name]["watched"] for name in IDS] == [False] * 6 + [True] * 2
    assert status_text(status).splitlines()[-4:] == [
        "",
        "to look at (1 job): something may be wrong with the film; nothing is paid again",
        f"  {IDS[6]}  frozen at 1.0–3.0 s",
        "not watched to their end yet (2 jobs): the next `render` or `pull` does that, for nothing",
    ]
    free = replace(status, plan=replace(status.plan, provider="previz"))
    assert "not watched" not in status_text(free)


def test_what_old_films_show_is_told_although_nothing_was_to_be_done() -> None:
    """A run that only watched what an earlier one had left."""
    job = JobReport(job=IDS[0], state=S.UP_TO_DATE, sha256="d" * 64, credits=0, warning="frozen at 1.0–3.0 s")
    assert run_text(RunReport(jobs={job.job: job})).splitlines() == [
        "everything is up to date: nothing was sent (1 job)",
        f"warning: {IDS[0]}: frozen at 1.0–3.0 s",
    ]


def test_an_unknown_price_leaves_no_known_room() -> None:
    """`left` is never guessed."""
    status = standing()
    unpriced = replace(status.money[1], unpriced=1)
    document = valid("status", status_document(replace(status, money=[unpriced])))
    assert document["money"][0]["left_usd"] is None
    assert "1 job at an unknown price" in status_text(replace(status, money=[unpriced]))


def tables(plan: Plan, width: int, *, encoding: str = "utf-8", verbose: bool = False) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding, write_through=True)
    print_plan(Console(file=file, width=width, force_terminal=True, color_system=None), plan, verbose)
    return raw.getvalue().decode(encoding)


def big() -> Plan:
    jobs = [
        job(f"sc{n // 9:03}_rooftop", ("fox", "guard-captain", "bear")[n % 3], f"wave-{n // 3 % 3}") for n in range(90)
    ]
    evil = {jobs[2].id: "[red]x[/red].j2 \x1b[31mdoes not exist"}
    stale = tuple(f"renders/old{n}.mp4" for n in range(30))
    return plan_of(jobs, attempts={jobs[0].id: State.ACCEPTED}, blocked=evil, stale=stale)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_the_plan_fits_the_terminal_and_says_what_the_plain_lines_say(width: int) -> None:
    """Tables and bars add no fact and lose none: the same counts, money and causes, within the width."""
    plan = big()
    shown = tables(plan, width)
    assert max(map(len, shown.splitlines())) <= width
    words, plain = " ".join(shown.split()), " ".join(plan_text(plan).split())
    facts = ("88", "to render", "to go on with", "about $39.424", "$0.112 per second", "no result yet", "88 jobs")
    assert [fact for fact in facts if fact not in words or fact not in plain] == []
    assert "[red]x[/red].j2 ^[[31mdoes not exist" in words
    assert "… and 50 more (-v lists them)" in shown


def test_verbose_lists_every_job_and_every_stale_output() -> None:
    """-v is the whole truth."""
    plan = big()
    shown = tables(plan, 120, verbose=True)
    assert all(planned.job.id in shown for planned in plan.jobs)
    assert all(path in shown for path in plan.stale_outputs)
    assert "more" not in shown


def test_the_plan_shows_on_an_ascii_terminal_and_without_prices() -> None:
    """No character the terminal lacks; an unknown price is `$?` and the bars count jobs."""
    shown = tables(plan_of(JOBS, priced=False), 80, encoding="ascii")
    assert "about $?" in shown
    assert "> to render" in shown


def test_the_summary_needs_no_terminal_library() -> None:
    """A run with nothing to do pays for no tables: rich is not imported."""
    code = "import sys, kling_render.cli.summary, kling_render.cli.status_table, kling_render.cli.progress_plain, "
    code += (
        "kling_render.cli.events; sys.exit(any(m.split('.')[0] in ('rich', 'httpx', 'jinja2') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
