"""Whole bytes for a damaged or missing blob, where they can be had without asking anybody."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from kling_render.disk.publish import publish_copy
from kling_render.store.hashing import sha256_of
from kling_render.store.opening import Store


def mend_from(store: Store, sha256: str, size: int, copies: Iterable[str]) -> str | None:
    """Take the bytes from the first file that has exactly these; returns its path, None when none has.

    Raises:
        StoreFault: the store cannot be written.
    """
    for copy in copies:
        with contextlib.suppress(OSError, ValueError):
            path = Path(copy)
            if path.stat().st_size != size or sha256_of(path) != sha256:
                continue
            temporary = store.blobs.temporary()
            try:
                with store.fs.folder(temporary.parent) as folder:
                    publish_copy(folder, temporary.name, path, mode=0o600, fs=store.fs)
                if sha256_of(temporary) == sha256:  # it may have changed while it was copied
                    store.blobs.adopt(temporary, sha256)
                    return copy
            finally:
                temporary.unlink(missing_ok=True)
    return None
