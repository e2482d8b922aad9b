"""Contact sheets of a planned project: pictures of each result, what is known of each job, and where it is written."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from kling_render.disk.publish import make_folders
from kling_render.lifecycle.records import usd_of
from kling_render.media.look import Look
from kling_render.media.study import Studies
from kling_render.outputs.contact_sheet.files import sheet_files
from kling_render.outputs.contact_sheet.records import STAKED, Heading, Sheet, ShotSheet, Shown, Stills
from kling_render.outputs.contact_sheet.shelf import Shelved, shelve
from kling_render.outputs.sidecar import stamp
from kling_render.outputs.tree import OutputTree, check_root
from kling_render.planning.records import Action, PlannedJob
from kling_render.planning.states import job_state
from kling_render.planning.text import why_text
from kling_render.shotlist.records import Character, Job, Motion, Project
from kling_render.store.digests import StatDigests
from kling_render.store.hashing import sha256_of
from kling_render.workspace.results.looking import Looker, look_of, remember
from kling_render.workspace.results.looks import VERSION
from kling_render.workspace.workspace import Planned, Workspace

_WORKERS = 2
_NAME_DIGITS = 24
_SAVED_EVERY = 16
_UNSEEN = "no picture: its film cannot be shown; `kling-render verify --read-data` checks its bytes"
_UNKEPT = "no picture: the store cannot keep one"
_Film = tuple[str, tuple[Path, ...]]
"""The SHA-256 of a film, and the files that should hold it."""
_SAID_STATES = frozenset({"failed", "blocked", "in-doubt", "needs-user", "paid-lost", "abandoned", "pinned"})
"""States whose reason is worth a line."""


def contact_sheet(workspace: Workspace, planned: Planned, selection: Sequence[str]) -> Sheet:
    """The sheet of the selected jobs; films that nobody watched yet are watched, and pictures of them taken."""
    films = dict(_films(workspace, planned))
    seen = _Seen(workspace, planned)
    try:
        pictured = seen.all(films)
    finally:
        seen.close()
    shown = {job.job.id: _shown(job, planned.project, films.get(job.job.id), pictured) for job in planned.plan.jobs}
    jobs = {planned_job.job.id: planned_job.job for planned_job in planned.plan.jobs}
    chosen = [job for job in planned.project.jobs if job.id in jobs]  # in the order of the list
    shots = [shot for shot in planned.project.shots if any(job.shot == shot for job in chosen)]
    return Sheet(
        project=planned.project.name,
        provider=planned.project.provider,
        selection=" ".join(selection),
        shots=tuple(_shot(shot, [j for j in chosen if j.shot == shot], shown, planned.project) for shot in shots),
    )


def write_sheet(workspace: Workspace, project: Project, sheet: Sheet, root: Path, digests: StatDigests) -> Shelved:
    """Write every file of a sheet into a folder.

    Raises:
        OSError: as usual; EPERM for an output folder that a symlink leads out of the project.
    """
    if root == project.folder / project.output_dir:
        check_root(root, project.folder, workspace.settings.input_roots)
    make_folders(root)
    tree = OutputTree(root=root, digests=digests, stamp=stamp(workspace.clock.now()))
    return shelve(tree, sheet_files(sheet, root))


@dataclass(frozen=True, slots=True)
class _Pictured:
    look: Look | None
    warnings: tuple[str, ...]
    stills: Stills | None


class _Seen:
    """Watches the films that are to be shown, a few at a time."""

    def __init__(self, workspace: Workspace, planned: Planned) -> None:
        self._store = workspace.store
        self._report = workspace.report
        self._studies = Studies(_WORKERS)
        self._looker = Looker(workspace.store, planned.inspection, self._studies)
        self._jobs = {job.job.id: job for job in planned.plan.jobs}
        self._making: dict[str, threading.Lock] = {}

    def all(self, films: Mapping[str, _Film]) -> dict[str, _Pictured]:
        """Job → what there is to see of its film."""
        done = 0
        found: dict[str, _Pictured] = {}
        self._making = {sha256: threading.Lock() for sha256, _ in films.values()}
        with ThreadPoolExecutor(_WORKERS, "pictures") as threads:
            for job, pictured in zip(films, threads.map(self._one, films, films.values()), strict=True):
                found[job] = pictured
                done += 1
                if done % _SAVED_EVERY == 0:
                    self._store.cache.save()  # a killed export is gone on with
                self._report("watching films", done, len(films))
        return found

    def _one(self, job: str, film: _Film) -> _Pictured:
        sha256, films = film
        try:
            with self._making[sha256]:  # jobs may share a film
                look, poster, preview = self._pictures(sha256, films)
        except OSError as error:
            return _Pictured(None, (f"{_UNKEPT}: {error.strerror or error}",), None)
        if look is None:
            return _Pictured(None, (_UNSEEN,), None)
        warnings = self._looker.judged(self._jobs[job], sha256, look)
        name = sha256[:_NAME_DIGITS]
        stills = Stills(name=name, poster=poster, preview=preview, width=look.width, height=look.height)
        return _Pictured(look, warnings, stills)

    def _pictures(self, sha256: str, films: Sequence[Path]) -> tuple[Look | None, Path, Path]:
        folder, cache = self._store.layout.previews / sha256[:2], self._store.cache
        poster, preview = (folder / f"{sha256}.{kind}-{VERSION}.webp" for kind in ("poster", "preview"))
        look = look_of(cache, sha256)
        if look is not None and _is_whole(poster) and _is_whole(preview):
            return look, poster, preview
        make_folders(folder, mode=0o700)
        for film in films:
            look = self._studies.picture(film, poster, preview) if _holds(film, sha256) else None
            if look is not None:
                remember(cache, sha256, look)
                return look, poster, preview
        return None, poster, preview

    def close(self) -> None:
        self._studies.close()


def _is_whole(picture: Path) -> bool:
    """Whether a WebP file of ours stands there, from its first byte to its last; told without decoding it."""
    try:
        with picture.open("rb") as file:
            head, size = file.read(12), os.fstat(file.fileno()).st_size
        whole = head[:4] == b"RIFF" and head[8:] == b"WEBP" and int.from_bytes(head[4:8], "little") + 8 == size
        return whole and not picture.is_symlink()
    except OSError:
        return False


def _holds(film: Path, sha256: str) -> bool:
    """Whether a file has these bytes: what is seen in damaged ones must not be remembered of the whole."""
    try:
        return sha256_of(film) == sha256
    except OSError:
        return False


def _films(workspace: Workspace, planned: Planned) -> Iterator[tuple[str, _Film]]:
    """Job → the digest of its film and the files that should hold it: the store's, and the one in the output folder."""
    root = planned.project.folder / planned.project.output_dir
    for job in planned.plan.jobs:
        if job.result is None:
            continue
        sha256 = job.result.blob
        found = [workspace.store.blobs.path(sha256)] if workspace.store.blobs.has(sha256) else []
        if job.action is Action.UP_TO_DATE:
            found.append(root / job.job.output)
        if found:
            yield job.job.id, (sha256, tuple(found))


def _shown(planned: PlannedJob, project: Project, film: _Film | None, pictured: Mapping[str, _Pictured]) -> Shown:
    job, result, state = planned.job, planned.result, job_state(planned)
    seen = pictured.get(job.id)
    stands = project.folder / project.output_dir / job.output
    here = planned.action in (Action.UP_TO_DATE, Action.PINNED)
    return Shown(
        id=job.id,
        take=job.take,
        values=tuple(value for _, value in job.values),
        state=state,
        usd=_usd(planned),
        paid=_charged(planned) is not None,
        payment=_payment(planned),
        due=planned.action is Action.RENDER,
        note=_note(planned, state),
        warnings=seen.warnings if seen else (),
        prompt=job.request.prompt,
        film=stands if here else film[1][0] if film else None,
        seconds=seen.look.duration_s if seen and seen.look else None,
        final=result is not None and planned.final_sha256 == result.blob and planned.final_sha256 is not None,
        stills=seen.stills if seen else None,
    )


def _note(planned: PlannedJob, state: str) -> str:
    if state not in _SAID_STATES:
        return ""
    message = planned.attempt.message if planned.attempt and state == "failed" else None
    return " ".join((message or why_text(planned)).split())


def _usd(planned: PlannedJob) -> Decimal | None:
    charged = _charged(planned)
    return planned.estimate_usd if charged is None else charged


def _payment(planned: PlannedJob) -> str:
    """The attempt that paid, or may have, for what the job has."""
    if planned.result is not None:
        return planned.result.attempt
    sent = job_state(planned) in STAKED or _charged(planned) is not None
    return planned.attempt.id if sent and planned.attempt is not None else ""


def _charged(planned: PlannedJob) -> Decimal | None:
    """What the job's result, or what runs for it, was charged."""
    if planned.result is not None:
        return None if planned.result.charge is None else usd_of(planned.result.charge)
    attempt = planned.attempt
    running = planned.action in (Action.RESUME, Action.BLOCKED)
    return usd_of(attempt.charge) if running and attempt is not None and attempt.charge else None


def _shot(shot: str, jobs: Sequence[Job], shown: Mapping[str, Shown], project: Project) -> ShotSheet:
    cells: dict[tuple[str, str], list[Shown]] = {}
    for job in jobs:
        cells.setdefault((job.character, job.motion), []).append(shown[job.id])
    return ShotSheet(
        id=shot,
        rows=_headings(project.characters, {job.character for job in jobs}),
        columns=_headings(project.motions, {job.motion for job in jobs}),
        cells={cell: tuple(takes) for cell, takes in cells.items()},
    )


def _headings(declared: Mapping[str, Character] | Mapping[str, Motion], used: Collection[str]) -> tuple[Heading, ...]:
    """In the order they are declared, so that every shot has the same."""
    names = {one: entry.name for one, entry in declared.items() if one in used}
    return tuple(Heading(id=one, name="" if name.casefold() == one.casefold() else name) for one, name in names.items())
