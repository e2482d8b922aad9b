"""The publisher: takes as they come, and one final per cell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from kling_render.lifecycle.records import Result
from kling_render.outputs.publisher import TreePublisher
from kling_render.store.opening import Store

JOB = "sc010/fox/wave"


@dataclass(frozen=True)
class Target:
    job: str
    take: int
    output: Path
    final: Path
    root: Path
    folder: Path
    picked: int | None = None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def target(tmp_path: Path, take: int, picked: int | None = None) -> Target:
    root = tmp_path / "project" / "renders"
    return Target(
        f"{JOB}/t{take:02d}", take, root / f"takes/t{take:02d}.mp4", root / "w.mp4", root, root.parent, picked
    )


def result(store: Store, take: int) -> Result:
    data = f"take {take}".encode()
    temporary = store.blobs.temporary()
    temporary.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    store.blobs.adopt(temporary, sha256)
    return Result(
        namespace="https://api.example",
        fingerprint=f"{take:064x}",
        blob=sha256,
        size=len(data),
        attempt=f"A{take}",
        charge=896_000,
        generation_id=f"g{take}",
        made_at=1_785_000_000.0,
    )


def publisher(store: Store, finished: dict[Path, list[int]] | None = None) -> TreePublisher:
    return TreePublisher(
        store.blobs, store.digests(), now=lambda: 1_785_000_000.0, tool_version="1.0.0", finished=finished
    )


@pytest.mark.parametrize(
    ("order", "picked", "final"),
    [([1, 2], None, b"take 1"), ([2, 1], None, b"take 1"), ([3, 2], None, b"take 2"), ([1, 2], 2, b"take 2")],
)
def test_the_final_is_right_in_whatever_order_takes_arrive(
    tmp_path: Path, store: Store, order: list[int], picked: int | None, final: bytes
) -> None:
    """Renders finish when they finish."""
    publish = publisher(store)
    for take in order:
        publish.publish(target(tmp_path, take, picked), result(store, take), '{"take":1}')
    assert (tmp_path / "project/renders/w.mp4").read_bytes() == final
    assert publish.notices == []
    content = json.loads((tmp_path / f"project/renders/takes/t{order[0]:02d}.mp4.json").read_text())
    assert (content["usd"], content["manifest"]) == ("0.448", {"take": 1})


def test_takes_that_arrive_at_once_agree_on_the_final(tmp_path: Path, store: Store) -> None:
    """From many threads."""
    publish = publisher(store)
    results = {take: result(store, take) for take in range(1, 13)}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda t: publish.publish(target(tmp_path, t), results[t], "{}"), sorted(results, reverse=True)))
    assert (tmp_path / "project/renders/w.mp4").read_bytes() == b"take 1"


def test_a_higher_take_does_not_replace_one_that_is_up_to_date(tmp_path: Path, store: Store) -> None:
    """Raising `takes` adds files and changes none."""
    first = publisher(store)
    first.publish(target(tmp_path, 1), result(store, 1), "{}")
    final = target(tmp_path, 1).final
    before = final.stat()
    publisher(store, {final: [1]}).publish(target(tmp_path, 2), result(store, 2), "{}")
    assert final.stat().st_mtime_ns == before.st_mtime_ns
    assert final.read_bytes() == b"take 1"


def test_what_was_in_the_way_is_told(tmp_path: Path, store: Store) -> None:
    """Nothing happens silently."""
    final = target(tmp_path, 1).final
    final.parent.mkdir(parents=True)
    final.write_bytes(b"the user's")
    publish = publisher(store)
    publish.publish(target(tmp_path, 1), result(store, 1), "{}")
    assert len(publish.notices) == 1
    assert ".trash/20260725T172000Z/w.mp4" in publish.notices[0]


def test_an_output_folder_that_leads_out_of_the_project_is_refused(tmp_path: Path, store: Store) -> None:
    """The result stays in the store, and the message says why."""
    (tmp_path / "home").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "project/renders").symlink_to(tmp_path / "home", target_is_directory=True)
    with pytest.raises(OSError, match="out of the project"):
        publisher(store).publish(target(tmp_path, 1), result(store, 1), "{}")
    assert list((tmp_path / "home").iterdir()) == []
