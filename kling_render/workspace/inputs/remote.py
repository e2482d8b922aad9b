"""Brings remote inputs once: their bytes lie in the store, remembered by URL and tag, and are only used for looking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kling_render.errors import Problems
from kling_render.ports import Fetched, FetchFailed, LinkExpired, Unchanged
from kling_render.shotlist.records import InputRef
from kling_render.store.blobs import DiskBlobs
from kling_render.store.cache import Cache

REMOTE = "remote-input/1"
_TAG = "remote-tag/1"
_FRESH_S = 600.0
"""Seconds for which bytes that were fetched, or said to be unchanged, are not asked about again."""


def fetch_all(
    refs: Iterable[InputRef],
    problems: Problems,
    *,
    blobs: DiskBlobs,
    cache: Cache,
    offline: bool,
    now: float,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
    transport: Any | None = None,
) -> Mapping[InputRef, Path]:
    """The local copy of each remote input; one that cannot be had is a warning, for the model may still reach it.

    A pinned input is fetched once. Another one is asked about again after ten minutes, by its tag: an unchanged file
    is not sent again.

    Args:
        refs: inputs with a URL.
        problems: takes the warnings.
        blobs: where the bytes lie.
        cache: remembers digests and tags by URL.
        offline: whether nothing may be asked.
        now: seconds since the epoch.
        progress: called with a few words, how many are done and how many there are.
        transport: what sends requests, of the kind that the provider's client takes; None: the network.
    """
    memory = _Memory(blobs, cache, now)
    found: dict[InputRef, Path] = {}
    missing: list[InputRef] = []
    for ref in refs:
        assert ref.url is not None
        digest = ref.pin or cache.get(REMOTE, ref.url)
        if digest and blobs.has(digest):
            found[ref] = blobs.path(digest)
            if ref.pin or offline or not memory.is_old(ref.url):
                continue
        elif offline:
            help_ = "leave out --offline to check it"
            problems.warning("KR0218", f"{ref.shown} was not fetched, so it is not checked", ref.place, help=help_)
            continue
        missing.append(ref)
    tags = {ref.url: memory.tag(ref.url) if ref in found else "" for ref in missing if ref.url is not None}
    came = memory.fetch(tags, lambda done: progress("fetching inputs", done, len(tags)), transport) if tags else {}
    for ref in missing:
        assert ref.url is not None
        result = came[ref.url]
        if isinstance(result, Path):
            found[ref] = result
        elif isinstance(result, FetchFailed):
            told = _told(ref, result, at_hand=ref in found)
            if told:
                help_ = "check the URL in a browser; the model's server must be able to read it"
                problems.warning("KR0218", told, ref.place, help=help_)
    return found


def _told(ref: InputRef, failed: FetchFailed, *, at_hand: bool) -> str:
    """What to say of an input that was not fetched; empty for a server that is away while its bytes are at hand."""
    if not at_hand:
        return f"{ref.shown} is not checked: {failed}"
    if isinstance(failed, LinkExpired):
        return f"{ref.shown} may be gone: {failed}; what was fetched before is checked"
    return ""


@dataclass(frozen=True, slots=True)
class _Memory:
    """What was fetched before, at a time."""

    blobs: DiskBlobs
    cache: Cache
    #: Seconds since the epoch.
    now: float

    def tag(self, url: str) -> str:
        """What the server called the bytes; empty when it did not say."""
        stored = self.cache.get(_TAG, url)
        return str(stored.get("etag", "")) if isinstance(stored, dict) else ""

    def is_old(self, url: str) -> bool:
        """Whether to ask if the bytes are still the same; without a tag they would all be sent again."""
        stored = self.cache.get(_TAG, url)
        at = float(stored.get("at", 0)) if isinstance(stored, dict) else 0.0
        return bool(self.tag(url)) and not 0 <= self.now - at < _FRESH_S

    def fetch(
        self, tags: Mapping[str, str], done: Callable[[int], None], transport: Any | None
    ) -> dict[str, Path | FetchFailed | None]:
        """Fetch URLs, each with the tag of the bytes at hand; None: they are unchanged."""
        import asyncio

        from kling_render.providers.aimlapi.remote import Wanted, fetch_inputs

        wanted = [Wanted(url, self.blobs.temporary(), known) for url, known in tags.items()]
        try:
            came = asyncio.run(fetch_inputs(wanted, done, transport=transport))
            return {one.url: self._keep(one.url, one.target, it) for one, it in zip(wanted, came, strict=True)}
        finally:
            for one in wanted:
                one.target.unlink(missing_ok=True)

    def _keep(self, url: str, target: Path, result: Fetched | FetchFailed | Unchanged) -> Path | FetchFailed | None:
        if isinstance(result, Fetched):
            path = self.blobs.adopt(target, result.sha256)
            self.cache.put(REMOTE, url, result.sha256)
            self.cache.put(_TAG, url, {"etag": result.etag, "at": self.now})
            return path
        if isinstance(result, Unchanged):
            self.cache.put(_TAG, url, {"etag": self.tag(url), "at": self.now})
            return None
        return result
