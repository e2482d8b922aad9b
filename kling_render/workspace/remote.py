"""Brings remote inputs once: their bytes lie in the store, remembered by URL, and are only used for looking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from kling_render.errors import Problems
from kling_render.ports import FetchFailed
from kling_render.shotlist.records import InputRef
from kling_render.store.blobs import DiskBlobs
from kling_render.store.cache import Cache

REMOTE = "remote-input/1"


def fetch_all(
    refs: Iterable[InputRef], problems: Problems, *, blobs: DiskBlobs, cache: Cache, offline: bool
) -> Mapping[InputRef, Path]:
    """The local copy of each remote input; one that cannot be had is a warning, for the model may still reach it."""
    found: dict[InputRef, Path] = {}
    for ref in refs:
        assert ref.url is not None
        digest = ref.pin or cache.get(REMOTE, ref.url)
        if digest and blobs.has(digest):
            found[ref] = blobs.path(digest)
        elif offline:
            help_ = "leave out --offline to check it"
            problems.warning("KR0218", f"{ref.shown} was not fetched, so it is not checked", ref.place, help=help_)
        else:
            _fetch(ref, found, problems, blobs, cache)
    return found


def _fetch(ref: InputRef, found: dict[InputRef, Path], problems: Problems, blobs: DiskBlobs, cache: Cache) -> None:
    import asyncio

    from kling_render.providers.aimlapi.remote import fetch_input

    assert ref.url is not None
    temporary = blobs.temporary()
    try:
        fetched = asyncio.run(fetch_input(ref.url, temporary))
        found[ref] = blobs.adopt(temporary, fetched.sha256)
        cache.put(REMOTE, ref.url, fetched.sha256)
    except FetchFailed as error:
        help_ = "check the URL in a browser; the model's server must be able to read it"
        problems.warning("KR0218", f"{ref.shown} is not checked: {error}", ref.place, help=help_)
    finally:
        temporary.unlink(missing_ok=True)
