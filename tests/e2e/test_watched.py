"""Claim: every result is watched to its end sooner or later, and what is wrong with it is never paid for again."""

from __future__ import annotations

from tests.e2e.harness import Studio, paid_once, valid


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
