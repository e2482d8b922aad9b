"""The lock file beside a shot list: read, written after runs, mended when a merge left conflicts in it."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kling_render.config import SANDBOX
from kling_render.disk.filesystem import REAL
from kling_render.disk.project_files import DiskFiles
from kling_render.disk.publish import publish_bytes
from kling_render.errors import UsageError
from kling_render.planning.lock import Flaw, Locked, LockFile, entries_of, is_settled
from kling_render.planning.lock_text import is_json, lock_text, parse
from kling_render.planning.records import Plan
from kling_render.shotlist.records import Project
from kling_render.store.opening import Store
from kling_render.workspace.lockfile.locked_claims import adopted, holder, kept_results, was_taken_back
from kling_render.workspace.workspace import PREVIZ, Workspace

SUFFIX = ".lock.json"
BROKEN = ".broken"
"""Added to the name of a copy of a file that was too damaged to be mended whole."""
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
    path = _used(workspace, project)
    if path is None:
        return None
    try:
        lock = read_lock(path)
    except OSError:
        return None
    return lock if lock is not None and lock.api in (None, workspace.settings.namespace) else None


def write_lock(workspace: Workspace, project: Project, plan: Plan) -> list[str]:
    """Write what the whole plan says after a run, unless the file says it; returns what the user should know."""
    path = _used(workspace, project)
    if path is None:
        return []
    try:
        return _written(path, workspace, project, plan)
    except OSError as error:
        return [f"{path.name} cannot be written: {error.strerror or error}"]


def mend_lock(workspace: Workspace, project: Project, plan: Plan) -> list[str]:
    """Write a file anew that a merge, or whatever else, left broken; a sound one is only looked at.

    Returns what the user should know.
    """
    path = _used(workspace, project)
    if path is None:
        return []
    try:
        data = _bytes(path)
        if data is None or (not plan.totals.render and not plan.totals.locked and is_json(data)):
            return []  # nothing to say about a sound file: its entries are looked at when something is to be paid
        lock = parse(data)
        if lock.problem or lock.foreign:
            return _written(path, workspace, project, plan)
    except OSError as error:
        return [f"{path.name} cannot be read: {error.strerror or error}"]
    return _flaws(path.name, lock.flaws)


def before_paying(workspace: Workspace, project: Project) -> str:
    """Why what is paid now will not be written into the lock file; empty when nothing hinders it.

    Raises:
        UsageError: a folder stands in its place, or what else is no file.
    """
    path = _used(workspace, project)
    if path is None:
        return ""
    kind = DiskFiles().kind(path)
    if kind in ("folder", "other"):
        what = "a folder" if kind == "folder" else "no regular file"
        raise UsageError(
            f"{path.name} is {what}, so it cannot say what was paid for",
            help="move it away, or set KLING_RENDER_LOCK_FILE=false; nothing was sent",
            code="lock-path",
        )
    try:
        why = _unwritable(path)
        if not why and kind == "file" and (lock := read_lock(path)) is not None:
            other = lock.api not in (None, SANDBOX, workspace.settings.namespace)
            why = lock.foreign or (f"is of {lock.api}" if other else "")
    except OSError as error:
        why = f"cannot be read: {error.strerror or error}"
    return f"{path.name} {why}: what is paid for now will be known to this store alone" if why else ""


def wants_to_pay(plan: Plan) -> bool:
    """Whether anything may have to be paid for, if only because the lock file cannot bring what it names."""
    return bool(plan.totals.render or any(planned.is_promised for planned in plan.jobs))


def still_names(workspace: Workspace, project: Project, keys: Iterable[str]) -> bool:
    """Whether the file names a result for one of these requests."""
    lock = source_of_results(workspace, project)
    return lock is not None and not lock.by_fingerprint().keys().isdisjoint(keys)


def _used(workspace: Workspace, project: Project) -> Path | None:
    return lock_path(workspace, project) if workspace.settings.lock_file else None


def _unwritable(path: Path) -> str:
    """Why the file cannot be written. One that is marked as read-only is left as it is: it could be replaced only."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IWUSR
    if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or (path.exists() and not os.access(path, os.W_OK)):
        return "is read-only"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return "cannot be written: its folder is read-only"
    return ""


def _flaws(name: str, flaws: Sequence[Flaw]) -> list[str]:
    if not flaws:
        return []
    more = f" (and {len(flaws) - 1} more)" if len(flaws) > 1 else ""
    return [f"{name}: {flaws[0]} cannot be read{more}; it is left as it is, and not used"]


def _written(path: Path, workspace: Workspace, project: Project, plan: Plan) -> list[str]:
    data, api, store = _bytes(path), workspace.settings.namespace, workspace.store
    name = project.name if project.name != project.folder.name or _says(data, project.name) else None
    with store.ledger.reading() as ledger:
        kept = kept_results(ledger, api)
    if data is not None and is_settled(plan):
        settled = lock_text(project=name, provider=project.provider, api=api, entries=entries_of(plan, None, kept=kept))
        if data == settled:
            return []  # the commonest run of all
    old = None if data is None else parse(data)
    if old is not None and old.foreign:
        return [f"{path.name} {old.foreign}: it was left alone"]
    if old is not None and old.api not in (None, api):
        if api == SANDBOX:
            return [f"{path.name} is of {old.api}: results of the sandbox are not written into it"]
        if old.api != SANDBOX:
            return [f"{path.name} is of {old.api}, and this run was of {api}: it was left alone"]
        old = LockFile()
    entries = entries_of(plan, old, kept=kept, undone=_undone(store, api))
    if data is None and not entries:
        return []
    entries = _with_word(store, api, entries, old)
    left = _left(old or LockFile(), entries)
    content = lock_text(
        project=name,
        provider=project.provider,
        api=api,
        entries=entries,
        unread=left,
        more=old.more if old is not None else (),
    )
    told = _flaws(path.name, _still(old, entries, left))
    if data is not None and data.replace(b"\r\n", b"\n") == content:
        return told
    return [*_replaced(path, content, data, old, entries), *told]


def _replaced(
    path: Path, content: bytes, data: bytes | None, old: LockFile | None, entries: Iterable[Locked]
) -> list[str]:
    """Write it; of a file whose pieces would be lost with it a copy is kept."""
    if why := _unwritable(path):
        return [f"{path.name} {why}: it was left as it is, and does not say what changed"]
    notices = []
    with REAL.folder(path.parent) as folder:
        if data is not None and old is not None and (old.nameless or old.torn - {entry.job for entry in entries}):
            copy = path.with_name(path.name + BROKEN)
            if copy.exists() and copy.read_bytes() != data:
                return [f"{path.name} {old.problem}, and {copy.name} is there already: mend it by hand, or remove that"]
            publish_bytes(folder, copy.name, data)
            notices.append(f"{path.name} has entries of which only a part is there: {copy.name} is a copy of it")
        publish_bytes(folder, path.name, content)
    if old is not None and old.problem:
        notices.insert(0, f"{path.name} {old.problem}: it was written anew")
    return notices


def _left(old: LockFile, entries: Iterable[Locked]) -> dict[str, str]:
    """What could not be read and nothing is known instead of."""
    known = {entry.job for entry in entries}
    return {job: block for job, block in old.unread.items() if job not in known}


def _still(old: LockFile | None, entries: Iterable[Locked], left: Iterable[str]) -> list[Flaw]:
    """The flaws that the new file has, too."""
    if old is None or not old.flaws:
        return []
    jobs = {entry.job for entry in entries if entry.rest} | set(left)
    return [flaw for flaw in old.flaws if flaw.job in jobs]


def _with_word(store: Store, namespace: str, entries: list[Locked], old: LockFile | None) -> list[Locked]:
    """New entries say who adopted a generation of another request by hand: the log alone would refute them."""
    known = {entry[:3] for one in old.jobs.values() for entry in one} if old is not None else set()
    with store.ledger.reading() as ledger:
        return [
            entry._replace(kept=adopted(ledger, namespace, entry))
            if entry.kept is None and entry[:3] not in known
            else entry
            for entry in entries
        ]


def _undone(store: Store, namespace: str) -> Callable[[Locked], bool]:
    def undone(entry: Locked) -> bool:
        with store.ledger.reading() as ledger:
            known = holder(ledger, namespace, entry)
            if known is None and entry.kept is not None and (result := ledger.result(namespace, entry.kept.origin)):
                known = ledger.attempt(result.attempt)
            return was_taken_back(ledger, entry, known)

    return undone


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
