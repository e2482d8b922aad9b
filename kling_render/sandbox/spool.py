"""Uploaded media: data URIs are decoded and hashed as they arrive and kept once per content."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import IO, cast

from kling_render.sandbox.body import Malformed
from kling_render.sandbox.mp4 import clip_seconds
from kling_render.sandbox.records import Upload

_HEAD_LIMIT = 512
_LINK_LIMIT = 65_536
_MEMORY = 1 << 20
_IMAGE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP", re.DOTALL)


class Spool:
    """A folder of decoded uploads, named by their SHA-256."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._seconds: dict[str, Fraction | None] = {}

    def path(self, sha256: str) -> Path:
        """Where an upload lies."""
        return self.folder / sha256

    def open(self) -> IO[bytes]:
        """A place for bytes on their way: small ones stay in memory."""
        return cast(IO[bytes], tempfile.SpooledTemporaryFile(_MEMORY, dir=str(self.folder)))

    def keep(self, arrived: IO[bytes], sha256: str) -> None:
        """Give the bytes their name; the same content is written once."""
        target = self.path(sha256)
        if target.exists():
            return
        partial = target.with_suffix(".part")
        arrived.seek(0)
        with partial.open("wb") as out:
            while piece := arrived.read(_MEMORY):
                out.write(piece)
        partial.replace(target)

    def seconds(self, sha256: str) -> Fraction | None:
        """Length of a kept clip; None when it is no readable MP4."""
        if sha256 not in self._seconds:
            self._seconds[sha256] = clip_seconds(self.path(sha256))
        return self._seconds[sha256]


class MediaSink:
    """Takes the characters of `image_url` or `video_url`: decodes a base64 data URI, keeps anything else as text."""

    def __init__(self, spool: Spool, *, is_video: bool) -> None:
        self._spool = spool
        self._is_video = is_video
        self._head = bytearray()
        self._mime: str | None = None
        self._problem = ""
        self._rest = b""
        self._ended = False
        self._hash = hashlib.sha256()
        self._size = 0
        self._first = b""
        self._arrived: IO[bytes] | None = None

    def write(self, raw: bytes) -> None:
        """A further piece of the JSON string."""
        if self._mime is not None:
            self._decode(raw)
            return
        self._head += raw
        self._begin()
        if len(self._head) > _LINK_LIMIT:
            raise Malformed("a link of more than 64 KiB")

    def finish(self) -> Upload | str:
        """The decoded upload, or the text as it was."""
        if self._mime is None:
            from kling_render.sandbox.body import PlainText

            plain = PlainText()
            plain.write(bytes(self._head))
            return plain.finish()
        if self._rest:
            self._problem = self._problem or "the base64 text has the wrong length"
        sha256 = self._hash.hexdigest()
        if self._arrived is not None:
            with self._arrived as arrived:
                if not self._problem:
                    self._spool.keep(arrived, sha256)
        readable = self._size > 0 and not self._problem
        return Upload(
            mime=self._mime,
            sha256=sha256,
            size=self._size,
            duration=self._spool.seconds(sha256) if self._is_video and readable else None,
            is_image=_IMAGE.match(self._first) is not None,
            problem=self._problem,
        )

    def _begin(self) -> None:
        """Look for the data URI's comma; without `;base64` before it the text stays a text."""
        if self._head[:5].lower() != b"data:":
            return
        head, comma, data = bytes(self._head[: _HEAD_LIMIT + 1]).replace(b"\\/", b"/").partition(b",")
        if not comma or not head.lower().endswith(b";base64"):
            return
        self._mime = head[5:].split(b";")[0].decode("ascii", "replace").lower()
        beyond = bytes(self._head[_HEAD_LIMIT + 1 :])
        self._head.clear()
        self._arrived = self._spool.open()
        self._decode(data + beyond)

    def _decode(self, raw: bytes) -> None:
        if self._problem:
            return
        text = self._rest + (raw.replace(b"\\/", b"/") if b"\\" in raw else raw)
        whole = len(text) - len(text) % 4
        self._rest = text[whole:]
        if not whole:
            return
        try:
            if self._ended:
                raise binascii.Error("text follows the padding")  # noqa: TRY301 - one way out for both
            data = base64.b64decode(text[:whole], validate=True)
        except binascii.Error as error:
            self._problem = f"the base64 text is damaged: {error}"
            return
        self._ended = len(data) < whole // 4 * 3
        if len(self._first) < 16:
            self._first = (self._first + data)[:16]
        self._hash.update(data)
        self._size += len(data)
        if self._arrived is not None:
            self._arrived.write(data)
