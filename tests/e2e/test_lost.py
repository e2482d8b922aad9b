"""A machine that lost everything: the account's log and charges bring back what was paid for, and nothing is sent."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e.harness import Studio, paid_once, valid


@pytest.fixture(autouse=True)
def without_lock_file(studio: Studio) -> None:
    """What is tried here is the log: a lock file would bring the same results without it."""
    studio.env["KLING_RENDER_LOCK_FILE"] = "false"


def lose_everything(studio: Studio) -> None:
    """The store, the output tree and the lock file are gone."""
    shutil.rmtree(studio.store)
    (studio.project / "shotlist.lock.json").unlink(missing_ok=True)
    shutil.rmtree(studio.project / "renders", ignore_errors=True)


def test_a_lost_store_and_tree_come_back_by_pull_alone(studio: Studio) -> None:
    """Every result is adopted for its job, downloaded and published, and said with its cost; then nothing is lost."""
    assert studio.render().code == 0
    before = studio.videos()
    lose_everything(studio)
    pulled = studio.run("pull", "--lost")
    assert pulled.code == 0, pulled.text
    assert studio.videos() == before
    assert "read 2 requests and 2 charges of the last 92 days" in pulled.out
    assert "found 2 paid generations that the store did not hold ($0.672)" in pulled.out
    again = studio.run("pull", "--lost", "--json")
    assert (again.code, again.json["lost"]["adopted"]) == (0, []), again.text
    valid(again.json, "pull")
    assert len(studio.book()["submits"]) == 2
    paid_once(studio.book())
    assert "up to date" in studio.render().out


def test_without_the_shot_list_the_results_are_kept_and_given_to_their_jobs_later(studio: Studio) -> None:
    """Only the beginning of the fingerprint is known; the bytes wait in the store for the list that wants them."""
    assert studio.render().code == 0
    before = studio.videos()
    lose_everything(studio)
    list_text = (studio.project / "shotlist.yaml").read_text()
    (studio.project / "shotlist.yaml").unlink()
    pulled = studio.run("pull", "--lost")
    assert pulled.code == 0, pulled.text
    assert "2 results of no known job: kept in the store" in pulled.out
    assert studio.run("pull", "--lost").out.count("nothing is lost") == 1
    (studio.project / "shotlist.yaml").write_text(list_text.replace("on a roof", "in a park"))
    status = studio.run("status", "--json").json
    valid(status, "status")
    assert [(one["state"], one["usd"]) for one in status["unattached"]] == [("done", "0.336")] * 2
    assert "kept for no known job: 2 paid results ($0.672)" in studio.run("status").out
    (studio.project / "shotlist.yaml").write_text(list_text)
    rendered = studio.render()
    assert (rendered.code, studio.videos()) == (0, before), rendered.text
    assert len(studio.book()["submits"]) == 2


def test_late_rows_are_found_by_the_next_walk_and_failed_ones_never(studio: Studio) -> None:
    """A row that the log does not show yet is no loss; a generation that failed is none either."""
    studio.sandbox.faults("generation:log-late,seconds=100,nth=1", "generation:upstream,nth=2")
    assert studio.render(KLING_RENDER_RETRIES="0").code == 3
    lose_everything(studio)
    first = studio.run("pull", "--lost", "--json")
    assert (first.code, first.json["lost"]["adopted"]) == (0, []), first.text
    studio.sandbox.advance(200)
    second = studio.run("pull", "--lost", "--days", "1", "--json").json
    assert [one["state"] for one in second["lost"]["adopted"]] == ["done"]
    assert len(studio.videos()) == 2


def test_a_log_that_is_down_is_exit_4_and_changes_nothing(studio: Studio) -> None:
    """The message says what cannot be read; no guess is made."""
    assert studio.render().code == 0
    lose_everything(studio)
    studio.sandbox.faults("log:status,status=503")
    ended = studio.run("pull", "--lost")
    assert ended.code == 4, ended.text
    assert "request log cannot be read" in ended.err
    studio.sandbox.faults("billing:status,status=401")
    assert studio.run("pull", "--lost").code == 6
    studio.sandbox.faults()
    assert studio.run("pull", "--lost", AIMLAPI_KEY="").code == 6
    assert studio.videos() == {}


def test_charges_that_cannot_be_read_do_not_keep_results_away(studio: Studio) -> None:
    """The log alone is enough to bring everything home; the polls tell the cost."""
    assert studio.render("sc010/fox").code == 0
    lose_everything(studio)
    studio.sandbox.faults("billing:status,status=503,nth=2+3+4+5+6+7+8+9")
    ended = studio.run("pull", "--lost")
    assert (ended.code, len(studio.videos())) == (0, 2), ended.text
    assert "charges cannot be read" in ended.err


def test_days_out_of_place_are_exit_2(studio: Studio) -> None:
    """92 days is what the account's log covers."""
    assert studio.run("pull", "--days", "3").code == 2
    assert studio.run("pull", "--lost", "--days", "93").code == 2


def test_what_was_charged_for_a_request_in_doubt_is_settled(studio: Studio) -> None:
    """The doubt is in the store; the walk finds the request and brings it home as the same attempt."""
    studio.sandbox.faults("submit:lost,nth=1", "generation:log-late,seconds=100,nth=1")
    assert studio.render("sc010/fox").code == 4
    studio.sandbox.advance(200)
    ended = studio.run("pull", "--lost")
    assert (ended.code, len(studio.videos())) == (0, 2), ended.text
    assert studio.accepted() == 1
