"""The file that `store export` writes: a plain tar of a manifest, a copy of the ledger, and every result.

    manifest.json        format, and SHA-256 and size of everything that follows, in its order
    ledger.sqlite3
    blobs/ab/ab12…

The same store gives the same bytes. A reader takes exactly this form and nothing else of what tar can say: no links,
devices, folders, long names, sparse or compressed parts.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from kling_render.disk.filesystem import FileSystem
from kling_render.disk.publish import write_all
from kling_render.errors import StoreFault

FORMAT = "kling-render.store-archive/1"
MANIFEST, LEDGER = "manifest.json", "ledger.sqlite3"
_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_MANIFEST_LIMIT = 64 << 20
_LEDGER_LIMIT = 1 << 40
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OPEN = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the archive."""

    sha256: str
    #: Bytes.
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the archive holds."""

    #: Format of the ledger.
    ledger_format: int
    ledger: Part
    #: Sorted by name.
    blobs: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes of everything together."""
        return self.ledger.size + sum(blob.size for blob in self.blobs)


def blob_name(sha256: str) -> str:
    """The name of a result inside the archive."""
    return f"blobs/{sha256[:2]}/{sha256}"


class Damaged(Exception):
    """A file whose bytes are not those that were promised."""


def write(
    fd: int, manifest: Manifest, place: Callable[[Part], Path], fs: FileSystem, progress: Callable[[int, int], None]
) -> None:
    """Write a whole archive to an open file; memory does not grow with it.

    Raises:
        Damaged: a file is not what the manifest says; carries its SHA-256.
        OSError: as usual.
    """
    head = _text(manifest)
    _write_header(fd, MANIFEST, len(head), fs)
    write_all(fd, head + _padding(len(head)), fs=fs)
    parts = [(LEDGER, manifest.ledger), *((blob_name(blob.sha256), blob) for blob in manifest.blobs)]
    for number, (name, part) in enumerate(parts, 1):
        _write_header(fd, name, part.size, fs)
        _write_file(fd, place(part), part, fs)
        write_all(fd, _padding(part.size), fs=fs)
        progress(number, len(parts))
    write_all(fd, bytes(2 * _BLOCK), fs=fs)


class Reader:
    """Reads an archive once, from its beginning to its end.

    Raises:
        StoreFault: it is none, is damaged, or is of a newer format; nothing was changed.
    """

    def __init__(self, path: Path, *, known_format: int) -> None:
        self._path = path
        self._stream = self._opened()
        try:
            self.manifest = self._read_manifest(known_format)
        except BaseException:
            self.close()
            raise

    def ledger(self, write_chunk: Callable[[memoryview], object]) -> None:
        """Hand over the ledger's bytes; call first."""
        self._take(LEDGER, self.manifest.ledger, write_chunk)

    def blobs(self, writer: Callable[[Part], Callable[[memoryview], object]]) -> Iterator[Part]:
        """Hand over each result's bytes to what `writer` returns; yields it once all of them proved right."""
        for blob in self.manifest.blobs:
            self._take(blob_name(blob.sha256), blob, writer(blob))
            yield blob
        self._take_end()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _opened(self) -> BinaryIO:
        try:
            fd = os.open(self._path, _OPEN)
        except OSError as fault:
            help_ = "Name a file that `kling-render store export` wrote."
            raise StoreFault(f"cannot read {self._path}: {fault.strerror}", help=help_, code="archive") from fault
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise self._refused("it is not a file")
        return os.fdopen(fd, "rb", buffering=0)

    def _read_manifest(self, known_format: int) -> Manifest:
        size = self._header(MANIFEST)
        if size is None or size > _MANIFEST_LIMIT:
            raise self._refused("its table of contents is missing or too large")
        data = bytearray()
        self._copy(size, data.extend)
        try:
            content = json.loads(bytes(data))
            form, ledger_format = str(content["format"]), int(content["ledger_format"])
            if form.startswith("kling-render.store-archive/") and (form != FORMAT or ledger_format > known_format):
                raise StoreFault(
                    f"{self._path} was written by a newer kling-render (archive {form}, ledger {ledger_format})",
                    help="Upgrade kling-render, then import it.",
                    code="store-newer",
                )
            found = Manifest(ledger_format, _part(content["ledger"]), tuple(map(_part, content["blobs"])))
        except (ValueError, KeyError, TypeError, RecursionError) as fault:
            raise self._refused("its table of contents is damaged") from fault
        names = [blob.sha256 for blob in found.blobs]
        if form != FORMAT or names != sorted(set(names)) or found.ledger.size > _LEDGER_LIMIT:
            raise self._refused("its table of contents contradicts itself")
        return found

    def _take(self, name: str, part: Part, write_chunk: Callable[[memoryview], object]) -> None:
        if self._header(name) != part.size:
            raise self._refused(f"{name} does not follow where it should")
        digest = hashlib.sha256()

        def both(chunk: memoryview) -> None:
            digest.update(chunk)
            write_chunk(chunk)

        self._copy(part.size, both)
        if digest.hexdigest() != part.sha256:
            raise self._refused(f"the bytes of {name} are damaged")

    def _take_end(self) -> None:
        """Two empty blocks, and what tar programs fill the last record with."""
        rest = self._exactly(2 * _BLOCK) + self._stream.read(tarfile.RECORDSIZE)
        if rest.count(0) != len(rest) or self._stream.read(1):
            raise self._refused("something follows its end")

    def _header(self, name: str) -> int | None:
        """The size of the next file; None when it has another name or is no plain file."""
        block = self._exactly(_BLOCK)
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.TarError, ValueError) as fault:
            raise self._refused("it is cut off, damaged or no tar file") from fault
        plain = info.type == tarfile.REGTYPE and info.name == name and info.size >= 0
        return info.size if plain and not info.linkname else None

    def _copy(self, size: int, write_chunk: Callable[[memoryview], object]) -> None:
        left, buffer = size, memoryview(bytearray(_CHUNK))
        while left:
            count = self._stream.readinto(buffer[: min(left, _CHUNK)])  # type: ignore[attr-defined] # unbuffered
            if not count:
                raise self._refused("it ends too early")
            write_chunk(buffer[:count])
            left -= count
        if self._exactly(len(_padding(size))).strip(b"\0"):
            raise self._refused("something stands between its files")

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self._stream.read(count - len(data))
            if not chunk:
                raise self._refused("it ends too early")
            data += chunk
        return data

    def _refused(self, why: str) -> StoreFault:
        help_ = "Export the store again, or take another copy of the file. Nothing was changed."
        return StoreFault(f"{self._path} is no sound export of a store: {why}", help=help_, code="archive")


def _text(manifest: Manifest) -> bytes:
    blobs = ",\n".join(f'  {{"sha256": "{blob.sha256}", "size": {blob.size}}}' for blob in manifest.blobs)
    ledger = json.dumps({"sha256": manifest.ledger.sha256, "size": manifest.ledger.size})
    return (
        f'{{\n "format": "{FORMAT}",\n "ledger_format": {manifest.ledger_format},\n "ledger": {ledger},\n'
        f' "blobs": [\n{blobs}\n ]\n}}\n'
    ).encode()


def _part(content: dict[str, Any]) -> Part:
    sha256, size = content["sha256"], content["size"]
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256) or type(size) is not int or size < 0:
        raise ValueError(sha256)
    return Part(sha256, size)


def _write_header(fd: int, name: str, size: int, fs: FileSystem) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, 0
    write_all(fd, info.tobuf(tarfile.GNU_FORMAT), fs=fs)


def _write_file(fd: int, path: Path, part: Part, fs: FileSystem) -> None:
    digest, count = hashlib.sha256(), 0
    try:
        source = path.open("rb", buffering=0)
    except OSError as fault:
        raise Damaged(part.sha256) from fault
    with source:
        while chunk := source.read(_CHUNK):
            count += len(chunk)
            if count > part.size:
                break
            digest.update(chunk)
            write_all(fd, chunk, fs=fs)
    if count != part.size or digest.hexdigest() != part.sha256:
        raise Damaged(part.sha256)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
