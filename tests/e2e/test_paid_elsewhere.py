"""What the same account paid for on another machine is found in its log, not paid again."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e.harness import Studio


@pytest.fixture(autouse=True)
def without_lock_file(studio: Studio) -> None:
    """What is tried here is the log: a lock file would bring the same results without it."""
    studio.env["KLING_RENDER_LOCK_FILE"] = "false"


def test_a_lost_store_costs_nothing(studio: Studio) -> None:
    """With the store deleted, a render finds every paid result in the account's log and sends nothing."""
    assert studio.render().code == 0
    sent = studio.accepted()
    shutil.rmtree(studio.store)
    shutil.rmtree(studio.project / "renders")
    ended = studio.render()
    assert ended.code == 0, ended.text
    assert "paid for before" in ended.text
    assert studio.accepted() == sent
    assert len(studio.videos()) == 4


def test_only_what_is_missing_is_paid(studio: Studio) -> None:
    """A fresh machine with a longer list pays for what is new, and for nothing else."""
    assert studio.render("sc010/fox").code == 0
    shutil.rmtree(studio.store)
    ended = studio.render()
    assert ended.code == 0, ended.text
    assert studio.accepted() == 2


def test_a_refusal_that_the_log_contradicts_is_not_paid_again(studio: Studio) -> None:
    """A proxy may answer 400 for what the server accepted: `retry` finds it in the log and fetches it."""
    studio.sandbox.faults("submit:status-after,status=400,nth=1")
    assert studio.render("sc010/fox").code == 3
    ended = studio.run("retry", "--yes", "--max-usd", "5")
    assert ended.code == 0, ended.text
    assert studio.accepted() == 1


def test_another_account_proves_nothing(studio: Studio) -> None:
    """The log of another key does not list our requests: that account pays for itself."""
    assert studio.render().code == 0
    shutil.rmtree(studio.store)
    studio.key = "another-key"
    assert studio.render().code == 0
    assert studio.accepted() == 4


def test_nothing_new_is_paid_while_the_log_cannot_be_read(studio: Studio) -> None:
    """Nobody knows what the account paid for elsewhere: exit 4 and a reason; `--without-log` is the user's word."""
    studio.sandbox.faults("log:status,status=503,every=1")
    ended = studio.render("--json")
    assert ended.code == 4, ended.text
    assert [stop["why"] for stop in ended.json["stops"]] == ["unread-log"]
    assert "cannot be found now" in ended.text
    assert studio.accepted() == 0
    assert studio.render("--without-log").code == 0
    assert studio.accepted() == 2


def test_a_balance_that_covers_no_job_stops_before_anything_is_sent(studio: Studio) -> None:
    """Exit 6 with the figures; after a top-up the same command works."""
    studio.sandbox.config(balance_usd="0.01")
    ended = studio.render()
    assert ended.code == 6, ended.text
    assert "the account has $0.01 left" in ended.text
    assert studio.book()["submits"] == []
    studio.sandbox.config(balance_usd="10")
    assert studio.render().code == 0


def test_the_log_is_not_read_when_nothing_is_to_be_paid(studio: Studio) -> None:
    """A run without new jobs asks the server for nothing."""
    assert studio.render().code == 0
    before = studio.sandbox.books()["requests"]
    assert studio.render().code == 0
    assert studio.sandbox.books()["requests"] == before
