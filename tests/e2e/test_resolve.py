"""Answering what only the user can answer: each choice, wrong uses, other processes, and ends in between."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from typing import Any

import pytest

from kling_render.store.opening import Store
from tests.e2e.harness import PAY, TOOL, Ended, Studio, finished, paid_once, valid, wait_until

FOX, CAT = "sc010/fox/wave/t01", "sc010/cat/wave/t01"
NO_LOG = "log:status,status=503"
LOST = "submit:lost,nth=1,inference_id=false"


@pytest.fixture
def asked(studio: Studio) -> Studio:
    """One job, whose answer was lost while the log was down: the user is asked."""
    studio.write_list(characters={"fox": {"image": "fox.png"}})
    studio.sandbox.faults(LOST, NO_LOG)
    first = studio.render("--without-log")
    assert first.code == 4, first.text
    return studio


def lost_id(studio: Studio) -> str:
    """The generation whose answer never came."""
    return str(studio.book()["generations"][0]["id"])


def history(studio: Studio) -> list[tuple[str, dict[str, Any]]]:
    """Every step of the only attempt."""
    with Store.open(studio.store) as store, store.ledger.reading() as ledger:
        (attempt,) = ledger.attempts("sandbox")
        return [(step.event, step.detail) for step in ledger.history(attempt.id)]


def test_without_a_terminal_the_question_is_told_and_nothing_is_decided(asked: Studio) -> None:
    """Exit 4 with all that is known, as text and as JSON; `render` and `status` name the same question."""
    shown = asked.run("resolve", FOX)
    assert shown.code == 4, shown.text
    for word in ("needs you", FOX, "$0.336", "no answer came", "--adopt ID", "--resubmit --may-pay-twice", "--abandon"):
        assert word in shown.out, shown.out
    told = asked.run("resolve", "sc010", "--json")
    valid(told.json, "resolve")
    (question,) = told.json["questions"]
    assert (told.code, question["job"], question["at_stake_usd"], question["looks"]) == (4, FOX, "0.336", 0)
    assert f"kling-render resolve {FOX} --wait" in question["choices"]
    rendered = asked.render("--json")
    valid(rendered.json, "render")
    assert [q["attempt"] for q in rendered.json["questions"]] == [question["attempt"]]
    status = asked.run("status", "--json")
    valid(status.json, "status")
    assert status.json["questions"][0]["client_request_id"] == question["client_request_id"]
    assert f"kling-render resolve {FOX}" in asked.run("status").out
    assert len(asked.book()["submits"]) == 1


def test_waiting_looks_at_once_and_adopts_what_the_log_shows(asked: Studio) -> None:
    """The log works again: the result is found, fetched and published; it was paid once."""
    asked.sandbox.faults()
    ended = asked.run("resolve", FOX, "--wait", "--note", "the provider says it is up")
    assert (ended.code, len(asked.videos())) == (0, 2), ended.text
    waited = dict(history(asked))["wait"]
    assert waited["why"] == "the provider says it is up"
    assert "@" in waited["by"]
    paid_once(asked.book())


def test_waiting_without_a_key_leaves_it_to_the_next_run(asked: Studio) -> None:
    """Nothing can be looked up, so it stays in doubt: exit 4."""
    ended = asked.run("resolve", FOX, "--wait", AIMLAPI_KEY="")
    assert ended.code == 4, ended.text
    assert history(asked)[-1][0] == "wait"
    asked.sandbox.faults()
    assert asked.run("pull").code == 0
    paid_once(asked.book())


def test_an_adopted_generation_becomes_the_result_for_nothing(asked: Studio) -> None:
    """The user knows the id; the log may stay down, and the shot list may be gone."""
    (asked.project / "shotlist.yaml").unlink()
    ended = asked.run("resolve", FOX, "--adopt", lost_id(asked), "--json")
    assert (ended.code, len(asked.videos())) == (0, 2), ended.text
    valid(ended.json, "resolve")
    assert ended.json["questions"][0]["state"] == "done"
    assert ended.json["questions"][0]["decided"][0]["what"] == "accept"
    assert asked.accepted() == 1
    paid_once(asked.book())


def test_what_cannot_be_its_result_is_not_adopted(studio: Studio) -> None:
    """An unknown id, another job's result, another request of ours, no key: refused, and nothing changes."""
    studio.sandbox.faults(LOST)
    studio.sandbox.faults("generation:log-missing,nth=1")
    assert studio.render("-j", "1").code == 4
    books = studio.book()
    lost, other = (g["id"] for g in books["generations"])
    unknown = studio.run("resolve", FOX, "--adopt", "no-such-id")
    assert (unknown.code, "does not know" in unknown.err) == (2, True), unknown.text
    taken = studio.run("resolve", FOX, "--adopt", other)
    assert (taken.code, CAT in taken.err) == (2, True), taken.text
    no_key = studio.run("resolve", FOX, "--adopt", lost, AIMLAPI_KEY="")
    assert no_key.code == 6, no_key.text
    elsewhere = Studio(studio.folder / "other", studio.sandbox)
    shutil.copytree(studio.project, elsewhere.project, ignore=shutil.ignore_patterns("renders"))
    elsewhere.write_list(characters={"fox": {"image": "fox.png"}}, shots=[{"id": "sc010", "prompt": "at sea"}])
    studio.sandbox.faults()
    assert elsewhere.render().code == 0
    theirs = studio.book()["generations"][-1]["id"]
    foreign = studio.run("resolve", FOX, "--adopt", theirs)
    assert (foreign.code, "another result" in foreign.err) == (2, True), foreign.text
    assert studio.run("resolve", FOX, "--adopt", lost).code == 0
    paid_once(studio.book())


def test_a_second_payment_needs_both_words_and_is_made_by_render(asked: Studio) -> None:
    """The decision is recorded with who and why; the next render submits, and may be charged again."""
    half = asked.run("resolve", FOX, "--resubmit")
    assert (half.code, "--may-pay-twice" in half.err) == (2, True), half.text
    assert asked.run("resolve", FOX, "--may-pay-twice").code == 2
    allowed = asked.run("resolve", FOX, "--resubmit", "--may-pay-twice", "--note", "the premiere is tonight")
    assert (allowed.code, "kling-render render" in allowed.out) == (0, True), allowed.text
    assert [event for event, _ in history(asked)][-2:] == ["abandon", "set-aside"]
    assert history(asked)[-1][1]["why"] == "the premiere is tonight"
    assert len(asked.book()["submits"]) == 1
    ended = asked.render("--without-log")
    assert (ended.code, asked.accepted(), len(asked.videos())) == (0, 2, 2), ended.text
    again = asked.run("resolve", FOX)
    assert again.code == 2, again.text


def test_what_the_log_shows_before_the_second_payment_is_fetched_instead(asked: Studio) -> None:
    """The user allowed to pay twice, and it is not needed any more."""
    assert asked.run("resolve", FOX, "--resubmit", "--may-pay-twice").code == 0
    asked.sandbox.faults()
    ended = asked.render()
    assert (ended.code, asked.accepted(), len(asked.videos())) == (0, 1, 2), ended.text
    paid_once(asked.book())


def test_a_job_given_up_is_not_sent_again_and_listed_until_acknowledged(asked: Studio) -> None:
    """Its hold goes on counting; the loss can be acknowledged, and the id may still turn up."""
    early = asked.run("resolve", FOX, "--acknowledge")
    assert early.code == 2, early.text
    assert asked.run("resolve", FOX, "--abandon", "--note", "cut from the film").code == 0
    asked.sandbox.faults()
    assert asked.render().code == 3
    pulled = asked.run("pull")
    assert (pulled.code, "1 blocked" in pulled.out, "nothing to pull" in pulled.out) == (3, True, False), pulled.text
    assert len(asked.book()["submits"]) == 1
    listed = asked.run("status", "--json").json
    assert [q["state"] for q in listed["questions"]] == ["abandoned"]
    assert listed["money"][0]["held_usd"] == "0.336"
    assert asked.run("resolve", FOX, "--acknowledge").code == 0
    assert asked.run("status", "--json").json["questions"] == []
    assert "cut from the film" in asked.run("resolve", FOX).out
    found = asked.run("resolve", FOX, "--adopt", lost_id(asked))
    assert (found.code, len(asked.videos())) == (0, 2), found.text
    paid_once(asked.book())


def test_a_name_that_means_nothing_is_answered_with_the_nearest(asked: Studio) -> None:
    """Exit 2: unknown, settled, or two answers at once."""
    unknown = asked.run("resolve", "sc010/fix/wave/t01")
    assert (unknown.code, f"did you mean '{FOX}'" in unknown.err) == (2, True), unknown.text
    for part in ("", "sc01", "sc010/fo", "/", "0"):  # an answer must not reach a job whose name only looks alike
        assert asked.run("resolve", part, "--abandon").code == 2
    assert asked.run("resolve", FOX, "--wait", "--abandon").code == 2
    assert asked.run("resolve", "--abandon").code == 2
    listed = asked.run("resolve", "--json")
    assert (listed.code, len(listed.json["questions"])) == (4, 1)
    by_id = asked.run("resolve", listed.json["questions"][0]["attempt"], "--json")
    assert by_id.json["questions"] == listed.json["questions"]
    asked.sandbox.faults()
    assert asked.run("pull").code == 0
    done = asked.run("resolve", FOX, "--json")
    assert (done.code, done.json["errors"][0]["code"]) == (2, "nothing-to-resolve")
    assert asked.run("resolve").out == "nothing waits for an answer\n"


def test_while_another_process_drives_it_nothing_is_decided(asked: Studio) -> None:
    """The process is named; when it is killed, the answer is taken."""
    waiting = asked.start("pull", "--wait-doubts", KLING_RENDER_ABSENCE_SECONDS="3600")
    try:
        wait_until(lambda: driven(asked.run("resolve", FOX)))
        refused = asked.run("resolve", FOX, "--abandon")
        assert (refused.code, f"process {waiting.pid}" in refused.err) == (4, True), refused.text
    finally:
        waiting.kill()
        finished(waiting)
    assert asked.run("resolve", FOX, "--abandon").code == 0


def driven(shown: Ended) -> bool:
    return "drives it now" in shown.out


def test_an_answer_that_was_cut_off_is_finished_by_the_next_run(asked: Studio) -> None:
    """Killed between the decision and the download: what was adopted is adopted, and is brought home."""
    asked.sandbox.faults()
    asked.sandbox.faults("cdn:delay,seconds=30")
    adopting = asked.start("resolve", FOX, "--adopt", lost_id(asked))
    wait_until(lambda: history(asked)[-1][0] == "complete")
    adopting.kill()
    finished(adopting)
    asked.sandbox.faults()
    pulled = asked.run("pull")
    assert (pulled.code, len(asked.videos()), asked.accepted()) == (0, 2, 1), pulled.text
    assert next(detail for event, detail in history(asked) if event == "accept")["by"]
    paid_once(asked.book())


def on_a_terminal(studio: Studio, *words: str, answers: list[str]) -> Ended:
    """Call the tool on a terminal and type an answer at each prompt."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*TOOL, *words],
        cwd=studio.project,
        env=studio.environment({"TERM": "dumb", "COLUMNS": "200"}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown, left = b"", list(answers)
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:  # what Linux says when the other side has closed
            data = b""
        if not data:
            break
        shown += data
        if left and shown.rstrip(b" ").endswith((b"  >", b"to go on:")):
            shown += b" "
            os.write(ours, left.pop(0).encode() + b"\n")
    os.close(ours)
    return Ended(process.wait(30), shown.decode(), "")


def test_a_run_on_a_terminal_asks_once_when_it_ends(studio: Studio) -> None:
    """Enter leaves it in doubt; a second run asks again, and an answer changes how the run ends."""
    studio.write_list(characters={"fox": {"image": "fox.png"}})
    studio.sandbox.faults(LOST, NO_LOG)
    first = on_a_terminal(studio, "render", *PAY, "--without-log", answers=[""])
    assert first.code == 4, first.text
    assert "may pay twice (up to $0.336)" in first.out
    answered = on_a_terminal(studio, "render", *PAY, "--without-log", answers=["3", "0.33", "3", "0.336"])
    assert answered.code == 10, answered.text
    assert "submits it again" in answered.out
    assert [event for event, _ in history(studio)][-2:] == ["abandon", "set-aside"]
    assert len(studio.book()["submits"]) == 1


def test_a_question_moves_with_its_project(asked: Studio) -> None:
    """In a copied or renamed folder, or on a store that was imported, `pull` looks it up and brings it home there."""
    moved = asked.project.rename(asked.folder / "moved")
    again = asked.run("pull", cwd=moved)
    assert (again.code, "request log cannot be read" in again.text) == (4, True), again.text
    asked.sandbox.faults()
    found = asked.run("pull", cwd=moved)
    assert found.code == 0, found.text
    assert (moved / "renders/takes/sc010/fox/wave_t01.mp4").is_file()
    assert not asked.project.exists()
    assert len(asked.book()["submits"]) == 1
