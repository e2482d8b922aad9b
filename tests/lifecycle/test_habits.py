"""What the account's log was seen to do, told from the store's own paid jobs."""

from __future__ import annotations

from kling_render.lifecycle.habits import LogHabits, log_habits, running_fact
from tests.lifecycle.build import SENT, attempt, row

NOW = SENT + 1000


def test_a_log_that_lists_every_job_by_its_name_is_not_behind() -> None:
    """Nothing is missing, so nothing is late."""
    jobs = [attempt(generation_id=name, accepted_at=SENT) for name in ("gen1", "gen2")]
    rows = [row(inference_id="gen1"), row(inference_id="gen2"), row(inference_id="another's")]
    assert log_habits(jobs, rows, NOW) == LogHabits(jobs=2, listed=2, named=2, behind_s=None)


def test_a_job_that_is_not_listed_tells_how_far_the_log_is_behind() -> None:
    """At least since the oldest of them; one whose acceptance has no time tells nothing."""
    ids = {"gen1": SENT, "gen2": SENT + 400, "gen3": SENT + 900, "gen4": None}
    jobs = [attempt(generation_id=name, accepted_at=at) for name, at in ids.items()]
    assert log_habits(jobs, [row(inference_id="gen1")], NOW) == LogHabits(jobs=4, listed=1, named=1, behind_s=600)


def test_a_row_under_another_name_is_listed_but_not_named() -> None:
    """Then a lost answer could not be found by the id that was sent with it."""
    rows = [row(client_request_id=None)]
    assert log_habits([attempt(generation_id="gen1")], rows, NOW) == LogHabits(jobs=1, listed=1, named=0, behind_s=None)


def test_what_is_learnt_is_learnt_of_one_account_in_one_namespace() -> None:
    """The habits of the sandbox's log say nothing about the API's."""
    names = {running_fact(namespace, account) for namespace in ("sandbox", "api") for account in ("a", "b")}
    assert len(names) == 4
