"""Digests: fast when nothing changed, right when anything did, whatever became of the cache."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_render.store.cache import Cache
from kling_render.store.digests import StatDigests

SECOND = 1_000_000_000


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    opened = Cache(tmp_path / "cache.sqlite3")
    yield opened
    opened.close()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def later(path: Path, seconds: float = 60) -> int:
    """A time well after the file was written."""
    status = path.stat()
    return max(status.st_mtime_ns, status.st_ctime_ns) + int(seconds * SECOND)


def plant(cache: Cache, path: Path, planted: str, now: int) -> None:
    """Make the cache say something else than the file: then a re-read shows."""
    digests = StatDigests(cache, now_ns=lambda: now)
    digests.remember(path, planted)
    digests.save()


def test_a_remembered_file_is_not_read_again(tmp_path: Path, cache: Cache) -> None:
    """The commonest run reads no input."""
    path = tmp_path / "fox.png"
    path.write_bytes(b"fox")
    plant(cache, path, "0" * 64, later(path))
    assert StatDigests(cache).sha256(path) == "0" * 64


def test_a_file_changed_in_the_tick_it_was_seen_is_read_again(tmp_path: Path, cache: Cache) -> None:
    """It could have changed once more without a trace."""
    path = tmp_path / "fox.png"
    path.write_bytes(b"fox")
    plant(cache, path, "0" * 64, later(path, 0.001))
    assert StatDigests(cache).sha256(path) == sha(b"fox")


def test_a_file_system_that_counts_whole_seconds_is_given_more_time(tmp_path: Path, cache: Cache) -> None:
    """FAT's clock ticks every two seconds."""
    path = tmp_path / "fox.png"
    path.write_bytes(b"fox")
    os.utime(path, ns=(SECOND * 10**9, SECOND * 10**9))
    plant(cache, path, "0" * 64, later(path, 1.0))
    assert StatDigests(cache).sha256(path) == sha(b"fox")


def test_any_change_of_the_signature_makes_it_read(tmp_path: Path, cache: Cache) -> None:
    """Even one that puts the old time and size back."""
    path = tmp_path / "fox.png"
    path.write_bytes(b"fox")
    before = path.stat()
    plant(cache, path, "0" * 64, later(path))
    path.write_bytes(b"cat")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert StatDigests(cache).sha256(path) == sha(b"cat")


def test_what_is_hashed_is_saved_in_one_batch_and_found_by_the_next_run(tmp_path: Path, cache: Cache) -> None:
    """Across processes, that is across objects."""
    paths = [tmp_path / f"{number}.png" for number in range(50)]
    for path in paths:
        path.write_bytes(path.name.encode())
    first = StatDigests(cache, now_ns=lambda: later(paths[-1]))
    for path in paths:
        assert first.sha256(path) == sha(path.name.encode())
    assert cache.digest_rows() == []
    first.save()
    assert len(cache.digest_rows()) == 50
    assert len(cache.digest_rows(os.fsencode(tmp_path / "1"))) == 11


def test_many_are_hashed_at_once_and_each_gets_its_own_error(tmp_path: Path, cache: Cache) -> None:
    """All missing files are reported in one go."""
    there, missing = tmp_path / "a", tmp_path / "b"
    there.write_bytes(b"a")
    seen: list[tuple[int, int]] = []
    found = StatDigests(cache).sha256_many([there, missing, there], lambda done, total: seen.append((done, total)))
    assert found[there] == sha(b"a")
    assert isinstance(found[missing], FileNotFoundError)
    assert seen[-1] == (2, 2)


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs")
def test_a_fifo_is_an_error_and_no_hang(tmp_path: Path) -> None:
    """Nobody waits for a writer that never comes."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="regular file"):
        StatDigests(None).sha256(tmp_path / "fifo")


def test_a_name_that_is_not_unicode_is_a_name(tmp_path: Path, cache: Cache) -> None:
    """File names are bytes."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    try:
        path.write_bytes(b"fox")
    except OSError:
        pytest.skip("this disk wants Unicode")
    digests = StatDigests(cache, now_ns=lambda: later(path))
    assert digests.sha256(path) == sha(b"fox")
    digests.save()
    assert StatDigests(cache).sha256(path) == sha(b"fox")


def test_what_this_process_has_just_published_is_believed(tmp_path: Path, cache: Cache) -> None:
    """What is remembered now wins over what an earlier run saw."""
    path = tmp_path / "take.mp4"
    path.write_bytes(b"take")
    plant(cache, path, "0" * 64, later(path))
    digests = StatDigests(cache)
    digests.remember(path, "1" * 64)
    assert digests.sha256(str(path)) == "1" * 64


def test_times_before_1970_and_far_away_are_signatures_like_any_other(tmp_path: Path, cache: Cache) -> None:
    """Archives and cameras write what they like."""
    for number, seconds in enumerate((-(10**9), 2**34 - 1)):
        path = tmp_path / f"{number}.png"
        path.write_bytes(b"fox")
        os.utime(path, ns=(seconds * SECOND, seconds * SECOND))
        plant(cache, path, "0" * 64, later(path))
        assert StatDigests(cache).sha256(path) == "0" * 64


def test_answers_stay_right_whatever_bytes_of_the_cache_rot(tmp_path: Path) -> None:
    """A wrong digest would make a paid job look new; so damage costs time and nothing else."""
    file = tmp_path / "cache.sqlite3"
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for path in paths:
        path.write_bytes(path.name.encode())
    chance = random.Random(7)
    for _ in range(40):
        cache = Cache(file)
        digests = StatDigests(cache, now_ns=lambda: later(paths[-1]))
        assert [digests.sha256(path) for path in paths] == [sha(path.name.encode()) for path in paths]
        cache.put("price", "model", {"usd": "0.112"})
        assert cache.get("price", "model") in ({"usd": "0.112"}, None)
        digests.save()
        cache.save()
        cache.close()
        data = bytearray(file.read_bytes())
        for _ in range(chance.randrange(1, 200)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        file.write_bytes(data[: chance.choice([len(data), len(data), chance.randrange(len(data))])])


class TestFacts:
    def test_facts_are_found_by_the_next_run(self, tmp_path: Path) -> None:
        """Media facts and prices are looked up once."""
        first = Cache(tmp_path / "c")
        first.put("media", "ab", {"seconds": "4.0", "ü": [1, None]})
        first.save()
        first.put("media", "unsaved", 1)
        assert first.all("media").keys() == {"ab", "unsaved"}
        first.close()
        second = Cache(tmp_path / "c")
        assert second.all("media") == {"ab": {"seconds": "4.0", "ü": [1, None]}}
        assert second.get("media", "ab") == {"seconds": "4.0", "ü": [1, None]}
        assert second.get("other", "ab") is None
        second.close()

    def test_a_cache_that_cannot_be_opened_remembers_nothing_and_says_nothing(self, tmp_path: Path) -> None:
        """It is only a cache."""
        cache = Cache(tmp_path / "missing" / "c")
        cache.put("k", "a", 1)
        cache.save()
        assert cache.get("k", "b") is None
        cache.close()

    def test_a_cache_of_another_version_is_begun_anew(self, tmp_path: Path) -> None:
        """Derived data needs no migration."""
        import sqlite3

        connection = sqlite3.connect(tmp_path / "c")
        connection.execute("CREATE TABLE facts (x)")
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        cache = Cache(tmp_path / "c")
        cache.put("k", "a", 1)
        cache.save()
        assert cache.get("k", "a") == 1
        cache.close()


def test_a_name_that_is_no_utf_8_is_remembered_like_any_other(tmp_path: Path) -> None:
    """It costs nothing else that is known."""
    cache = Cache(tmp_path / "cache.db")
    cache.put("name", "a", "fox.png")
    cache.save()
    cache.put("name", "b", "bad\udcff.png")
    cache.save()
    cache.close()
    again = Cache(tmp_path / "cache.db")
    assert again.all("name") == {"a": "fox.png", "b": "bad\udcff.png"}
    again.close()
