"""What the server and the network do wrong, seen from the command line: nothing is paid twice, nothing paid is lost."""

from __future__ import annotations

import pytest

from tests.e2e.harness import Studio, paid_once

LOST = {
    "the answer was lost": "submit:lost,nth=1",
    "the connection was reset": "submit:lost,nth=1,reset=true",
    "500 after acceptance": "submit:status-after,status=500,nth=1",
    "502 page after acceptance": "submit:status-after,status=502,html=true,nth=1",
    "504 without the header": "submit:status-after,status=504,inference_id=false,nth=1",
    "408 after acceptance": "submit:status-after,status=408,nth=1",
    "an answer without an id": "submit:no-id,nth=1",
    "a page with status 200": "submit:html,nth=1",
    "an answer that was cut": "submit:cut,bytes=4,nth=1,inference_id=false",
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
def test_a_doubt_is_found_again_in_the_same_run_and_never_sent_twice(studio: Studio, fault: str) -> None:
    """The account's log, or the header's id, says what became of the request."""
    studio.sandbox.faults(fault)
    ended = studio.render()
    assert ended.code == 0, ended.text
    books = studio.book()
    assert (len(books["submits"]), len(books["generations"]), len(studio.videos())) == (2, 2, 4)
    paid_once(books)


def test_a_doubt_that_cannot_be_settled_yet_ends_with_4_and_is_adopted_later(studio: Studio) -> None:
    """While the log is silent nobody pays again; once it speaks the result is fetched for nothing."""
    studio.sandbox.faults("submit:lost,nth=1", "generation:log-late,seconds=100,nth=1")
    first = studio.render()
    assert first.code == 4, first.text
    assert "in doubt (1 job)" in first.out
    again = studio.render()
    assert (again.code, studio.accepted()) == (4, 2), again.text
    studio.sandbox.advance(200)
    pulled = studio.run("pull")
    assert (pulled.code, len(studio.videos())) == (0, 4), pulled.text
    paid_once(studio.book())


def test_a_request_that_never_arrived_is_sent_again_only_when_its_absence_is_proved(studio: Studio) -> None:
    """The connection broke after the last byte and nothing was accepted: proof by the log, then one new attempt."""
    studio.write_list(characters={"fox": {"image": "fox.png"}})
    studio.sandbox.faults("submit:drop,nth=1")
    first = studio.render(KLING_RENDER_ABSENCE_SECONDS="0.12")
    assert first.code == 4, first.text
    waited = studio.render("--wait-doubts", KLING_RENDER_ABSENCE_SECONDS="0.12")
    assert waited.code == 0, waited.text
    assert studio.accepted() == 1
    paid_once(studio.book())


def test_a_log_that_does_not_answer_proves_nothing(studio: Studio) -> None:
    """Without the log the doubt stays, however often it is looked at."""
    studio.sandbox.faults("submit:lost,nth=1,inference_id=false", "log:status,status=503,nth=2+3+4+5")
    ended = studio.render(KLING_RENDER_ABSENCE_SECONDS="0.12")
    assert ended.code == 4, ended.text
    assert studio.render(KLING_RENDER_ABSENCE_SECONDS="0.12").code == 4
    assert studio.accepted() == 2
    studio.sandbox.faults()
    assert studio.run("pull").code == 0
    paid_once(studio.book())


def test_a_refused_key_stops_everything_with_one_message(studio: Studio) -> None:
    """401: exit 6, one message, no failure per job."""
    studio.sandbox.config(keys=["another-key"])
    ended = studio.render("-j", "1")
    assert ended.code == 6, ended.text
    assert studio.book()["submits"] == []
    assert ended.out.count("HTTP 401") == 1
    assert "failed" not in ended.out


def test_a_key_refused_only_at_the_submit_stops_submitting(studio: Studio) -> None:
    """401 for the first request: no second one is tried, and with the key fixed no flag is needed."""
    studio.sandbox.faults("submit:status,status=401")
    ended = studio.render("-j", "1")
    assert ended.code == 6, ended.text
    assert len(studio.book()["submits"]) == 1
    studio.sandbox.faults()
    assert studio.render().code == 0


def test_an_account_without_credits_stops_submitting_and_finishes_what_runs(studio: Studio) -> None:
    """403 after the first job: the first is fetched, the second stays planned."""
    studio.sandbox.config(balance_usd="0.5")
    ended = studio.render("-j", "1")
    assert ended.code == 6, ended.text
    assert (studio.accepted(), len(studio.videos())) == (1, 2)
    assert "1 waiting" in ended.out


def test_a_rate_limit_slows_down_and_loses_nothing(studio: Studio) -> None:
    """429 with Retry-After: the wait is kept, each job is paid once."""
    studio.sandbox.faults("submit:status,status=429,retry_after=1,nth=1")
    ended = studio.render()
    assert ended.code == 0, ended.text
    submits = studio.book()["submits"]
    assert len(submits) == 3
    refused = next(sent for sent in submits if sent["status"] == 429)
    last = max(sent["at"] for sent in submits)
    assert last - refused["at"] >= 0.9
    paid_once(studio.book())


def test_refused_content_is_not_sent_again(studio: Studio) -> None:
    """The failed job says why, exit 3; the next render holds it back instead of paying for the same answer."""
    studio.sandbox.faults("generation:refusal,nth=1")
    first = studio.render("-j", "1")
    assert first.code == 3, first.text
    assert "content-refused" in first.out
    assert len(studio.videos()) == 2
    again = studio.render()
    assert (again.code, studio.accepted()) == (3, 2), again.text


def test_a_transient_failure_is_rendered_again_up_to_twice(studio: Studio) -> None:
    """Two failures and a success are a success; three failures are a failure, and nothing of it is charged."""
    studio.write_list(characters={"fox": {"image": "fox.png"}})
    studio.sandbox.faults("generation:upstream,times=2")
    assert studio.render().code == 0
    assert studio.accepted() == 3
    assert len(studio.book()["charges"]) == 1
    studio.write_list(characters={"cat": {"image": "cat.png"}})
    studio.sandbox.faults()
    studio.sandbox.faults("generation:upstream")
    failed = studio.render()
    assert (failed.code, studio.accepted()) == (3, 6), failed.text
    assert len(studio.book()["charges"]) == 1


def test_an_expired_link_is_asked_for_again(studio: Studio) -> None:
    """A link that ran out costs a poll, not a render."""
    studio.sandbox.faults("cdn:expired,times=2")
    assert studio.render().code == 0
    assert (len(studio.videos()), studio.accepted()) == (4, 2)
    paid_once(studio.book())


def test_a_spoilt_download_is_repeated_and_never_published(studio: Studio) -> None:
    """Cut, damaged, a page, no answer: what stands under a final name is whole."""
    kinds = ("cut,bytes=900", "corrupt", "html", "drop")
    studio.sandbox.faults(*[f"cdn:{kind},nth={at}" for at, kind in enumerate(kinds, 1)])
    ended = studio.render()
    assert ended.code == 0, ended.text
    sizes = {len(data) for data in studio.videos().values()}
    assert min(sizes) > 2000
    assert all(data[4:8] == b"ftyp" for data in studio.videos().values())
    paid_once(studio.book())


def test_polls_that_fail_or_report_odd_things_end_well(studio: Studio) -> None:
    """5xx, a page, a missing link, another's id and an unknown status are no end of a generation."""
    kinds = ("status,status=502", "html", "no-url", "wrong-id", "waiting", "drop")
    studio.sandbox.faults(*[f"poll:{kind},nth={at}" for at, kind in enumerate(kinds, 1)])
    assert studio.render().code == 0
    assert (len(studio.videos()), studio.accepted()) == (4, 2)


def test_a_cap_ends_with_5_and_what_runs_is_finished(studio: Studio) -> None:
    """One of two jobs fits: it is delivered, the other stays planned and is not a failure."""
    ended = studio.run("render", "--yes", "--max-usd", "0.5")
    assert ended.code == 5, ended.text
    assert (studio.accepted(), len(studio.videos())) == (1, 2)
    assert "1 waiting" in ended.out
    assert studio.render().code == 0
    paid_once(studio.book())


def test_an_unknown_price_under_a_cap_submits_nothing(studio: Studio) -> None:
    """Nobody can say that it fits, so it is not sent."""
    studio.sandbox.config(price_kind="variable")
    ended = studio.render()
    assert ended.code == 5, ended.text
    assert studio.book()["submits"] == []


def test_nothing_is_spent_in_a_pipe_without_consent_and_cap(studio: Studio) -> None:
    """Neither silence, nor `--yes` alone, nor a cap alone is enough."""
    for words in ((), ("--yes",), ("--max-usd", "5")):
        ended = studio.run("render", *words)
        assert ended.code == 5, ended.text
        assert "help:" in ended.err
    assert studio.book()["submits"] == []


def test_a_budget_of_the_shot_list_counts_as_a_cap(studio: Studio) -> None:
    """It can only tighten: half of the work fits, then exit 5, in this run and the next."""
    studio.write_list(budget={"total_usd": 0.5})
    assert studio.run("render", "--yes").code == 5
    assert studio.run("render", "--yes", "--max-usd", "40").code == 5
    assert studio.accepted() == 1


def test_an_overcharge_is_told(studio: Studio) -> None:
    """A charge above its hold is reported with the result."""
    studio.write_list(characters={"fox": {"image": "fox.png"}})
    studio.sandbox.faults("generation:overcharge,factor=3")
    ended = studio.render()
    assert ended.code == 0, ended.text
    assert "more than" in ended.text
