"""A saved plan is applied exactly, or refused with every difference; a pilot shows everything once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import PAY, Studio, paid_once, valid

PLAN = "friday.plan.json"


def saved(studio: Studio, *words: str) -> dict[str, Any]:
    """Save a plan; what stands in it."""
    ended = studio.run("plan", "-o", PLAN, *words)
    assert ended.code == 0, ended.text
    return dict(json.loads((studio.project / PLAN).read_text()))


def applied(studio: Studio, *words: str, **extra: str):  # type: ignore[no-untyped-def] # what the harness returns
    return studio.run("render", "--plan", PLAN, "--yes", *words, **extra)


def refusals(studio: Studio) -> list[dict[str, Any]]:
    """The errors of an application that is refused; nothing was sent."""
    ended = applied(studio, "--json")
    assert ended.code == 2, ended.text
    assert studio.accepted() == 0
    valid(ended.json, "render")
    return list(ended.json["errors"])


def matrix(studio: Studio, **changes: Any) -> None:
    """Two characters in three places: six cells, a pilot of three."""
    shot = {"id": "sc010", "prompt": "on {{ place }}", "matrix": {"place": ["roof", "street", "dock"]}}
    studio.write_list(shots=[shot], **changes)


def test_a_saved_plan_is_applied_exactly_and_the_second_time_does_nothing(studio: Studio) -> None:
    """Its ceiling is a cap, so --yes is enough in a pipe; what stands beside the plan is not touched."""
    document = saved(studio, "character:fox")
    valid(document, "saved-plan")
    (job,) = document["jobs"]
    assert (job["id"], job["output"]) == ("sc010/fox/wave/t01", "renders/takes/sc010/fox/wave_t01.mp4")
    assert float(document["ceiling_usd"]) == pytest.approx(0.336)
    assert str(studio.folder) not in json.dumps(document)
    first = applied(studio)
    assert (first.code, studio.accepted()) == (0, 1), first.text
    before = studio.videos()
    assert set(before) == {"sc010/fox/wave.mp4", "takes/sc010/fox/wave_t01.mp4"}
    second = applied(studio)
    assert (second.code, studio.accepted(), studio.videos()) == (0, 1, before), second.text
    assert "up to date" in second.out
    paid_once(studio.book())


def test_what_was_done_meanwhile_counts_as_done(studio: Studio) -> None:
    """Half of a plan was rendered by hand; applying it renders the other half."""
    saved(studio)
    assert studio.render("character:cat").code == 0
    ended = applied(studio)
    assert (ended.code, studio.accepted()) == (0, 2), ended.text


def test_every_difference_is_listed_and_nothing_is_sent(studio: Studio) -> None:
    """An edited prompt, another picture, a job that came and one that went, a new output path."""
    saved(studio)
    (studio.project / "fox.png").write_bytes((studio.project / "cat.png").read_bytes())
    studio.write_list(
        shots=[
            {"id": "sc010", "prompt": "on a boat", "characters": ["fox"]},
            {"id": "sc020", "prompt": "new", "characters": ["fox"]},
        ],
        output={"dir": "out"},
    )
    errors = refusals(studio)
    said = [(error["message"].split(" → ")[0].rsplit(": ", 1)[0], error["line"]) for error in errors[1:]]
    assert {what for what, _ in said} == {
        "sc010/fox/wave/t01: image",
        "sc010/fox/wave/t01: prompt",
        "sc010/fox/wave/t01: output",
        "sc010/fox/wave/t01: final",
        "sc010/cat/wave/t01: job",
        "sc020/fox/wave/t01: job",
    }
    assert "6 differences" in errors[0]["message"]
    lines = (studio.project / "shotlist.yaml").read_text().splitlines()
    prompt = next(error for error in errors if ": prompt:" in error["message"])
    assert "on a boat" in lines[prompt["line"] - 1]
    shown = applied(studio)
    assert (shown.code, "shotlist.yaml:" in shown.err, studio.accepted()) == (2, True, 0)


def test_a_risen_price_is_refused_unless_it_is_tolerated(studio: Studio) -> None:
    """By default not a cent more than was agreed to."""
    saved(studio, "character:fox")
    studio.sandbox.config(price_per_s="0.12")
    errors = refusals(studio)
    assert [error["message"] for error in errors[1:]] == ["sc010/fox/wave/t01: price: $0.336 → $0.36"]
    ended = applied(studio, "--max-usd", "5", KLING_RENDER_PRICE_TOLERANCE="0.1")
    assert (ended.code, studio.accepted()) == (5, 0), ended.text  # the ceiling holds all the same


def test_the_lower_of_ceiling_and_max_usd_counts(studio: Studio) -> None:
    """A plan never widens what the command line says."""
    saved(studio)
    ended = applied(studio, "--max-usd", "0.4")
    assert (ended.code, studio.accepted()) == (5, 1), ended.text


def test_a_plan_that_was_tampered_with_is_refused(studio: Studio) -> None:
    """A higher ceiling would be a cap that nobody agreed to."""
    saved(studio)
    path = studio.project / PLAN
    path.write_text(path.read_text().replace('"ceiling_usd": "', '"ceiling_usd": "9'))
    (error,) = refusals(studio)
    assert (error["code"], "digest" in error["message"]) == ("saved-plan", True)


def test_consent_is_still_needed_and_a_selection_beside_it_is_wrong(studio: Studio) -> None:
    """A cap is no consent; a plan says itself what is rendered."""
    saved(studio)
    assert studio.run("render", "--plan", PLAN).code == 5
    assert studio.run("render", "sc010", "--plan", PLAN, "--yes").code == 2
    assert studio.run("render", "--pilot", "--plan", PLAN, "--yes").code == 2
    assert studio.run("render", "--plan", "gone.json", "--yes").code == 2
    assert studio.accepted() == 0


def test_saving_never_overwrites_another_file(studio: Studio) -> None:
    """Only an earlier saved plan is replaced."""
    listed = (studio.project / "shotlist.yaml").read_bytes()
    assert studio.run("plan", "-o", "shotlist.yaml").code == 2
    assert (studio.project / "shotlist.yaml").read_bytes() == listed
    saved(studio, "character:fox")
    assert len(saved(studio)["jobs"]) == 2
    assert studio.run("plan", "-o", "no/such/folder.json").code == 2
    assert [name for name in os.listdir(studio.project) if name.startswith(".kling")] == []


def test_what_one_edit_did_to_many_jobs_is_shown_once(studio: Studio) -> None:
    """One place, one snippet, with a few of the jobs."""
    matrix(studio)
    saved(studio)
    studio.write_list(
        shots=[{"id": "sc010", "prompt": "in {{ place }}", "matrix": {"place": ["roof", "street", "dock"]}}]
    )
    whole, *errors = refusals(studio)
    assert "6 differences in 6 jobs" in whole["message"]
    (error,) = errors
    assert error["message"].startswith("prompt of 6 jobs is another one (sc010/")
    assert "and 3 more)" in error["message"]


def test_a_plan_goes_through_a_pipe_and_wrong_paths_say_what_to_do(studio: Studio) -> None:
    """`-o -` writes the plan alone to stdout, `--plan -` reads it; folders and missing ones are named."""
    piped = studio.run("plan", "character:fox", "-o", "-")
    assert piped.code == 0, piped.text
    valid(piped.json, "saved-plan")
    assert "to render" in piped.err
    assert not (studio.project / "-").exists()
    ended = studio.run("render", "--plan", "-", "--yes", stdin=piped.out.encode())
    assert (ended.code, studio.accepted()) == (0, 1), ended.text
    for words, said in (
        (("plan", "-o", "-", "--json"), "both want standard output"),
        (("plan", "-o", "."), "it is a folder"),
        (("plan", "-o", "no/such/folder.json"), "make that folder first"),
        (("render", "--plan", ".", "--yes"), "it is a folder"),
        (("render", "--plan", "nope.json", "--yes"), "no such file"),
        (("render", "--plan", "-", "--yes"), "not a saved plan"),
        (("plan", "tag:hero"), "no job here has a tag"),
        (("plan", "picked"), "no take of this project is picked"),
        (("status", "stale"), "no job is stale"),
    ):
        refused = studio.run(*words)
        assert (refused.code, said in refused.text) == (2, True), refused.text


def test_an_unknown_price_makes_no_cap(studio: Studio) -> None:
    """Then a cap has to come from the command line."""
    studio.sandbox.config(price_kind="variable")
    assert saved(studio, "character:fox")["ceiling_usd"] is None
    assert applied(studio).code == 5


def test_a_pilot_renders_the_fewest_cells_that_show_everything(studio: Studio) -> None:
    """Three of six cells; a second pilot renders nothing; before the first payment it is suggested."""
    matrix(studio)
    refused = studio.run("render")
    assert "--pilot renders 3 jobs" in refused.err
    assert studio.run("plan", "--pilot", "--json").json["totals"]["render"] == 3
    ended = studio.render("--pilot")
    assert (ended.code, studio.accepted()) == (0, 3), ended.text
    shown = {(one["character"], one["values"]["place"]) for one in studio.run("plan", "--pilot", "--json").json["jobs"]}
    assert ({c for c, _ in shown}, {p for _, p in shown}) == ({"fox", "cat"}, {"roof", "street", "dock"})
    again = studio.render("--pilot")
    assert (again.code, studio.accepted()) == (0, 3)
    assert "--pilot renders" not in studio.run("render").err
    assert studio.run("plan", "character:fox", "--pilot", "--json").json["totals"]["jobs"] == 3


def test_a_pilot_can_be_saved_and_applied(studio: Studio) -> None:
    """The jobs that it leaves out are no difference."""
    matrix(studio)
    assert len(saved(studio, "--pilot")["jobs"]) == 3
    ended = applied(studio)
    assert (ended.code, studio.accepted()) == (0, 3), ended.text


def test_jobs_that_share_a_request_are_saved_together_and_paid_once(studio: Studio) -> None:
    """Both cells get the result."""
    studio.write_list(shots=[{"id": shot, "prompt": "same", "characters": ["fox"]} for shot in ("sc010", "sc020")])
    document = saved(studio)
    assert [job["shares"] for job in document["jobs"]] == [False, True]
    ended = applied(studio)
    assert (ended.code, studio.accepted(), len(studio.videos())) == (0, 1, 4), ended.text


def test_facets_intersect_and_their_values_unite_in_every_command(studio: Studio) -> None:
    """`plan`, `status`, `pull`, `render` and `retry` take the same selection for the same jobs."""
    matrix(studio)
    select = ("character:fox", "place:roof", "place:dock", "sc010")
    wanted = ["sc010/fox/wave/roof/t01", "sc010/fox/wave/dock/t01"]
    for command in ("plan", "status"):
        assert [job["id"] for job in studio.run(command, *select, "--json").json["jobs"]] == wanted
    assert studio.render(*select, "--detach").code == 0
    pulled = studio.run("pull", "character:fox", "place:roof", "--json")
    assert {job["id"] for job in pulled.json["jobs"]} >= {wanted[0]}
    assert studio.run("pull", "--json").code == 0
    assert [job["id"] for job in studio.render(*select, "--json").json["jobs"]] == wanted
    for command in ("plan", "status", "pull", "render", "retry"):
        words = PAY if command in ("render", "retry") else ()
        refused = studio.run(command, "character:fox", "place:nowhere", *words)
        assert (refused.code, "place: has here" in refused.err) == (2, True), refused.text


def test_stop_after_leaves_with_work_left(studio: Studio) -> None:
    """Nothing is submitted once the time is over; exit 10."""
    ended = studio.render("--stop-after", "0s")
    assert (ended.code, studio.accepted()) == (10, 0), ended.text


def test_stop_after_in_the_middle_lists_what_runs_and_the_next_run_brings_it_home(studio: Studio) -> None:
    """One job is submitted and runs, the other waits: exit 10. Nothing is paid a second time."""
    studio.sandbox.faults("poll:status,status=503")
    ended = studio.render("--stop-after", "4s", "-j", "1", "--json")
    assert (ended.code, studio.accepted()) == (10, 1), ended.text
    valid(ended.json, "render")
    (left,) = ended.json["left_running"]
    (generation,) = studio.book()["generations"]
    assert left["generation_id"] == generation["id"]
    assert sorted(job["state"] for job in ended.json["jobs"]) == ["running", "waiting"]
    assert [stop["why"] for stop in ended.json["stops"]] == ["deadline"]
    studio.sandbox.faults()
    again = studio.render()
    assert (again.code, studio.accepted(), len(studio.videos())) == (0, 2, 4), again.text
    paid_once(studio.book())


def test_a_free_plan_is_saved_and_applied_too(studio: Studio) -> None:
    """Rehearsals have no ceiling to hold."""
    document = saved(studio, "--provider", "previz")
    assert document["ceiling_usd"] == "0"
    ended = studio.run("render", "--plan", PLAN, "--provider", "previz")
    assert (ended.code, len(studio.videos("renders.previz"))) == (0, 4), ended.text
    assert applied(studio).code == 2  # made for another provider
    assert Path(studio.project / PLAN).is_file()
