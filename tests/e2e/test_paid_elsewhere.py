"""What the same account paid for on another machine is found in its log, not paid again."""

from __future__ import annotations

import shutil

from tests.e2e.harness import Studio


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


def test_an_unreadable_log_is_said_and_adopts_nothing(studio: Studio) -> None:
    """Without the log the run says what it cannot know."""
    studio.sandbox.faults("log:status,status=503,every=1")
    ended = studio.render()
    assert ended.code == 0, ended.text
    assert "cannot be found now" in ended.text


def test_the_log_is_not_read_when_nothing_is_to_be_paid(studio: Studio) -> None:
    """A run without new jobs asks the server for nothing."""
    assert studio.render().code == 0
    before = studio.sandbox.books()["requests"]
    assert studio.render().code == 0
    assert studio.sandbox.books()["requests"] == before
