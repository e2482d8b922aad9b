"""When what changed has come to rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_render.watch.settle import PATIENCE_S, Settling, Sight, What
from kling_render.watch.stamps import MISSING, Stamp

SETTLE = 0.5
CLIP, LIST = Path("/project/clips/a.mp4"), Path("/project/shotlist.yaml")
FILE = 0o100644
FOLDER: Stamp = (0o040755, 0, 0)


def seen(what: What, at: float, path: Path = CLIP, size: int = 1, *, entry: bool = False) -> Sight:
    stamp = MISSING if what is What.GONE else (FILE, size, int(at * 1000))
    return Sight(path, what, stamp, at, entry)


def settling(*sights: Sight, closes: bool = True, settle_s: float = SETTLE) -> Settling:
    made = Settling(settle_s=settle_s, closes=closes)
    for sight in sights:
        made.note(sight)
    return made


def look(made: Settling, *sights: Sight) -> dict[Path, Stamp]:
    """How everything looks when nothing more happened."""
    return {sight.path: sight.stamp for sight in sights if sight.path in made.paths}


def test_nothing_is_pending_at_first() -> None:
    """There is nothing to wait for."""
    assert settling().wait_s(0) is None


def test_a_save_rests_after_the_settle_time() -> None:
    """Not before, and with the time it was first seen."""
    save = (seen(What.WRITTEN, 1.0), seen(What.CLOSED, 1.1))
    made = settling(*save)
    assert made.wait_s(1.2) == 1.1 + SETTLE - 1.2
    assert made.wait_s(1.7) == 0
    assert made.rests(look(made, *save), 1.7)
    assert made.take().first_at == 1.0
    assert made.wait_s(9) is None


def test_each_change_begins_the_settle_time_anew() -> None:
    """A burst is one batch."""
    made = settling(*(seen(What.CLOSED, n * 0.4, Path(f"/p/{n}")) for n in range(10)))
    assert made.wait_s(3.6) == pytest.approx(SETTLE)
    assert len(made.paths) == 10


def test_a_file_that_is_being_written_is_waited_for() -> None:
    """Until it is closed."""
    made = settling(seen(What.WRITTEN, 1.0))
    assert made.wait_s(5.0) == 1.0 + PATIENCE_S - 5.0
    made.note(seen(What.CLOSED, 6.0))
    assert made.wait_s(6.0) == SETTLE


def test_a_writer_that_never_closes_is_taken_at_last() -> None:
    """After thirty seconds of silence, or ten settle times."""
    assert settling(seen(What.WRITTEN, 1.0)).wait_s(31.0) == 0
    assert settling(seen(What.WRITTEN, 1.0), settle_s=10.0).wait_s(31.0) == 70.0


def test_where_closes_are_not_announced_nobody_waits_for_them() -> None:
    """On macOS and Windows the size says it."""
    assert settling(seen(What.WRITTEN, 1.0), closes=False).wait_s(1.5) == 0


def test_a_writer_that_renames_or_deletes_its_file_is_done() -> None:
    """The name is not waited for."""
    for what in (What.GONE, What.RENAMED):
        assert settling(seen(What.WRITTEN, 1.0), seen(what, 2.0)).wait_s(2.5) == 0


def test_a_new_empty_file_is_about_to_be_written() -> None:
    """A copy begins with an empty file; one that was renamed to here is complete."""
    assert settling(seen(What.APPEARED, 1.0, size=0)).wait_s(2.0) == 29.0
    assert settling(seen(What.APPEARED, 1.0, size=0), seen(What.CLOSED, 1.1, size=0)).wait_s(2.0) == 0
    assert settling(seen(What.RENAMED, 1.0, size=0)).wait_s(2.0) == 0
    assert settling(seen(What.APPEARED, 1.0, size=0), closes=False).wait_s(2.0) == 0


def test_a_file_that_grew_meanwhile_is_still_growing() -> None:
    """Size and time are compared between start and end of the settle time."""
    made = settling(seen(What.CHANGED, 1.0, size=10), closes=False)
    assert not made.rests({CLIP: (FILE, 20, 1500)}, 1.5)
    assert made.wait_s(1.5) == SETTLE
    assert made.rests({CLIP: (FILE, 20, 1500)}, 2.0)


def test_what_joined_during_the_look_is_looked_at_again() -> None:
    """A look that does not know of a path says nothing."""
    made = settling(seen(What.CLOSED, 1.0), seen(What.CLOSED, 1.0, LIST))
    assert not made.rests({CLIP: (FILE, 1, 1000)}, 2.0)


def test_a_change_during_the_look_counts() -> None:
    """The batch waits for another settle time."""
    made = settling(seen(What.CLOSED, 1.0))
    made.note(seen(What.CLOSED, 1.9))
    assert not made.rests({CLIP: (FILE, 1, 1900)}, 2.0)


def test_what_comes_and_goes_leaves_its_folder() -> None:
    """So that a program that makes names without end cannot fill the memory; a batch follows all the same."""
    made = settling()
    for n in range(1000):
        path = Path(f"/project/clips/work-{n}")
        made.note(seen(What.APPEARED, n * 0.01, path, entry=True))
        made.note(seen(What.GONE, n * 0.01, path, entry=True))
    assert made.paths == {Path("/project/clips")}
    assert made.rests({Path("/project/clips"): FOLDER}, 20.0)


def test_an_input_that_comes_and_goes_is_named() -> None:
    """The project asked for it by its name."""
    made = settling(seen(What.APPEARED, 1.0), seen(What.GONE, 1.1))
    assert made.paths == {CLIP}


def test_an_old_entry_that_goes_is_named() -> None:
    """Only what was not there before leaves nothing."""
    made = settling(seen(What.GONE, 1.0, entry=True))
    assert made.paths == {CLIP}


steps = st.lists(
    st.tuples(
        st.sampled_from(list(What)),
        st.sampled_from([CLIP, LIST, Path("/project/b.png")]),
        st.floats(0, 3, allow_nan=False),
        st.integers(0, 2),
        st.booleans(),
    ),
    min_size=1,
    max_size=30,
)


@given(steps, st.booleans(), st.floats(0.02, 5))
def test_everything_rests_at_last_and_never_too_early(
    events: list[tuple[What, Path, float, int, bool]], closes: bool, settle_s: float
) -> None:
    """Whatever happened: nothing rests within the settle time of the last change, all does after the patience."""
    made, at = Settling(settle_s=settle_s, closes=closes), 0.0
    disk: dict[Path, Stamp] = {}
    for what, path, pause, size, entry in events:
        at += pause
        sight = seen(what, at, path, size, entry=entry)
        made.note(sight)
        disk[path] = sight.stamp
    found = {path: disk.get(path, FOLDER) for path in made.paths}
    early = at + settle_s * 0.99
    wait = made.wait_s(early)
    assert wait is not None
    assert wait > 0
    assert not made.rests(found, early)
    late = early + wait + 1e-6
    assert late <= at + max(made.patience_s, settle_s) + 1e-3
    assert made.rests(found, late)
    assert made.take().first_at <= at
    assert made.paths == frozenset() == made.writing
