"""The request body: JSON whose media are streamed as data URIs, never held in memory.

The bytes sent are the bytes that were fingerprinted: each file is digested while it leaves, and the body is cut
before its last piece when a digest differs, so that the server can never see a complete wrong request.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256

from kling_render.lifecycle.requests import SubmitRequest, Upload
from kling_render.providers.aimlapi.vocabulary import request_fields

_CHUNK = 3 * 64 * 1024
"""Bytes read at once: a multiple of 3, so that base64 pieces join without padding."""


class InputChanged(Exception):
    """A file no longer has the bytes that were fingerprinted; the request was not completed."""


class SubmitBody:
    """An async stream of known length; counts what it handed over."""

    def __init__(self, request: SubmitRequest) -> None:
        head = json.dumps(request_fields(request), ensure_ascii=True)
        self._parts: list[bytes | Upload] = [head[:-1].encode()]
        for name, media in (("image_url", request.image), ("video_url", request.video)):
            self._add(name, media)
        self._parts.append(b"}")
        self.declared = sum(len(p) if isinstance(p, bytes) else -(-p.size // 3) * 4 for p in self._parts)
        #: Body bytes handed to the connection: an upper bound of what left.
        self.sent = 0

    def _add(self, name: str, media: Upload | str) -> None:
        if isinstance(media, str):
            self._parts.append(f', "{name}": {json.dumps(media)}'.encode())
            return
        self._parts += [f', "{name}": "data:{media.mime};base64,'.encode(), media, b'"']

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held = b""
        for piece in self._joined():
            if held:
                self.sent += len(held)
                yield held
            held = piece
        # Every digest was checked before the last piece leaves.
        self.sent += len(held)
        yield held

    def _joined(self) -> Iterator[bytes]:
        """The pieces, small ones joined: each costs a trip through the HTTP library and a system call."""
        pieces: list[bytes] = []
        size = 0
        for piece in self._pieces():
            pieces.append(piece)
            size += len(piece)
            if size >= _CHUNK:
                yield b"".join(pieces)
                pieces, size = [], 0
        if pieces:
            yield b"".join(pieces)

    def _pieces(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from _encoded(part)


def _encoded(upload: Upload) -> Iterator[bytes]:
    digest, total = sha256(), 0
    try:
        with upload.path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                total += len(chunk)
                if total > upload.size:
                    break
                yield binascii.b2a_base64(chunk, newline=False)
    except OSError as error:
        raise InputChanged(f"{upload.path.name} can no longer be read: {error.strerror}") from error
    if total != upload.size or digest.hexdigest() != upload.sha256:
        raise InputChanged(f"{upload.path.name} changed after it was planned")
