"""The loop of watch mode in virtual time: what a save sets going, and what it stops."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from kling_render.engine.work import Stop
from kling_render.errors import Diagnostic, InputProblems, SpendingRefused, StoreFault, UsageError
from kling_render.watch.news import Broken, Dropped, Holding, Rendering, Replanned, RunOver
from kling_render.workspace.live.replanning import Replan
from tests.watch.studio import ALLOWANCE, LIST, Desk, Session, problem
from tests.watch.virtual import play

HOLD_S = 10.0


def told(session: Session, story: Callable[[], Awaitable[None]]) -> None:
    """Watch while the story happens, then quit."""

    async def both() -> None:
        watching = asyncio.create_task(session.watching.execute())
        await asyncio.sleep(0.1)
        await story()
        session.watching.quit()
        await watching

    play(both())


def test_a_save_is_rendered_after_its_hold() -> None:
    """And not before; the index is written when it is done."""
    desk = Desk(wanted={"a": "a1"}, done={"a1"})
    session = Session(desk)

    async def story() -> None:
        await session.save(a="a2")
        await asyncio.sleep(HOLD_S - 1)
        assert desk.submits == []
        await asyncio.sleep(2)
        assert [key for _, key in desk.submits] == ["a2"]
        await asyncio.sleep(400)
        assert "a2" in desk.done
        assert desk.indexed == 1

    told(session, story)
    assert [news.spent for news in session.of(RunOver)] == [1]


def test_a_save_that_changes_nothing_does_nothing() -> None:
    """The batch only triggers; the fingerprints decide."""
    desk = Desk(wanted={"a": "a1"}, done={"a1"})
    session = Session(desk)

    async def story() -> None:
        for _ in range(5):
            await session.save()
            await asyncio.sleep(20)

    told(session, story)
    assert desk.submits == []
    assert [news.differs for news in session.of(Replanned)] == [True, *[False] * 5]
    assert session.of(Rendering) == []


def test_a_burst_of_saves_is_held_once_and_only_the_last_state_is_paid_for() -> None:
    """Half-typed prompts cost nothing."""
    desk = Desk(wanted={"a": "a1"}, done={"a1"})
    session = Session(desk)

    async def story() -> None:
        for version in range(20):
            await session.save(a=f"typed{version}")
            await asyncio.sleep(3)
        await asyncio.sleep(HOLD_S)

    told(session, story)
    assert [key for _, key in desk.submits] == ["typed19"]


def test_nothing_is_paid_for_because_of_a_plan_that_is_older_than_the_last_save() -> None:
    """However short the hold: what was typed meanwhile is planned first."""
    allowance = replace(ALLOWANCE, hold_seconds=Decimal(0))
    desk = Desk(wanted={"a": "a1"}, done={"a1"}, allowance=allowance)
    session = Session(desk)

    async def story() -> None:
        session.files.unsettled = frozenset({LIST})
        await session.save(a="half")
        await asyncio.sleep(5)
        assert desk.submits == []
        session.files.unsettled = frozenset()
        await session.save(a="whole")
        await asyncio.sleep(1)
        assert [key for _, key in desk.submits] == ["whole"]

    told(session, story)


def test_the_queue_pauses_while_a_save_is_read_or_cannot_be_used() -> None:
    """What runs goes on; nothing more is sent before there is a good plan again."""
    desk = Desk(wanted={name: f"{name}0" for name in "abcd"}, done={"a0", "b0", "c0", "d0"}, at_once=1)
    session = Session(desk)

    async def story() -> None:
        await session.save(a="a1", b="b1", c="c1", d="d1")
        await asyncio.sleep(HOLD_S + 2)
        assert len(desk.submits) == 1
        desk.broken = problem()
        await session.save()
        await asyncio.sleep(2000)
        assert len(desk.submits) == 1
        assert desk.done >= {desk.submits[0][1]}
        desk.broken = None
        await session.save()
        await asyncio.sleep(2000)
        assert {key for _, key in desk.submits} == {"a1", "b1", "c1", "d1"}

    told(session, story)


def test_a_key_pressed_while_a_save_is_read_means_that_save() -> None:
    """Not the text before it."""
    desk = Desk(wanted={"a": "a1"}, done={"a1"})
    session = Session(desk)

    async def story() -> None:
        await session.save(a="old")
        await asyncio.sleep(1)
        session.watching.changed(frozenset({LIST}))
        session.watching.render_held()
        await asyncio.sleep(1)
        assert desk.submits == []
        await session.save(a="new")
        await asyncio.sleep(1)
        assert [key for _, key in desk.submits] == ["new"]

    told(session, story)


def test_nothing_is_read_at_the_end_of_a_run_that_has_not_settled() -> None:
    """The files are planned when they are at rest, whoever else wants a plan."""
    desk = Desk(wanted={"a": "a0", "b": "b0"}, done={"a0", "b0"})
    session = Session(desk)

    async def story() -> None:
        await session.save(a="a1")
        await asyncio.sleep(HOLD_S + 1)
        plans = desk.plans
        session.files.unsettled = frozenset({LIST})
        desk.wanted["b"] = "half"
        await asyncio.sleep(600)
        assert desk.done >= {"a1"}
        assert desk.plans == plans
        session.files.unsettled = frozenset()
        await session.save(b="b1")
        await asyncio.sleep(HOLD_S + 1)
        assert [key for _, key in desk.submits] == ["a1", "b1"]

    told(session, story)


def test_another_provider_begins_anew() -> None:
    """Whoever goes from rehearsals to the real thing has not agreed to anything yet."""
    desk = Desk(wanted={"a": "a1"}, provider="previz")
    session = Session(desk)

    async def story() -> None:
        await asyncio.sleep(400)
        desk.submits.clear()
        desk.provider = "aimlapi"
        await session.save(a="real")
        await asyncio.sleep(100)
        assert desk.submits == []
        session.watching.render_held()
        await asyncio.sleep(1)
        assert [key for _, key in desk.submits] == ["real"]

    told(session, story)


def test_what_may_not_be_paid_for_later_waits_and_says_why() -> None:
    """The cap was removed from the list: the session goes on, without paying."""
    desk = Desk(wanted={"a": "a1"}, done={"a1"})
    session = Session(desk)

    async def story() -> None:
        session.watching.admit = lambda _replan: SpendingRefused("there is no cap")
        await session.save(a="a2")
        await asyncio.sleep(100)
        assert desk.submits == []
        assert session.watching.wanting.held is not None
        assert session.watching.wanting.held.why == "there is no cap"

    told(session, story)


def test_a_mistyped_selection_ends_the_session_at_its_start() -> None:
    """It is no slip of somebody who types a list."""
    session = Session(Desk(wanted={"a": "a1"}, broken=UsageError("no job matches")))
    with pytest.raises(UsageError):
        play(session.watching.execute())


def test_what_is_queued_and_no_longer_wanted_is_dropped_and_what_runs_is_finished() -> None:
    """Two of four were sent; the edit drops the other two, which cost nothing."""
    desk = Desk(wanted={name: f"{name}0" for name in "abcd"}, done={"a0", "b0", "c0", "d0"}, at_once=2)
    session = Session(desk)

    async def story() -> None:
        await session.save(a="a1", b="b1", c="c1", d="d1")
        await asyncio.sleep(HOLD_S + 1)
        assert {key for _, key in desk.submits} == {"a1", "b1"}
        await session.save(a="a2", c="c0", d="d2")
        await asyncio.sleep(1)
        assert session.of(Dropped)[0].jobs == ("c", "d")
        await asyncio.sleep(800)

    told(session, story)
    assert {key for _, key in desk.submits} == {"a1", "b1", "a2", "d2"}
    assert desk.done >= {"a1", "b1", "a2", "d2"}
    assert len(desk.submits) == 4


def test_a_newer_save_goes_on_beside_what_is_still_wanted() -> None:
    """The queue of the older save is not lost where the newer one wants it too."""
    desk = Desk(wanted={name: f"{name}0" for name in "abc"}, done={"a0", "b0", "c0"}, at_once=1)
    session = Session(desk)

    async def story() -> None:
        await session.save(a="a1", b="b1")
        await asyncio.sleep(HOLD_S + 1)
        await session.save(c="c1")
        await asyncio.sleep(HOLD_S + 1)
        assert session.of(Dropped) == []
        await asyncio.sleep(1200)

    told(session, story)
    assert sorted(key for _, key in desk.submits) == ["a1", "b1", "c1"]


def test_what_waits_at_the_start_is_paid_for_at_the_users_word_only() -> None:
    """A save of something else does not start it either."""
    desk = Desk(wanted={"a": "a1", "b": "b1"}, done=set())
    session = Session(desk)

    async def story() -> None:
        await asyncio.sleep(100)
        await session.save(b="b2")
        await asyncio.sleep(100)
        assert [key for _, key in desk.submits] == ["b2"]
        session.watching.render_held()
        await asyncio.sleep(1)
        assert [key for _, key in desk.submits] == ["b2", "a1"]

    told(session, story)


def test_errors_keep_the_last_good_plan_and_are_over_when_they_are_mended() -> None:
    """What runs goes on; what was about to be paid for waits."""
    desk = Desk(wanted={"a": "a1", "b": "b0"}, done={"b0"})
    session = Session(desk, consent=True)

    async def story() -> None:
        await asyncio.sleep(HOLD_S + 1)
        desk.broken = problem()
        await session.save(b="b1")
        await asyncio.sleep(500)
        assert desk.done == {"a1", "b0"}
        desk.broken = None
        await session.save()
        await asyncio.sleep(HOLD_S + 1)
        assert [key for _, key in desk.submits] == ["a1", "b1"]

    told(session, story)
    assert session.of(Broken)


def test_trouble_tells_what_helps_a_session_that_goes_on() -> None:
    """Nobody has to run the command again: it is still running, and takes the next save."""
    full = "Free some space there, then run the command again. Nothing is lost."
    torn = Diagnostic("KR0203", "a.png: it is being written", None, "wait, then run the command again", "error")
    desk = Desk(wanted={"a": "a1"}, done={"a1"})
    session = Session(desk)

    async def story() -> None:
        desk.broken = StoreFault("the disk is full", help=full)
        await session.save()
        await asyncio.sleep(60)
        desk.broken = InputProblems([torn])
        await session.save()
        await asyncio.sleep(60)

    told(session, story)
    fault, problems = session.of(Broken)
    assert fault.help == "Free some space there, then save again; this session goes on. Nothing is lost."
    assert [each.help for each in problems.diagnostics] == ["wait, then save again; this session goes on"]


def test_a_list_that_is_broken_at_the_start_is_waited_for() -> None:
    """People start watching before they have finished typing."""
    desk = Desk(wanted={"a": "a1"}, done={"a1"}, broken=problem())
    session = Session(desk)

    async def story() -> None:
        await asyncio.sleep(60)
        desk.broken = None
        await session.save()
        await asyncio.sleep(1)
        assert session.watching.last is not None

    told(session, story)


@pytest.mark.parametrize("why", [Stop.ACCOUNT, Stop.BUDGET, Stop.UNREAD_LOG])
def test_a_refused_account_stops_no_session_and_is_tried_again_at_the_next_save(why: Stop) -> None:
    """Without running round and round meanwhile."""
    desk = Desk(wanted={"a": "a0"}, done={"a0"}, refused=why)
    session = Session(desk)

    async def story() -> None:
        await session.save(a="a1")
        await asyncio.sleep(3600)
        assert len(session.of(RunOver)) == 1
        assert session.of(RunOver)[0].stops == ("no",)
        desk.refused = None
        await session.save()
        await asyncio.sleep(HOLD_S + 1)
        assert [key for _, key in desk.submits] == ["a1"]

    told(session, story)


def test_a_failing_job_does_not_run_round_and_round() -> None:
    """It waits for the user's word, and other saves go on."""
    desk = Desk(wanted={"a": "a0", "b": "b0"}, done={"a0", "b0"}, fails={"a1"})
    session = Session(desk)

    async def story() -> None:
        await session.save(a="a1")
        await asyncio.sleep(3600)
        assert len(session.of(Rendering)) == 1
        await session.save(b="b1")
        await asyncio.sleep(3600)
        assert [news.jobs for news in session.of(Rendering)] == [("a",), ("b",)]

    told(session, story)


def test_a_free_provider_never_waits() -> None:
    """Rehearsals follow every save at once."""
    desk = Desk(wanted={"a": "a1"}, provider="previz")
    session = Session(desk)

    async def story() -> None:
        await asyncio.sleep(1)
        assert [key for _, key in desk.submits] == ["a1"]

    told(session, story)
    assert session.of(Holding) == []


def test_quitting_leaves_what_runs() -> None:
    """It is resumable; nothing more is sent."""
    desk = Desk(wanted={"a": "a1", "b": "b1"}, at_once=1)
    session = Session(desk, consent=True)

    async def story() -> None:
        await asyncio.sleep(HOLD_S + 1)

    told(session, story)
    assert len(desk.submits) == 1
    assert set(desk.running) == {"a1"}


def test_a_project_that_may_not_be_watched_ends_the_session() -> None:
    """Without a terminal the consent is given with the command."""
    session = Session(Desk(wanted={"a": "a1"}))

    def refuse(_replan: Replan) -> SpendingRefused:
        return SpendingRefused("nobody is here to agree")

    session.watching.admit = refuse
    with pytest.raises(SpendingRefused):
        play(session.watching.execute())


def day(hours: float) -> tuple[int, int, int]:
    """Saves every minute; returns what grew between the first and the last tenth: bytes, objects, tasks."""
    desk = Desk(wanted={name: f"{name}0" for name in "abc"}, done={"a0", "b0", "c0"})
    session = Session(desk, keep=50)
    readings: list[tuple[int, int, int]] = []

    async def reading() -> None:
        gc.collect()
        readings.append((tracemalloc.get_traced_memory()[0], len(gc.get_objects()), len(asyncio.all_tasks())))

    async def story() -> None:
        minutes = int(hours * 60)
        for minute in range(minutes):
            desk.spent = desk.spent * 0
            name = "abc"[minute % 3]
            await session.save(**{name: f"{name}{minute % 7}"})
            desk.done = set(sorted(desk.done)[-4:])
            desk.submits.clear()
            await asyncio.sleep(60)
            if minute in (minutes // 10, minutes - 1):
                await reading()

    tracemalloc.start()
    try:
        told(session, story)
    finally:
        tracemalloc.stop()
    (first_bytes, first_objects, first_tasks), (last_bytes, last_objects, last_tasks) = readings
    assert desk.plans > hours * 60
    return last_bytes - first_bytes, last_objects - first_objects, last_tasks - first_tasks


def test_a_day_of_saves_leaves_nothing_behind() -> None:
    """24 hours on the virtual clock: no growth of memory, objects or tasks."""
    grown, objects, tasks = day(24.0)
    assert grown < 200_000, grown
    assert objects < 500, objects
    assert tasks <= 1, tasks
