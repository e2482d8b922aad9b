"""`doctor` says what the account's log can do, from the account's own paid jobs."""

from __future__ import annotations

import pytest

from tests.e2e.harness import Studio


def _log(studio: Studio) -> tuple[str, str]:
    ended = studio.run("doctor", "--json")
    assert ended.code == 0, ended.text
    return next((found["state"], found["text"]) for found in ended.json["findings"] if found["what"] == "log")


@pytest.mark.parametrize(
    ("fault", "state", "text"),
    [
        ("", "ok", "lists 2 of our 2 jobs of 7 days, 2 by the id we sent"),
        ("generation:log-anonymous,nth=1", "warning", "lists 2 of our 2 jobs of 7 days, 1 by the id we sent"),
        ("generation:log-missing,nth=1", "ok", "is not listed yet"),
    ],
)
def test_the_logs_habits_are_held_against_what_was_paid(studio: Studio, fault: str, state: str, text: str) -> None:
    """How many jobs are listed, whether by their id, and how far the log is behind."""
    studio.sandbox.faults(*filter(None, [fault]))
    assert studio.render().code == 0
    found = _log(studio)
    assert found[0] == state
    assert text in found[1]


def test_a_log_that_cannot_be_read_is_a_warning(studio: Studio) -> None:
    """Because nothing new is paid then."""
    studio.sandbox.faults("log:status,status=503")
    assert _log(studio)[0] == "warning"
