"""What is wrong with results after a look at all of them: worked out once per result, kept in the store's cache.

Nothing here pays, sends or refuses anything: what is found are warnings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kling_render.media.facts import ClipFacts
from kling_render.media.footage import findings
from kling_render.media.footage.advice import SILENT_DB
from kling_render.media.look import SOUNDS, Look, Sound, from_json, to_json
from kling_render.media.study import Studies
from kling_render.media.verdict import Wanted, needs_clip, warnings_of
from kling_render.planning.records import PlannedJob
from kling_render.store.cache import Cache
from kling_render.store.opening import Store
from kling_render.workspace.inputs.inspect import Inspection
from kling_render.workspace.results.looks import SAID, UNWATCHABLE, VERSION, said_key

_RESULT, _CLIP, _CLIP_SOUND = f"result-look/{VERSION}", f"clip-look/{VERSION}", f"clip-sound/{VERSION}"


@dataclass(frozen=True, slots=True)
class Looker:
    """Looks at results, and at their clips where only they can tell."""

    store: Store
    inspection: Inspection
    studies: Studies
    #: Whether the watching children are being ended: what they did not answer then says nothing.
    leaving: Callable[[], bool] = lambda: False

    def warnings(self, planned: PlannedJob, sha256: str, path: Path | None = None) -> tuple[str, ...] | None:
        """What is wrong with a result that the job has or just got; looks where nobody has looked yet.

        Args:
            planned: the job.
            sha256: of the result.
            path: a file with its bytes; None: the store's.

        Returns:
            None where it cannot be told.
        """
        look = look_of(self.store.cache, sha256)
        if look is None:
            look = self.studies.look(path or self.store.blobs.path(sha256))
            if look is None:
                return None
            remember(self.store.cache, sha256, look)
        return self.judged(planned, sha256, look)

    def judged(self, planned: PlannedJob, sha256: str, look: Look) -> tuple[str, ...]:
        """The same for a result that was looked at."""
        wanted = self._wanted(planned)
        need = needs_clip(look, wanted)
        clip = self._clip(planned) if need == "whole" else None
        sound = clip.sound if clip is not None else self._clip_sound(planned) if need == "sound" else None
        said = tuple(warnings_of(look, clip, sound, wanted))
        self._keep(planned, sha256, said)
        return said

    def gave_up(self, planned: PlannedJob, sha256: str) -> tuple[str, ...]:
        """What is said of a result that no decoder copes with; it is not tried again and again."""
        said = (UNWATCHABLE,)
        self._keep(planned, sha256, said)
        return said

    def _keep(self, planned: PlannedJob, sha256: str, said: tuple[str, ...]) -> None:
        if self.leaving():
            return
        cache, key = self.store.cache, said_key(planned, sha256)
        if cache.get(SAID, key) != list(said):
            cache.put(SAID, key, list(said))

    def _wanted(self, planned: PlannedJob) -> Wanted:
        request = planned.job.request
        facts = self.inspection.facts.get(request.video)
        return Wanted(
            expected_s=None if planned.duration_s is None else float(planned.duration_s),
            start_s=float(request.start or 0),
            keep_audio=request.keep_audio,
            clip_has_audio=isinstance(facts, ClipFacts) and facts.has_audio,
        )

    def _clip(self, planned: PlannedJob) -> Look | None:
        """What the job's clip shows; None when its bytes are not at hand."""
        at_hand, cache = self._at_hand(planned), self.store.cache
        if at_hand is None:
            return None
        path, sha256 = at_hand
        look = _read(cache, _CLIP, sha256)
        if look is None:
            look = self.studies.look(path, calm=True)
            if look is not None:
                cache.put(_CLIP, sha256, to_json(look))
        return look

    def _clip_sound(self, planned: PlannedJob) -> Sound | None:
        at_hand, cache = self._at_hand(planned), self.store.cache
        if at_hand is None:
            return None
        path, sha256 = at_hand
        heard = _heard(cache, planned, sha256)
        if heard is not None:
            return heard
        stored = cache.get(_CLIP_SOUND, sha256)
        for known in SOUNDS:
            if stored == known:
                return known
        sound = self.studies.sound(path)
        if sound is not None:
            cache.put(_CLIP_SOUND, sha256, sound)
        return sound

    def _at_hand(self, planned: PlannedJob) -> tuple[Path, str] | None:
        """The job's clip and its digest."""
        ref = planned.job.request.video
        path, sha256 = self.inspection.files.get(ref), self.inspection.digests.get(ref)
        return None if path is None or sha256 is None else (path, sha256)


def _heard(cache: Cache, planned: PlannedJob, sha256: str) -> Sound | None:
    """What is on the part of the clip that is used, if it was watched for warnings about inputs."""
    stored = cache.get(findings.VERSION, findings.key(sha256, planned.job.request.start, planned.job.request.end))
    try:
        footage = None if stored is None else findings.from_json(stored)
    except ValueError:
        return None
    if footage is None or not footage.seen:
        return None
    if footage.loudest_db is None:
        return "none"
    return "silent" if footage.loudest_db < SILENT_DB else "sound"


def look_of(cache: Cache, sha256: str) -> Look | None:
    """What a result shows, if anybody looked."""
    return _read(cache, _RESULT, sha256)


def remember(cache: Cache, sha256: str, look: Look) -> None:
    """Keep what a result shows."""
    cache.put(_RESULT, sha256, to_json(look))


def _read(cache: Cache, kind: str, key: str) -> Look | None:
    stored = cache.get(kind, key)
    try:
        return None if stored is None else from_json(stored)
    except ValueError:
        return None
