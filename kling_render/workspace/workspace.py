"""One project on one store: the path that plan, render, status, watch and the rest share."""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kling_render.config import Settings
from kling_render.disk.project_files import DiskFiles
from kling_render.errors import Diagnostic, InputProblems, UsageError, in_file_order
from kling_render.lifecycle.answers import FailureClass
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State
from kling_render.planning.edits import with_edits, with_edits_of
from kling_render.planning.lock import Promise, promised
from kling_render.planning.plan import Facts, make_plan, repriced
from kling_render.planning.records import Plan, Presence, Reason
from kling_render.planning.states import selected
from kling_render.ports import Clock, ProjectFiles
from kling_render.shotlist.expand import expand
from kling_render.shotlist.nodes import without_gc
from kling_render.shotlist.reader import read
from kling_render.shotlist.records import Job, Project, Request
from kling_render.shotlist.redaction import redacted
from kling_render.store.digests import StatDigests
from kling_render.store.ledger import SqliteLedger
from kling_render.store.opening import Store
from kling_render.workspace import prices
from kling_render.workspace.account.wanted import attach_wanted
from kling_render.workspace.inputs import remote
from kling_render.workspace.inputs.inspect import Inspection, inspect

if TYPE_CHECKING:
    from kling_render.workspace.outlook import Outlook

PREVIZ = "previz"
REHEARSAL_VERSION = 3
"""Raised when rehearsals look different: they are free, so they are simply made again."""

_FINAL_FAILURES = frozenset({FailureClass.CONTENT.value, FailureClass.BAD_REQUEST.value, FailureClass.TOO_LARGE.value})

_OF_INPUTS = ("KR02", "KR0108")
"""Errors at the place of an input after which there is no file to look at."""

ReportProgress = Callable[[str, int, int], None]


def _silent(_what: str, _done: int, _all: int) -> None:
    return


@dataclass(frozen=True, slots=True)
class ListSource:
    """Where a shot list comes from: a file, or a text from standard input that stands for a file in `path`'s folder."""

    path: Path
    text: bytes | None = None


@dataclass(slots=True)
class Workspace:
    """A shot list, the user's settings and a store. Close the store yourself."""

    source: ListSource
    settings: Settings
    store: Store
    clock: Clock
    #: The folder that places in messages are shown relative to.
    cwd: Path
    report: ReportProgress = _silent
    #: Warnings found on the way.
    warnings: list[Diagnostic] = field(default_factory=list)
    #: Whether clips are watched for what the model would take and spoil.
    advises: bool = False
    #: Whether jobs whose inputs break a rule are blocked, instead of the whole batch being refused.
    skips_invalid: bool = False
    files: ProjectFiles = field(default_factory=DiskFiles)
    #: A plan of it lives as long as the command.
    lasts: bool = True
    #: By result key, what the lock file named and this store knows as paid, without its bytes so far: never paid for.
    awaited: dict[str, Promise] = field(default_factory=dict)

    def compile(self) -> Project:
        """The expanded project.

        Raises:
            InputProblems: the shot list has errors. What is wrong with the inputs of those jobs that can be told all
                the same, and warnings, are among its diagnostics, in the order of the files.
            UsageError: the ledger could not name the project's folder.
        """
        files, shown = self.files, self.shown
        _check_name(files.resolve(self.source.path.parent))
        declared, found = read(
            self.source.path,
            files=files,
            shown=shown,
            input_roots=self.settings.input_roots,
            text=self.source.text,
        )
        if declared is None:
            raise InputProblems(found)
        compiled = expand(
            declared,
            files=files,
            shown=shown,
            max_jobs=self.settings.max_jobs,
            provider=self.settings.provider,
        )
        found = [*found, *compiled.diagnostics]
        if compiled.project is None or any(d.severity == "error" for d in found):
            requests = compiled.requests if compiled.project is None else _requests(compiled.project)
            found += self._of_inputs(requests, declared.folder, found)
            raise InputProblems(redacted(in_file_order(found)))
        self.warnings += redacted(found)
        return compiled.project

    def shown(self, path: Path) -> str:
        """A path as the user would type it."""
        try:
            text = os.path.relpath(path, self.cwd)
        except ValueError:
            return str(path)
        return Path(text).as_posix() if not text.startswith("..") or len(text) < len(str(path)) else str(path)

    def inspect(self, project: Project, digests: StatDigests) -> Inspection:
        """Digest and look at every input of the project's jobs.

        Raises:
            InputProblems: an input is broken or breaks a limit of its model; never where such jobs are skipped.
        """
        inspection = self.looked_at(project, digests)
        if self.skips_invalid:
            from kling_render.workspace.inputs.skipping import told_as_warnings

            self.warnings += told_as_warnings(inspection.diagnostics)
            return inspection
        if any(d.severity == "error" for d in inspection.diagnostics):
            raise InputProblems(in_file_order([*self.warnings, *inspection.diagnostics]))
        self.warnings += inspection.diagnostics
        return inspection

    @without_gc()
    def looked_at(self, project: Project, digests: StatDigests) -> Inspection:
        """The same, with errors as diagnostics of the inspection."""
        return self._inspected(_requests(project), digests)

    def _of_inputs(self, requests: Collection[Request], folder: Path, found: Iterable[Diagnostic]) -> list[Diagnostic]:
        """What is wrong with the inputs of a shot list that has errors, beyond what was found."""
        refused = {
            (d.place.file, d.place.line, d.place.column)
            for d in found
            if d.place is not None and d.severity == "error" and d.code.startswith(_OF_INPUTS)
        }
        # A clip that ends before it starts was reported where that is written.
        sound = [one for one in requests if one.start is None or one.end is None or one.start < one.end]
        return list(self._inspected(sound, self.digests(folder), refused).diagnostics) if sound else []

    def _inspected(
        self, requests: Collection[Request], digests: StatDigests, refused: Collection[tuple[str, int, int]] = ()
    ) -> Inspection:
        blobs, cache = self.store.blobs, self.store.cache
        return inspect(
            requests,
            refused=refused,
            digests=digests,
            cache=cache,
            fetch=lambda refs, problems: remote.fetch_all(
                refs,
                problems,
                blobs=blobs,
                cache=cache,
                offline=self.settings.offline,
                now=self.clock.now(),
                progress=self.report,
            ),
            progress=self.report,
            pictures=self.store.layout.warnings if self.advises else None,
        )

    def digests(self, folder: Path) -> StatDigests:
        """The stat cache for a project; files of other input roots are remembered too."""
        return self.store.digests(None if self.settings.input_roots else folder)

    @without_gc()
    def plan(
        self,
        project: Project,
        inspection: Inspection,
        digests: StatDigests,
        selectors: Sequence[str] = (),
        *,
        lookup: bool = True,
        again: bool = False,
        narrow: Callable[[Sequence[Job]], Iterable[Job]] | None = None,
        trusting: bool = False,
    ) -> Planned:
        """What would happen and why.

        Args:
            project: compiled.
            inspection: of its inputs.
            digests: the stat cache.
            selectors: which jobs; all of them when there is none.
            lookup: whether prices are asked for; else they are those last seen.
            again: whether requests that the provider refused for good are rendered again.
            narrow: which of the selected jobs, in the order of the list, are meant after all.
            trusting: whether what the lock file names need not be paid for. Nothing is sent for it by such a plan:
                `locked_results.filled_from_lock` tries it, and plans again.

        Raises:
            UsageError: a selector matches nothing.
        """
        namespace = PREVIZ if project.provider == PREVIZ else self.settings.namespace
        with self.store.ledger.reading() as ledger:
            latest, results = ledger.unsettled(namespace), ledger.results(namespace)
        from kling_render.outputs.stale import stale_outputs

        wanted = {path for job in project.jobs for path in (job.output, job.final)}
        stale = stale_outputs(project.folder / project.output_dir, wanted)
        quotes = self._prices(project)
        facts = Facts(
            namespace=namespace,
            identities=inspection.identity,
            seconds=inspection.seconds,
            prices=prices.free if project.provider == PREVIZ else quotes,
            present=_presences(project.folder, digests),
            results=results,
            latest=latest,
            earlier=_Earlier(self.store.ledger, namespace, str(project.folder)),
            blocked=self._blocked(project, inspection),
            held_back=_never if again else _held_back,
            key=_rehearsal_key if project.provider == PREVIZ else _own_key,
        )
        everything = make_plan(project, facts, stale_outputs=[f"{project.output_dir}/{path}" for path in stale])
        if namespace != PREVIZ and attach_wanted(self.store, everything, project, self.clock.now()):
            # What was found paid before any job was known for it belongs to one of these: the facts are others now.
            return self.plan(
                project, inspection, digests, selectors, lookup=lookup, again=again, narrow=narrow, trusting=trusting
            )
        promises = dict(self.awaited)
        if trusting and namespace != PREVIZ and (everything.totals.render or everything.totals.blocked):
            from kling_render.workspace.lockfile.promises import promises_of

            promises |= promises_of(self, project, everything, results, digests)
        everything = with_edits(promised(everything, promises), facts.earlier, project)
        if self.lasts:
            gc.freeze()  # it lives as long as the command: the collector need not walk it again
        outlook = None
        if (everything.totals.render or everything.totals.locked) and project.provider != PREVIZ:
            # Prices are asked for when something is to be paid: a run without work asks nobody anything.
            outlook = self._outlook(project, namespace, None if lookup and not self.settings.offline else quotes)
            if outlook.lessons or outlook.prices is not quotes:
                facts = replace(facts, prices=outlook.prices, lessons=outlook.lessons)
                everything = repriced(everything, facts)
            everything = outlook.told(everything, self.settings.jobs)
        if not selectors and narrow is None:
            return Planned(project, inspection, everything, everything)
        chosen = selected(project.jobs, everything, selectors, facts.picked)
        if narrow is not None:
            chosen = frozenset(job.id for job in narrow([job for job in project.jobs if job.id in chosen]))
        part = make_plan(project, facts, select=lambda job: job.id in chosen, stale_outputs=everything.stale_outputs)
        part = with_edits_of(everything, promised(part, promises))
        part = part if outlook is None else outlook.told(part, self.settings.jobs)
        return Planned(project, inspection, everything, part)

    def _blocked(self, project: Project, inspection: Inspection) -> Mapping[str, tuple[Reason, ...]]:
        """The jobs that are skipped, and why."""
        if not self.skips_invalid:
            return {}
        from kling_render.workspace.inputs.skipping import blocked_jobs

        return blocked_jobs(project.jobs, inspection)

    def _prices(self, project: Project) -> prices.Quotes:
        """Those last seen."""
        settings = self.settings
        return prices.remembered(_models(project), settings.base_url, self.store.cache, offline=settings.offline)

    def _outlook(self, project: Project, namespace: str, known: prices.Quotes | None) -> Outlook:
        """What it costs and how long it takes; without known prices they are asked for."""
        from kling_render.workspace.outlook import outlook

        now = self.clock.now()
        return outlook(_models(project), self.store, self.settings, namespace, now, prices=known)


@dataclass(frozen=True, slots=True)
class Planned:
    """A project with its plan: of everything, and of what was selected."""

    project: Project
    inspection: Inspection
    everything: Plan
    plan: Plan


class _Earlier(Mapping[str, str]):
    """Job id → manifest of its newest result; read when first asked for, since only jobs without a result ask."""

    def __init__(self, ledger: SqliteLedger, namespace: str, folder: str) -> None:
        self._ledger = ledger
        self._scope = namespace, folder

    @cached_property
    def _manifests(self) -> Mapping[str, str]:
        with self._ledger.reading() as ledger:
            return ledger.newest_manifests(*self._scope)

    def __getitem__(self, job: str) -> str:
        return self._manifests[job]

    def __iter__(self) -> Iterator[str]:
        return iter(self._manifests)

    def __len__(self) -> int:
        return len(self._manifests)


def _models(project: Project) -> set[str]:
    return {job.request.model for job in project.jobs}


def _requests(project: Project) -> list[Request]:
    return [job.request for job in project.jobs]


def _presences(folder: Path, digests: StatDigests) -> Callable[[str, str], Presence]:
    """What stands at the paths below a folder, compared with bytes of a digest."""
    root = str(folder) + os.sep

    def present(path: str, sha256: str) -> Presence:
        try:
            here = digests.sha256(root + path.replace("/", os.sep)) == sha256
        except FileNotFoundError:
            return Presence.MISSING
        except OSError:
            return Presence.OTHER
        return Presence.HERE if here else Presence.OTHER

    return present


def _held_back(attempt: Attempt) -> str | None:
    """The same request would be refused again: only an edit helps."""
    failed = attempt.state in (State.REJECTED, State.REMOTE_FAILED)
    if failed and attempt.failure in _FINAL_FAILURES:
        return f"the provider refused this very request: {attempt.message}"
    return None


def _never(_attempt: Attempt) -> None:
    return None


def _own_key(_job: Job, fingerprint: str) -> str:
    return fingerprint


def _rehearsal_key(job: Job, fingerprint: str) -> str:
    """A rehearsal shows its job's id, so jobs never share one."""
    return hashlib.sha256(f"previz/{REHEARSAL_VERSION}\n{fingerprint}\n{job.id}".encode()).hexdigest()


def _check_name(folder: Path) -> None:
    """The ledger and every document name the folder as text."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        message = f"the project's folder has a name that is not UTF-8: {os.fsencode(folder)!r}"
        raise UsageError(message, help="rename the folder, or run the project from a copy elsewhere") from None


def find_list(given: str | None, cwd: Path, stdin: Callable[[], bytes]) -> ListSource:
    """The shot list: the one given, standard input for `-`, else `shotlist.yaml` here or in a parent folder.

    Raises:
        UsageError: there is none.
    """
    if given == "-":
        return ListSource(cwd / "<stdin>", stdin())
    if given is not None:
        path = cwd / given
        if path.is_dir():
            path /= "shotlist.yaml"
        if not path.is_file():
            raise UsageError(f"no such shot list: {given}", help="name an existing file with -f")
        return ListSource(path)
    for folder in (cwd, *cwd.parents):
        if (folder / "shotlist.yaml").is_file():
            return ListSource(folder / "shotlist.yaml")
    raise UsageError(
        f"no shotlist.yaml in {cwd} or a folder above it",
        help="`kling-render init` makes a small working project; -f names a shot list elsewhere",
    )
