"""Blobs: found by their digest, checked against it, never believed when damaged."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_render.disk.faults import FaultyFiles
from kling_render.errors import StoreFault
from kling_render.store.blobs import DiskBlobs
from kling_render.store.opening import Store

DATA = b"a render" * 1000
NAME = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def keep(blobs: DiskBlobs, data: bytes = DATA) -> Path:
    temporary = blobs.temporary()
    temporary.write_bytes(data)
    return blobs.adopt(temporary, hashlib.sha256(data).hexdigest())


def test_an_adopted_file_lies_under_its_digest_and_cannot_be_edited_by_accident(store: Store) -> None:
    """Paid bytes are read-only."""
    path = keep(store.blobs)
    assert path == store.layout.blobs / NAME[:2] / NAME
    assert path.read_bytes() == DATA
    assert store.blobs.has(NAME)
    assert store.blobs.verified(NAME) == path
    assert list(store.blobs.everything()) == [(NAME, len(DATA))]
    assert list(store.layout.tmp.iterdir()) == []
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o777 == 0o400


def test_adopting_the_same_bytes_twice_keeps_the_first_file(store: Store) -> None:
    """Two processes may fetch one result."""
    first = keep(store.blobs).stat().st_ino
    assert keep(store.blobs).stat().st_ino == first
    assert list(store.layout.tmp.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", DATA[:-1], b"X" + DATA[1:]])
def test_damaged_bytes_go_to_quarantine_and_can_be_fetched_again(store: Store, damage: bytes) -> None:
    """A wrong byte is never served, and never thrown away."""
    for round_ in (1, 2):
        path = keep(store.blobs)
        path.chmod(0o600)
        path.write_bytes(damage)
        assert store.blobs.verified(NAME) is None
        assert not store.blobs.has(NAME)
        assert len(list(store.layout.quarantine.iterdir())) == round_
    assert keep(store.blobs).read_bytes() == DATA


def test_adopting_over_a_damaged_file_replaces_it(store: Store) -> None:
    """What was fetched again is what is served."""
    path = keep(store.blobs)
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    assert keep(store.blobs).read_bytes() == DATA


def test_a_missing_blob_is_none_and_no_fault(store: Store) -> None:
    """It is fetched again."""
    assert store.blobs.verified(NAME) is None
    assert not store.blobs.has(NAME)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63])
def test_a_name_that_is_no_digest_opens_nothing(store: Store, name: str) -> None:
    """Names come from a database."""
    with pytest.raises(ValueError, match="SHA-256"):
        store.blobs.path(name)


@pytest.mark.parametrize(
    ("error", "code"), [(errno.ENOSPC, "store-full"), (errno.EIO, "store-io"), (errno.EROFS, "store-read-only")]
)
def test_a_failing_disk_keeps_no_half_blob_and_drops_the_temporary_file(store: Store, error: int, code: str) -> None:
    """Whatever call fails, the name holds everything or nothing."""
    outcomes = []
    for at in range(1, 30):
        fs = FaultyFiles(at, error)
        blobs = DiskBlobs(store.layout, fs=fs)
        data = f"render {at}".encode() * 1000
        try:
            keep(blobs, data)
        except StoreFault as fault:
            outcomes.append(fault.code)
        found = store.blobs.verified(hashlib.sha256(data).hexdigest())
        assert found is None or found.read_bytes() == data
        assert list(store.layout.quarantine.iterdir()) == []
        assert list(store.layout.tmp.iterdir()) == []
        if len(fs.calls) < at:
            break
    assert set(outcomes) == {code}
    assert len(outcomes) >= 6


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root reads everything")
def test_a_blob_that_may_not_be_read_is_a_fault_and_not_damage(store: Store) -> None:
    """Permissions can be mended; nothing is moved."""
    path = keep(store.blobs)
    path.chmod(0)
    with pytest.raises(StoreFault, match="permission"):
        store.blobs.verified(NAME)
