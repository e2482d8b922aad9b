"""What is sent for a job: local files with their digests, trimmed copies made once, or the URLs of remote inputs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kling_render.engine.work import Work
from kling_render.lifecycle.requests import SubmitRequest, Upload
from kling_render.media.facts import ClipFacts, ImageFacts
from kling_render.media.work import WorkError
from kling_render.ports import InputGone
from kling_render.shotlist.records import InputRef, Request
from kling_render.store.blobs import DiskBlobs
from kling_render.store.cache import Cache
from kling_render.store.hashing import sha256_of
from kling_render.workspace.inputs.inspect import Inspection

TRIM = "trim/1"


class ProjectUploads:
    """`engine.world.Uploads` over an inspected project."""

    def __init__(self, inspection: Inspection, blobs: DiskBlobs, cache: Cache) -> None:
        self._inspection = inspection
        self._blobs = blobs
        self._cache = cache
        self._trims: dict[str, asyncio.Lock] = {}

    async def prepare(self, work: Work, client_request_id: str) -> SubmitRequest:
        """See `engine.world.Uploads.prepare`."""
        request = work.request
        assert request is not None
        trimmed = request.start is not None or request.end is not None
        return SubmitRequest(
            client_request_id=client_request_id,
            model=request.model,
            image=self._whole(request.image),
            video=await self._trimmed(request) if trimmed else self._whole(request.video),
            prompt=request.prompt,
            orientation=request.orientation,
            keep_audio=request.keep_audio,
            params=dict(request.params),
        )

    def _whole(self, ref: InputRef) -> Upload | str:
        if ref.url is not None:
            return ref.url
        path, digest, facts = ref.path, self._inspection.digests[ref], self._inspection.facts[ref]
        if path is None or digest is None or not isinstance(facts, ImageFacts | ClipFacts):
            raise InputGone(f"{ref.shown} cannot be sent")
        return _upload(path, digest, facts.mime, ref.shown)

    async def _trimmed(self, request: Request) -> Upload:
        """The window of a clip as a file of its own; made once, then taken from the store."""
        ref, source = request.video, self._inspection.files.get(request.video)
        if source is None:
            raise InputGone(f"{ref.shown} was not fetched, so it cannot be trimmed")
        digest = self._inspection.digests[ref]
        key = f"{digest}:{request.start}:{request.end}:{request.keep_audio}"
        async with self._trims.setdefault(key, asyncio.Lock()):
            made = str(self._cache.get(TRIM, key) or "")
            if not made or not self._blobs.has(made):
                made = await asyncio.to_thread(self._trim, request, source, digest)
                self._cache.put(TRIM, key, made)
        return _upload(self._blobs.path(made), made, "video/mp4", ref.shown)

    def _trim(self, request: Request, source: Path, digest: str | None) -> str:
        from kling_render.media.trim import trim

        if sha256_of(source) != digest:
            raise InputGone(f"{request.video.shown} changed after it was planned")
        temporary = self._blobs.temporary()
        try:
            trim(source, temporary, request.start, request.end, request.keep_audio)
            made = sha256_of(temporary)
            self._blobs.adopt(temporary, made)
        except WorkError as error:
            raise InputGone(error.message) from error
        finally:
            temporary.unlink(missing_ok=True)
        return made


def _upload(path: Path, digest: str, mime: str, shown: str) -> Upload:
    try:
        return Upload(path=path, mime=mime, sha256=digest, size=path.stat().st_size)
    except OSError as error:
        raise InputGone(f"{shown} can no longer be read: {error.strerror}") from error
