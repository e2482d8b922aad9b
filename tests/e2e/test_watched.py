"""Claim: every result is watched to its end sooner or later, and what is wrong with it is never paid for again."""

from __future__ import annotations

import json

from tests.e2e.harness import PAY, Studio, paid_once, valid
from tests.media.films import film


def test_results_that_a_killed_run_left_unwatched_are_watched_by_the_next_one(studio: Studio) -> None:
    """Also when there is nothing else to do, and also when only the cache was lost; `status` says what nobody saw."""
    assert studio.render().code == 0
    before = (studio.project / "renders" / "index.json").read_bytes()
    for name in ("cache.sqlite3", "cache.sqlite3-journal"):
        (studio.store / name).unlink(missing_ok=True)
    status = studio.run("status", "--json")
    valid(status.json, "status")
    assert {job["watched"] for job in status.json["jobs"]} == {False}
    assert "not watched to their end yet (2 jobs)" in studio.run("status").out
    again = studio.render()
    assert (again.code, again.out.splitlines()[0]) == (0, "everything is up to date: nothing was sent (2 jobs)")
    assert {job["watched"] for job in studio.run("status", "--json").json["jobs"]} == {True}
    assert (studio.project / "renders" / "index.json").read_bytes() == before
    paid_once(studio.book())


def test_a_pull_that_finds_something_wrong_with_an_old_film_says_so_and_fails_nothing(studio: Studio) -> None:
    """The film stands still where its clip moves; with events on standard output nothing else is on it."""
    still = film(studio.folder / "still.mp4", [("still", 4)], size=(344, 344), fps=12)
    film(studio.project / "wave.mp4", [("moving", 4)], size=(344, 344), fps=12)
    assert studio.run("render", "sc010/fox/*", *PAY).code == 0
    (job,) = [job for job in studio.run("status", "--json").json["jobs"] if job["sha256"]]
    assert studio.run("adopt", "sc010/cat/wave/t01", str(still)).code == 0
    (studio.store / "cache.sqlite3").unlink()
    pulled = studio.run("pull", "--events", "-")
    lines = [json.loads(line) for line in pulled.out.splitlines()]
    assert (pulled.code, [line["event"] for line in lines]) == (0, ["look", "end"]), pulled.text
    (said,) = lines[0]["warnings"]
    assert (lines[0]["job"], said.partition(" ")[0]) == ("sc010/cat/wave/t01", "frozen")
    assert "nothing to pull" in pulled.err
    assert f"warning: sc010/cat/wave/t01: {said}" in pulled.err
    assert job["watched"]
    paid_once(studio.book())
