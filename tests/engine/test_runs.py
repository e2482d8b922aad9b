"""A run on its virtual clock: who may submit, what is tried again, what a stop means."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from kling_render.engine.run import Run
from kling_render.engine.work import JobState, Options, RunReport, Stop
from kling_render.lifecycle.records import Cap
from kling_render.lifecycle.states import State
from kling_render.store.opening import Store
from tests.engine.studio import FOLDER, Believing, Bench, Doubting, VirtualClock, work

FOX, CAT, OWL = work("fox"), work("cat"), work("owl")
ALL = [FOX, CAT, OWL]


@pytest.fixture
def bench(quick_path: Path) -> Bench:
    """An empty store and an API without faults."""
    return Bench(quick_path / "store")


def _ended(report: RunReport | None) -> RunReport:
    assert report is not None
    return report


def test_everything_wanted_is_brought_once(bench: Bench) -> None:
    """And a second run sends nothing."""
    report = _ended(bench.run(ALL))
    assert (report.exit_code, report.submits) == (0, 3)
    bench.sound(ALL)
    again = _ended(bench.run(ALL))
    assert (again.exit_code, again.submits, len(bench.api.submits)) == (0, 0, 3)
    assert {job.state for job in again.jobs.values()} == {JobState.RESTORED}


@pytest.mark.parametrize("word", ["lost", "5xx", "5xx-id"])
def test_a_doubt_is_adopted_within_the_run(bench: Bench, word: str) -> None:
    """Looked up before the run ends."""
    bench.api.script = [word]
    assert _ended(bench.run(ALL)).exit_code == 0
    bench.sound(ALL)
    assert len(bench.api.submits) == 3


def test_a_doubt_without_a_log_stays_and_holds_nobody_up(bench: Bench) -> None:
    """Exit 4, the others are done, the hold stays, and the user is asked until the log can tell."""
    bench.api.script, bench.api.log_reads = ["lost"], 1
    report = _ended(bench.run(ALL))
    assert (report.exit_code, report.doubts) == (4, {})
    assert [job.state for job in report.jobs.values()].count(JobState.NEEDS_USER) == 1
    assert sorted(a.state for a in bench.attempts()) == [State.DONE, State.DONE, State.NEEDS_USER]
    assert _ended(bench.run(ALL)).submits == 0
    bench.api.log_reads = 9
    assert _ended(bench.run(ALL)).exit_code == 0
    bench.sound(ALL)


def test_a_question_becomes_a_matter_of_waiting_when_the_log_can_be_read_again(bench: Bench) -> None:
    """Nobody needs to answer what time answers."""
    bench.api.script, bench.api.log_reads = ["drop"], 1
    bench.run([FOX])
    bench.api.log_reads = 9
    report = _ended(bench.run([FOX]))
    assert (report.exit_code, len(report.doubts)) == (4, 1)
    assert [a.state for a in bench.attempts()] == [State.IN_DOUBT]


def test_nothing_new_is_paid_while_the_log_cannot_be_read(bench: Bench) -> None:
    """Exit 4 with one message; what runs is finished; the user's word lets it pay all the same."""
    bench.run([FOX], Options(detach=True))
    bench.api.log_works = False
    report = _ended(bench.run(ALL))
    assert (report.exit_code, report.submits, list(report.stops)) == (4, 0, [Stop.UNREAD_LOG])
    assert FOX.targets[0].output in bench.files
    assert _ended(bench.run(ALL, Options(without_log=True))).exit_code == 0
    bench.sound(ALL)


def test_a_balance_that_covers_nothing_stops_before_the_first_submit(bench: Bench) -> None:
    """Exit 6; with money again no flag is needed; a balance for some of the jobs stops nothing."""
    bench.api.balance = 99
    report = _ended(bench.run(ALL))
    assert (report.exit_code, bench.api.submits, list(report.stops)) == (6, [], [Stop.ACCOUNT])
    bench.api.balance = 150
    assert _ended(bench.run(ALL)).exit_code == 0
    bench.sound(ALL)


def test_another_accounts_log_proves_nothing(bench: Bench) -> None:
    """The doubt is a question as long as only another key is at hand, however much time passes."""
    bench.api.script = ["drop"]
    bench.run([FOX])
    bench.account = "another"
    for other in (CAT, OWL, work("hen")):
        bench.clock.at += 2 * 86_400
        assert _ended(bench.run([FOX, other])).exit_code == 4
    assert len(bench.api.submits) == 4
    assert [a.state for a in bench.attempts() if a.fingerprint == FOX.key] == [State.NEEDS_USER]


@pytest.mark.parametrize("years", [10, -10])
def test_a_clock_that_jumps_decides_nothing_about_money(bench: Bench, years: int) -> None:
    """Absence is believed by the server's time, and a lost answer is found over the server's window."""
    bench.api.script = ["drop", "lost"]
    bench.clock.off = years * 3.2e7
    bench.run([FOX, CAT])
    bench.clock.off = -years * 3.2e7
    for _ in range(4):
        bench.run([FOX, CAT])
        bench.clock.at += 301
    assert len(bench.api.submits) == 2
    assert sorted(a.state for a in bench.attempts()) == [State.DONE, State.IN_DOUBT]


def test_a_doubt_about_a_second_attempt_is_looked_up_in_the_same_run(bench: Bench) -> None:
    """The first never arrived, as the log proved; the answer to the second is lost."""
    bench.api.script = ["drop", "lost", "ok"]
    bench.run([FOX])
    bench.run([CAT])
    for _ in range(3):
        bench.clock.at += 1800
        bench.run([OWL])
    bench.api.script = ["lost"]
    bench.clock.at += 86_400
    assert _ended(bench.run([FOX])).exit_code == 0
    assert bench.api.script == []


def test_absence_takes_its_time_and_then_one_new_attempt(bench: Bench) -> None:
    """Dropped by the network: resubmitted once, not before the settle time."""
    bench.api.script = ["drop"]
    before = bench.clock.at
    report = _ended(bench.run(ALL, Options(wait_doubts=True)))
    assert (report.exit_code, len(bench.api.submits)) == (0, 4)
    assert bench.clock.at - before >= 3600
    bench.sound(ALL)


def test_a_transient_failure_is_tried_three_times_in_all(bench: Bench) -> None:
    """Then it is a failure, uncharged."""
    bench.api.fates = ["upstream"] * 3
    report = _ended(bench.run([FOX]))
    assert (report.exit_code, len(bench.api.submits)) == (3, 3)


def test_a_resumed_failure_counts_as_the_first_of_three(bench: Bench) -> None:
    """A restart does not add further attempts."""
    bench.api.fates = ["upstream"] * 9
    bench.run([FOX], Options(detach=True))
    bench.run([FOX])
    assert len(bench.api.submits) == 3


@pytest.mark.parametrize("word", ["refused"])
def test_a_refused_request_fails_its_job_alone(bench: Bench, word: str) -> None:
    """Nothing is sent again, the others go on."""
    bench.api.script = [word]
    report = _ended(bench.run(ALL))
    assert (report.exit_code, len(bench.api.submits)) == (3, 3)


def test_refused_content_is_not_tried_again(bench: Bench) -> None:
    """It would be refused again."""
    bench.api.fates = ["content"]
    assert _ended(bench.run([FOX])).exit_code == 3
    assert len(bench.api.submits) == 1


def test_an_unauthorized_key_stops_all_submitting(bench: Bench) -> None:
    """One request, one message; the other jobs wait and are no failures."""
    bench.api.script = ["unauthorized"] * 3
    report = _ended(bench.run(ALL, Options(jobs=1)))
    assert (report.exit_code, len(bench.api.submits), list(report.stops)) == (6, 1, [Stop.ACCOUNT])
    assert {job.state for job in report.jobs.values()} == {JobState.WAITING}


def test_a_rate_limit_waits_as_long_as_it_is_told(bench: Bench) -> None:
    """And pays each once."""
    bench.api.script = ["limited", "limited"]
    before = bench.clock.at
    assert _ended(bench.run(ALL, Options(jobs=1))).exit_code == 0
    assert bench.clock.at - before >= 10
    bench.sound(ALL)


def test_a_cap_lets_through_what_fits(bench: Bench) -> None:
    """Two of three holds of 100 fit under 250; exit 5, the third waits."""
    report = _ended(bench.run(ALL, Options(caps=(Cap(name="total", limit=250, project_folder=str(FOLDER)),))))
    assert (report.exit_code, len(bench.api.submits)) == (5, 2)


def test_an_unknown_price_under_a_cap_sends_nothing(bench: Bench) -> None:
    """Exit 5."""
    works = [work("fox", hold=None)]
    report = _ended(bench.run(works, Options(caps=(Cap(name="total", limit=250),))))
    assert (report.exit_code, bench.api.submits) == (5, [])


def test_a_hold_in_doubt_counts_against_the_cap(bench: Bench) -> None:
    """Perhaps paid is as good as paid."""
    bench.api.script, bench.api.log_reads = ["lost"], 1
    caps = (Cap(name="total", limit=150, project_folder=str(FOLDER)),)
    bench.run([FOX], Options(caps=caps))
    report = _ended(bench.run([FOX, CAT], Options(caps=caps, without_log=True)))
    assert len(bench.api.submits) == 1
    assert Stop.BUDGET in report.stops


def test_detach_submits_and_leaves(bench: Bench) -> None:
    """The running ones are reported; the next run fetches them."""
    report = _ended(bench.run(ALL, Options(detach=True)))
    assert (report.exit_code, len(report.left_running), bench.files) == (0, 3, {})
    assert _ended(bench.run(ALL)).submits == 0
    bench.sound(ALL)


def test_nothing_is_submitted_after_a_stop(bench: Bench) -> None:
    """Leaving before the start sends nothing at all."""
    report = _ended(bench.run(ALL, on_start=lambda run: run.leave(Stop.INTERRUPTED, "now")))
    assert (report.exit_code, bench.api.submits) == (130, [])


def test_fail_fast_stops_after_the_first_failure(bench: Bench) -> None:
    """What runs goes on, the rest is not sent."""
    bench.api.script = ["refused"]
    report = _ended(bench.run(ALL, Options(jobs=1, fail_fast=True)))
    assert (report.exit_code, len(bench.api.submits)) == (3, 1)


def test_pull_never_submits_whatever_it_finds(bench: Bench) -> None:
    """Works without a request: absent, failed and unknown ones stay as they are."""
    unpaid = [replace(each, request=None) for each in ALL]
    bench.api.script, bench.api.fates = ["drop"], ["upstream"]
    bench.run([FOX, CAT], Options(detach=True))
    sent = len(bench.api.submits)
    bench.run(unpaid, Options(wait_doubts=True))
    assert len(bench.api.submits) == sent


def test_pull_ends_well_when_absence_is_proved(bench: Bench) -> None:
    """What was in doubt is open no more; the job waits for the next render."""
    bench.api.script = ["drop"]
    bench.run([FOX])
    unpaid = replace(FOX, request=None)
    for seconds in (400, 90_000):
        bench.clock.at += seconds
        report = _ended(bench.run([unpaid]))
    assert (report.exit_code, report.doubts) == (0, {})
    assert [a.state for a in bench.attempts() if a.fingerprint == FOX.key] == [State.ABSENT]


def test_bytes_that_rot_before_they_are_published_are_fetched_again(bench: Bench) -> None:
    """Fetched, then the process died, then the disk: nothing is paid again."""
    steps = bench.steps([FOX])
    bench = Bench(bench.folder.parent / "another")
    for at in range(steps, 0, -1):
        bench = Bench(bench.folder.parent / f"store{at}")
        bench.run([FOX], crash_at=at)
        if [a.state for a in bench.attempts()] == [State.FETCHED]:
            break
    (attempt,) = bench.attempts()
    blob = bench.folder / "blobs" / str(attempt.blob)[:2] / str(attempt.blob)
    blob.unlink()
    assert _ended(bench.run([FOX])).exit_code == 0
    bench.sound([FOX])
    assert blob.exists()


def test_an_expired_link_is_polled_for_again(bench: Bench) -> None:
    """Twice in a row, for nothing."""
    bench.api.expired_links = 2
    assert _ended(bench.run([FOX])).exit_code == 0
    bench.sound([FOX])


def test_a_damaged_result_that_comes_the_same_every_time_is_kept_with_a_warning(bench: Bench) -> None:
    """It was made like that: fetching it for ever brings nothing, and its link runs out one day."""
    bench.checker = Doubting([True] * 4)
    report = _ended(bench.run([FOX]))
    assert (report.exit_code, [job.state for job in report.jobs.values()]) == (0, [JobState.DONE])
    assert [job.warning for job in report.jobs.values()] == [
        "its end cannot be decoded; fetched 4 times, the same each time"
    ]
    bench.sound([FOX])


@pytest.mark.parametrize("at", range(4))
def test_a_download_that_was_cut_off_once_is_not_kept_for_its_damage(bench: Bench, at: int) -> None:
    """The transfer may be to blame: the link is kept, and the next run tries again."""
    bench.checker = Doubting([index != at for index in range(4)])
    assert _ended(bench.run([FOX])).exit_code == 3
    (attempt,) = bench.attempts()
    assert (attempt.state, attempt.blob) == (State.READY, None)
    bench.checker = Believing()
    assert _ended(bench.run([FOX])).exit_code == 0
    bench.sound([FOX])


def test_a_generation_that_takes_for_ever_stalls_and_is_not_sent_again(bench: Bench) -> None:
    """Polls become rare, and its late end is still taken."""
    bench.api.takes_s = 10_000.0
    assert _ended(bench.run([FOX])).exit_code == 0
    assert len(bench.api.submits) == 1
    bench.sound([FOX])


def test_a_result_of_a_cell_edited_meanwhile_is_kept_but_not_put_in_its_place(bench: Bench) -> None:
    """The path belongs to the new job."""
    bench.run([FOX], Options(detach=True))
    edited = replace(CAT, targets=FOX.targets)
    report = _ended(bench.run([edited], claimed={FOX.targets[0].output: CAT.key}))
    assert report.exit_code == 0
    assert bench.files[FOX.targets[0].output] == b"https://cdn/gen2"
    assert {a.state for a in bench.attempts()} == {State.DONE}


def test_a_result_of_a_cell_that_nobody_wants_any_more_is_done_and_counted(bench: Bench) -> None:
    """It was edited, and the edit is not to be rendered now: its result is in the store, and its cost in the sum."""
    bench.run([FOX], Options(detach=True))
    report = _ended(bench.run([], claimed={FOX.targets[0].output: CAT.key}))
    job = report.jobs[FOX.targets[0].job]
    assert (job.state, job.output) == (JobState.DONE, None)
    assert "kept in the store" in job.detail
    assert not bench.files


def test_what_was_paid_for_elsewhere_is_adopted_even_when_it_was_seen_long_ago(quick_path: Path) -> None:
    """The first run wanted another job; days later the old row is still found."""
    here = Bench(quick_path / "here")
    here.run([FOX, CAT])
    there = Bench(quick_path / "there", seed=50, clock=here.clock)
    there.api = here.api
    there.run([FOX])
    here.clock.at += 5 * 86_400
    there.run([OWL])
    here.clock.at += 5 * 86_400
    there.run([CAT])
    assert len(here.api.submits) == 3
    assert CAT.targets[0].output in there.files


@pytest.mark.parametrize("fetched", [True, False], ids=["fetched", "under way"])
def test_a_generation_known_as_another_requests_is_not_paid_again(quick_path: Path, fetched: bool) -> None:
    """A lock file brought the fox's generation as the kept result of an edit; going back to the fox costs nothing."""
    there = Bench(quick_path / "there")
    there.run([FOX])
    (paid,) = there.attempts()
    here = Bench(quick_path / "here", seed=50, clock=there.clock)
    here.api = there.api
    edited = replace(paid, fingerprint=CAT.key, state=State.ACCEPTED, blob=None, size=None, owner="")
    edited = edited if fetched else replace(edited, folder="/elsewhere")
    with Store.open(here.folder) as store, store.ledger.writing() as ledger:
        ledger.adopt(edited, here.clock.now())
    if fetched:
        here.run([CAT])
    report = _ended(here.run([FOX]))
    assert len(here.api.submits) == 1
    assert (FOX.targets[0].output in here.files) is fetched
    assert report.jobs[FOX.targets[0].job].state is (JobState.RESTORED if fetched else JobState.NEEDS_USER)


class _Beside(VirtualClock):
    """One sleep, told by its length, passes while the others do: it ends when they come to its end."""

    def __init__(self, aside_s: float) -> None:
        super().__init__()
        self._aside_s = aside_s
        self._end = float("inf")
        self._ended = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds == self._aside_s:
            self._end = self.at + seconds
            await self._ended.wait()
        elif self.at < self._end <= self.at + seconds:
            self.at = self._end
            self._ended.set()
            await asyncio.sleep(60)  # whoever waited for it ends this
        else:
            await super().sleep(seconds)


def test_a_stop_by_time_in_the_middle_leaves_what_runs_and_sends_nothing_more(quick_path: Path) -> None:
    """One job is done, one runs and is listed, one was never sent; the next run goes on without paying again."""
    bench = Bench(quick_path / "store", clock=_Beside(100.0))
    bench.api.takes_s = 70.0
    report = _ended(bench.run(ALL, Options(poll_s=15.0, jobs=1, stop_after_s=100.0)))
    states = {work.targets[0].job: report.jobs[work.targets[0].job].state for work in ALL}
    assert list(states.values()) == [JobState.DONE, JobState.RUNNING, JobState.WAITING]
    (left,) = report.left_running
    assert (left.job, left.generation_id, left.state) == (CAT.targets[0].job, "gen2", State.ACCEPTED)
    assert (report.exit_code, len(bench.api.submits), list(bench.files)) == (10, 2, [FOX.targets[0].output])
    assert Stop.DEADLINE in report.stops
    again = _ended(bench.run(ALL))
    assert (again.exit_code, again.submits, len(bench.api.submits)) == (0, 1, 3)
    bench.sound(ALL)


def test_a_stop_by_time_leaves_what_runs(bench: Bench) -> None:
    """Exit 10 with work left."""
    bench.api.takes_s = 1e12

    def soon(run: Run) -> None:
        assert run.report.jobs == {}

    report = _ended(bench.run([FOX], Options(stop_after_s=600.0), on_start=soon))
    assert report.exit_code == 10
    assert len(bench.api.submits) <= 1
