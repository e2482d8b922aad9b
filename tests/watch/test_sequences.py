"""Announcements as programs cause them, in virtual time: one batch for each save, with the file and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kling_render.watch.batches import Batch, SettledBatches
from kling_render.watch.settle import Settling, What
from kling_render.watch.sightings import Sightings
from kling_render.watch.stamps import MISSING, Stamp
from kling_render.watch.targets import Targets, fold
from tests.watch.saves import COPIES, SAVES, Step, announced
from tests.watch.virtual import LoopClock, play

FOLDER = Path("/project")
LIST, NEW = FOLDER / "x.yaml", FOLDER / "new.mp4"
OUTPUTS = FOLDER / "renders"
FILE = 0o100644


def targets(files: Iterable[Path], folders: Iterable[Path] = ()) -> Targets:
    exact: dict[str, tuple[Path, ...]] = {fold(str(path)): (path,) for path in files}
    listed: dict[str, tuple[Path, ...]] = {fold(str(path)): (path,) for path in folders}
    return Targets(exact, listed, frozenset({fold(str(FOLDER))}), frozenset({str(FOLDER)}))


@dataclass(slots=True)
class Room:
    """A disk that is a dictionary, and a watch over it."""

    targets: Targets
    settle_s: float = 0.05
    closes: bool = True
    disk: dict[Path, Stamp] = field(default_factory=dict)
    changes: list[frozenset[Path]] = field(default_factory=list)
    clock: LoopClock = field(default_factory=LoopClock)
    batches: SettledBatches = field(init=False)
    sightings: Sightings = field(init=False)

    def __post_init__(self) -> None:
        settling = Settling(settle_s=self.settle_s, closes=self.closes)
        self.batches = SettledBatches(
            self.clock, settling, on_change=self.changes.append, looking=self.looking, settled=self.settled
        )
        self.sightings = Sightings(
            look=lambda path: self.disk.get(path, MISSING),
            known=lambda _path: None,
            ignored=lambda path: path == OUTPUTS or OUTPUTS in path.parents,
            now=self.clock.monotonic,
            targets=self.targets,
        )

    async def looking(self, paths: Iterable[Path]) -> Mapping[Path, Stamp]:
        await asyncio.sleep(0)
        return {path: self.disk.get(path, MISSING) for path in paths}

    def settled(self, found: Mapping[Path, Stamp]) -> None:
        self.sightings.new.difference_update(found)

    def happens(self, path: str | Path, what: What, size: int | None = None) -> bool:
        """One announcement; whether something on the way moved."""
        path = Path(path)
        if what is What.GONE:
            self.disk.pop(path, None)
        else:
            old = self.disk.get(path, (FILE, 0, 0))
            at = int(self.clock.monotonic() * 1e9)
            self.disk[path] = (FILE, old[1] + 1 if size is None else size, at)
        sights, moved = self.sightings.of(str(path), what)
        self.batches.report(sights)
        return moved

    async def none_within(self, seconds: float) -> None:
        """Nothing settles for so long."""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.batches.next(), seconds)


async def saved(room: Room, steps: Sequence[Step], there: set[str], pause: float) -> Batch:
    for path, what in announced(steps, FOLDER, there):
        room.happens(path, what)
        await asyncio.sleep(pause)
    return await room.batches.next()


@pytest.mark.parametrize("pause", [0.0, 0.02])
@pytest.mark.parametrize("way", SAVES)
def test_a_save_is_one_batch_with_the_file(way: str, pause: float) -> None:
    """However the editor does it; the files it makes beside it are not in it."""

    async def story() -> None:
        room = Room(targets([LIST]))
        batch = await saved(room, SAVES[way], {"x.yaml"}, pause)
        assert batch.paths == (LIST,)
        assert batch.settled_at - batch.first_at >= room.settle_s
        assert room.changes == [frozenset({LIST})]
        await room.none_within(100)

    play(story())


@pytest.mark.parametrize("pause", [0.0, 0.02])
@pytest.mark.parametrize("way", SAVES)
def test_a_save_beside_a_glob_names_no_temporary_file(way: str, pause: float) -> None:
    """At most the folder, when a name nobody knows came and went in it."""

    async def story() -> None:
        room = Room(targets([LIST], [FOLDER]))
        batch = await saved(room, SAVES[way], {"x.yaml"}, pause)
        assert set(batch.paths) - {FOLDER} == {LIST}
        await room.none_within(100)

    play(story())


@pytest.mark.parametrize("pause", [0.0, 0.02])
@pytest.mark.parametrize("way", COPIES)
def test_a_copy_into_a_folder_is_one_batch_with_the_file(way: str, pause: float) -> None:
    """Browsers, file managers and sync tools; under the name it has in the end."""

    async def story() -> None:
        room = Room(targets([], [FOLDER]))
        batch = await saved(room, COPIES[way], set(), pause)
        assert set(batch.paths) - {FOLDER} == {NEW}  # Firefox makes, and removes, an empty file of that name
        await room.none_within(100)

    play(story())


def test_a_slow_copy_is_waited_for() -> None:
    """A clip that arrives in portions with long pauses, as over a poor line."""

    async def story() -> None:
        room = Room(targets([], [FOLDER]))
        room.happens(NEW, What.APPEARED, 0)
        for portion in range(20):
            await room.none_within(10)
            room.happens(NEW, What.WRITTEN, (portion + 1) * 1000)
        room.happens(NEW, What.CLOSED, 20_000)
        assert (await room.batches.next()).paths == (NEW,)
        assert room.clock.monotonic() == pytest.approx(200.05, abs=0.01)

    play(story())


def test_where_no_close_is_announced_growth_is_waited_for() -> None:
    """Nothing is announced at all between the first byte and the last; the size says that it grows."""

    async def story() -> None:
        room = Room(targets([], [FOLDER]), closes=False)
        room.happens(NEW, What.APPEARED, 10)

        async def grow() -> None:
            for size in range(20, 200, 10):
                await asyncio.sleep(0.04)
                room.disk[NEW] = (FILE, size, size)

        growing = asyncio.create_task(grow())
        await room.batches.next()
        assert growing.done()

    play(story())


def test_a_burst_over_many_files_is_one_batch() -> None:
    """A thousand saves in ten seconds, each within the settle time of the one before."""
    files = [FOLDER / f"{n}.png" for n in range(100)]

    async def story() -> None:
        room = Room(targets(files), settle_s=0.02)
        for n in range(1000):
            room.happens(files[n % 100], What.WRITTEN)
            room.happens(files[n % 100], What.CLOSED)
            await asyncio.sleep(0.01)
        batch = await room.batches.next()
        assert batch.paths == tuple(sorted(files))
        assert sum(map(len, room.changes)) == 100
        await room.none_within(100)

    play(story())


def test_saves_apart_are_batches_apart() -> None:
    """Each with its own times."""

    async def story() -> None:
        room = Room(targets([LIST]))
        for n in range(3):
            room.happens(LIST, What.CLOSED)
            batch = await room.batches.next()
            assert batch.first_at == pytest.approx(n * 1.05)
            assert batch.settled_at == pytest.approx(n * 1.05 + 0.05)
            await asyncio.sleep(1.0)

    play(story())


def test_outputs_and_noise_make_no_batch() -> None:
    """Neither does a file that nobody asked for, nor writing into one that is no input."""

    async def story() -> None:
        room = Room(targets([LIST], [FOLDER, OUTPUTS]))
        for name in ("renders/a.mp4", "renders", ".x.yaml.swp", "deep/er.png"):
            for what in What:
                room.happens(FOLDER / name, what)
        room.happens(FOLDER / "notes.txt", What.WRITTEN)
        room.happens(FOLDER / "notes.txt", What.CLOSED)
        await room.none_within(100)
        assert room.changes == []

    play(story())


def test_a_folder_on_the_way_that_moves_asks_for_a_look() -> None:
    """What it means for the files below is not announced."""

    async def story() -> None:
        room = Room(targets([LIST]))
        assert room.happens(FOLDER, What.GONE)
        assert not room.happens(FOLDER, What.WRITTEN)

    play(story())


def test_a_cancelled_wait_loses_nothing() -> None:
    """The next one gets the batch."""

    async def story() -> None:
        room = Room(targets([LIST]))
        room.happens(LIST, What.CLOSED)
        await room.none_within(0.01)
        assert (await room.batches.next()).paths == (LIST,)

    play(story())


def test_a_longer_settle_time_counts_at_once() -> None:
    """A shot list that asks for it is read before the wait is over."""

    async def story() -> None:
        room = Room(targets([LIST]))
        room.happens(LIST, What.CLOSED)
        room.batches.settle_for(5.0)
        batch = await room.batches.next()
        assert batch.settled_at - batch.first_at == pytest.approx(5.0)

    play(story())


def test_a_shorter_settle_time_counts_at_once_too() -> None:
    """Also while the longer one is waited for."""

    async def story() -> None:
        room = Room(targets([LIST]), settle_s=100.0)
        room.happens(LIST, What.CLOSED)
        waiting = asyncio.create_task(room.batches.next())
        await asyncio.sleep(0.1)
        room.batches.settle_for(1.0)
        batch = await waiting
        assert batch.settled_at - batch.first_at == pytest.approx(1.0)

    play(story())


def test_a_day_of_saves_leaves_nothing_behind() -> None:
    """A save a minute, and a program that makes and removes names of its own all the time."""

    async def story() -> None:
        room = Room(targets([LIST], [FOLDER]), settle_s=1.0)
        for minute in range(24 * 60):
            room.happens(FOLDER / f"work-{minute}", What.APPEARED)
            room.happens(FOLDER / f"work-{minute}", What.GONE)
            room.happens(LIST, What.CLOSED)
            await room.batches.next()
            await asyncio.sleep(59.0)
        assert room.sightings.new == set()
        assert room.batches.unsettled == frozenset()
        assert len(asyncio.all_tasks()) == 1

    play(story())
