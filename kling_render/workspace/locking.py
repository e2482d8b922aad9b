"""The lock file beside a shot list: read, written after runs, mended when a merge left conflicts in it."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable
from pathlib import Path

from kling_render.config import SANDBOX
from kling_render.disk.filesystem import REAL
from kling_render.disk.project_files import DiskFiles
from kling_render.disk.publish import publish_bytes
from kling_render.planning.lock import Locked, LockFile, entries_of, is_json, is_settled, lock_text, parse
from kling_render.planning.records import Plan
from kling_render.shotlist.records import Project
from kling_render.workspace.workspace import PREVIZ, Workspace

SUFFIX = ".lock.json"
LIMIT = 128 << 20
"""Bytes; a hundred thousand jobs take 30 MB."""


def lock_path(workspace: Workspace, project: Project) -> Path | None:
    """Beside the shot list, `shotlist.lock.json` for `shotlist.yaml`; None where there is none.

    Rehearsals cost nothing, and a shot list from standard input has no place of its own.
    """
    if project.provider == PREVIZ or workspace.source.text is not None:
        return None
    return project.folder / f"{workspace.source.path.stem}{SUFFIX}"


def read_lock(path: Path) -> LockFile | None:
    """What the file says; None when there is none.

    Raises:
        OSError: it cannot be read.
    """
    data = _bytes(path)
    return None if data is None else parse(data)


def source_of_results(workspace: Workspace, project: Project) -> LockFile | None:
    """The lock file as a place to look results up in: as far as it can be read, and of the same API."""
    path = lock_path(workspace, project)
    if path is None or not workspace.settings.lock_file:
        return None
    try:
        lock = read_lock(path)
    except OSError:
        return None
    return lock if lock is not None and lock.api in (None, workspace.settings.namespace) else None


def write_lock(workspace: Workspace, project: Project, plan: Plan) -> list[str]:
    """Write what the whole plan says after a run, unless the file says it; returns what the user should know."""
    path = lock_path(workspace, project)
    if path is None or not workspace.settings.lock_file:
        return []
    try:
        return _written(path, workspace.settings.namespace, project, plan)
    except OSError as error:
        return [f"{path.name} cannot be written: {error.strerror or error}"]


def mend_lock(workspace: Workspace, project: Project, plan: Plan) -> list[str]:
    """Write a file anew that a merge, or whatever else, left broken; a sound one is only looked at.

    Returns what the user should know, results that may be had for nothing included.
    """
    path = lock_path(workspace, project)
    if path is None or not workspace.settings.lock_file:
        return []
    try:
        data = _bytes(path)
        if data is None or (not plan.totals.render and is_json(data)):
            return []  # nothing to say about a sound file: its entries are looked at when something is to be paid
        lock = parse(data)
        if lock.problem or lock.foreign:
            return _written(path, workspace.settings.namespace, project, plan)
    except OSError as error:
        return [f"{path.name} cannot be read: {error.strerror or error}"]
    return _promised(path.name, lock, workspace.settings.namespace, plan)


def _promised(name: str, lock: LockFile, api: str, plan: Plan) -> list[str]:
    """How many jobs of the plan the file names a result for: no promise, for links do not live for ever."""
    if not plan.totals.render or lock.api not in (None, api):
        return []
    known = lock.by_fingerprint()
    count = sum(planned.result is None and planned.key in known for planned in plan.jobs)
    if not count:
        return []
    results = "a result" if count == 1 else f"results of {count} jobs"
    return [f"{name} names {results} that this store does not hold: `render` fetches what is still there, for nothing"]


def _written(path: Path, api: str, project: Project, plan: Plan) -> list[str]:
    data = _bytes(path)
    name = project.name if project.name != project.folder.name or _says(data, project.name) else None

    def text(entries: Iterable[Locked]) -> bytes:
        return lock_text(project=name, provider=project.provider, api=api, entries=entries)

    if data is not None and is_settled(plan) and data == text(entries_of(plan, None)):
        return []  # the commonest run of all
    old = None if data is None else parse(data)
    if old is not None and old.foreign:
        return [f"{path.name} {old.foreign}: it was left alone"]
    if old is not None and old.api not in (None, api):
        if api == SANDBOX:
            return [f"{path.name} is of {old.api}: results of the sandbox are not written into it"]
        old = LockFile()
    entries = entries_of(plan, old)
    if data is None and not entries:
        return []
    content = text(entries)
    if data is None or data.replace(b"\r\n", b"\n") != content:
        with REAL.folder(path.parent) as folder:
            publish_bytes(folder, path.name, content)
    return [f"{path.name} {old.problem}: it was written anew"] if old is not None and old.problem else []


def _says(data: bytes | None, name: str) -> bool:
    """Whether the file names the project already: a clone in a folder of that name leaves it as it is."""
    return data is not None and f'"project": {json.dumps(name)}'.encode() in data[:4096]


def _bytes(path: Path) -> bytes | None:
    try:
        data = DiskFiles().read_text_bytes(path, LIMIT)
    except FileNotFoundError:
        return None
    if len(data) > LIMIT:
        raise OSError(errno.EFBIG, f"it is larger than {LIMIT >> 20} MiB", str(path))
    return data
