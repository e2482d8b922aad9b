"""A render or pull of one project, from plan to index: what the `render`, `pull` and later commands share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kling_render import __version__
from kling_render.engine.run import Run
from kling_render.engine.work import Options, RunReport, Work
from kling_render.engine.world import Publisher, Watcher
from kling_render.errors import StoreFault
from kling_render.lifecycle.records import usd_of
from kling_render.outputs.index import (
    IndexCell,
    IndexTake,
    document,
    listed_files,
    read_index,
    says_already,
    write_index,
)
from kling_render.outputs.publisher import TreePublisher
from kling_render.outputs.sidecar import stamp
from kling_render.outputs.stale import prune
from kling_render.outputs.tree import OutputTree, check_root, check_writable
from kling_render.planning.prices import Price
from kling_render.planning.records import Action, Plan, PlannedJob
from kling_render.shotlist.records import Request
from kling_render.store.digests import StatDigests
from kling_render.workspace import prices
from kling_render.workspace.inputs.uploads import ProjectUploads
from kling_render.workspace.lockfile.locking import write_lock
from kling_render.workspace.results.looks import known_warnings, unwatched
from kling_render.workspace.running import Wiring, run
from kling_render.workspace.works import claimed_paths, works_of
from kling_render.workspace.workspace import PREVIZ, Planned, Workspace

if TYPE_CHECKING:
    from kling_render.store.cache import Cache
    from kling_render.store.opening import Store
    from kling_render.workspace.results.beholding import Beholder

_NO_FOLDER = "\0"
_KEPT = frozenset({Action.UP_TO_DATE, Action.PINNED})


@dataclass(slots=True)
class Session:
    """A planned project and the way to run it."""

    workspace: Workspace
    planned: Planned
    digests: StatDigests
    watcher: Watcher
    #: Paid attempts besides the project's own that are to be finished in the same run.
    also: Sequence[Work] = ()
    #: Only the selected jobs: what else the project has open is left alone.
    alone: bool = False
    #: What may be published is decided there (`render --locked`), and the lock file stays as it is.
    guarded: Callable[[Publisher], Publisher] | None = None
    #: Keys of the results that are meant; None: all that the plan wants.
    only: Collection[str] | None = None
    _ran: bool = False

    @property
    def free(self) -> bool:
        """Whether nothing can cost anything."""
        return self.planned.project.provider == PREVIZ

    def works(self, *, paying: bool = True) -> list[Work]:
        """What is wanted; without paying, only what exists or runs already."""
        works = works_of(self.planned.plan, self.planned.project, self._priced())
        if self.only is not None:
            works = [work for work in works if work.key in self.only]
        if paying:
            return works
        plan = self.planned.plan
        paid_for = {p.key for p in plan.jobs if p.action in (Action.RESTORE, Action.RESUME)}
        return [_unpaid(work) for work in works if work.key in paid_for or work.request is None]

    def _priced(self) -> Callable[[Request], Price | None]:
        """What the model took for a request when its price was last seen: rehearsals show it."""
        if not self.free:
            return lambda _request: None
        models = {job.request.model for job in self.planned.project.jobs}
        workspace = self.workspace
        return prices.remembered(models, workspace.settings.base_url, workspace.store.cache)

    def check_output(self) -> None:
        """Results must have a place before they are paid for.

        Raises:
            StoreFault: the output folder cannot be written.
        """
        project = self.planned.project
        root = project.folder / project.output_dir
        try:
            check_writable(root, project.folder, self.workspace.settings.input_roots)
        except OSError as error:
            shown = self.workspace.shown(root)
            raise StoreFault(
                f"the output folder {shown} cannot be written: {error.strerror or error}",
                help="make it a folder you may write to; nothing was sent",
                code="output-folder",
            ) from error

    def execute(
        self,
        options: Callable[[str], Options],
        *,
        paying: bool = True,
        on_start: Callable[[Run], None] = lambda _run: None,
    ) -> RunReport:
        """Run to the end."""
        works = [*self.also, *self.works(paying=paying)]
        if not works and not self._has_more():
            missed = self._unwatched()
            # The commonest run of all has nothing to do.
            return asyncio.run(self._watch(missed)) if missed else RunReport()
        return asyncio.run(self.run(works, options, on_start))

    async def run(
        self, works: list[Work], options: Callable[[str], Options], on_start: Callable[[Run], None]
    ) -> RunReport:
        """Run these works to the end."""
        self._ran = True
        publisher = self._publisher()
        report = await self._run(works, options, publisher, on_start)
        for notice in publisher.notices:
            report.notices.append(notice)
        return report

    async def _run(
        self,
        works: list[Work],
        options: Callable[[str], Options],
        publisher: TreePublisher,
        on_start: Callable[[Run], None],
    ) -> RunReport:
        workspace, project, inspection = self.workspace, self.planned.project, self.planned.inspection
        renderer = None
        if self.free:
            from kling_render.providers.previz import Previz

            renderer = Previz(inspection.files.get)
        store = workspace.store
        beholder = None if self.free else _beholder(self.watcher, store, self.planned, self._unwatched())
        wiring = Wiring(
            namespace=self.planned.plan.namespace,
            watcher=beholder or self.watcher,
            publisher=self.guarded(publisher) if self.guarded else publisher,
            clock=workspace.clock,
            online=any(work.result is None for work in works) or self._has_more(),
            helpful=bool(works),
            uploads=ProjectUploads(inspection, store.blobs, store.cache),
            renderer=renderer,
        )
        try:
            report = await run(
                store,
                workspace.settings,
                wiring,
                works,
                options,
                folder=_NO_FOLDER if self.alone else str(project.folder),
                claimed=claimed_paths(self.planned.everything, project),
                on_start=on_start,
            )
            if beholder is not None:
                await beholder.finish(report)
            return report
        finally:
            if renderer is not None:
                await renderer.close()
            if beholder is not None:
                beholder.close()

    async def _watch(self, missed: Sequence[PlannedJob]) -> RunReport:
        """Nothing but watching results that an earlier run left unwatched."""
        beholder, report = _beholder(self.watcher, self.workspace.store, self.planned, missed), RunReport()
        try:
            await beholder.finish(report)
        finally:
            beholder.close()
        return report

    def _unwatched(self) -> list[PlannedJob]:
        if self.free:
            return []
        return unwatched((p for p in self.planned.plan.jobs if p.action in _KEPT), self.workspace.store.cache)

    def _has_more(self) -> bool:
        """Whether the project has attempts that this run finishes, wanted by a job or not."""
        if self.alone:
            return False
        folder = str(self.planned.project.folder)
        with self.workspace.store.ledger.reading() as ledger:
            return any(a.folder == folder for a in ledger.open_attempts(self.planned.plan.namespace))

    def _publisher(self) -> TreePublisher:
        project = self.planned.project
        finished: dict[Path, set[int]] = {}
        root = project.folder / project.output_dir
        for planned in self.planned.everything.jobs:
            if planned.action in _KEPT:
                finished.setdefault(root / planned.job.final, set()).add(planned.job.take)
        return TreePublisher(
            self.workspace.store.blobs,
            self.digests,
            now=self.workspace.clock.now,
            tool_version=__version__,
            finished=finished,
            allowed=self.workspace.settings.input_roots,
        )

    def replanned(self) -> Plan:
        """The plan of everything as it stands now."""
        if not self._ran:
            return self.planned.everything
        planned = self.workspace.plan(self.planned.project, self.planned.inspection, self.digests, lookup=False)
        return planned.everything

    def write_index(self, plan: Plan) -> list[str]:
        """`index.json` for other programs, and the lock file; unchanged ones are left alone.

        Returns what the user should know.
        """
        locked = [] if self.guarded else write_lock(self.workspace, self.planned.project, plan)
        return [*self._write_index(plan), *locked]

    def _write_index(self, plan: Plan) -> list[str]:
        project = self.planned.project
        root = project.folder / project.output_dir
        try:
            if root.is_dir() and not says_already(
                root, content := document(project.name, project.provider, _cells(plan, self.workspace.store.cache))
            ):
                write_index(self._tree(root), content)
        except OSError as error:
            return [f"{project.output_dir}/index.json cannot be written: {error.strerror or error}"]
        return []

    def prune(self, plan: Plan) -> list[str]:
        """Move stale files to the trash; returns where they lie now, relative to the output folder."""
        project = self.planned.project
        root = project.folder / project.output_dir
        if not plan.stale_outputs or not root.is_dir():
            return []
        return prune(self._tree(root), [path.removeprefix(f"{project.output_dir}/") for path in plan.stale_outputs])

    def _tree(self, root: Path) -> OutputTree:
        check_root(root, self.planned.project.folder, self.workspace.settings.input_roots)
        return OutputTree(
            root=root,
            digests=self.digests,
            stamp=stamp(self.workspace.clock.now()),
            stored=self.workspace.store.blobs.has,
            listed=listed_files(read_index(root)),
        )


def _beholder(watcher: Watcher, store: Store, planned: Planned, unseen: Sequence[PlannedJob]) -> Beholder:
    from kling_render.workspace.results.beholding import Beholder, Missed

    root = planned.project.folder / planned.project.output_dir
    missed = []
    for job in unseen:
        sha256 = job.result.blob if job.result else ""
        if store.blobs.has(sha256):
            missed.append(Missed(job, sha256, store.blobs.path(sha256)))
        elif job.action is Action.UP_TO_DATE:  # only the output folder has it
            missed.append(Missed(job, sha256, root / job.job.output))
    return Beholder(watcher, store, planned.inspection, planned.everything.jobs, missed)


def _unpaid(work: Work) -> Work:
    """The same work without the right to submit."""
    return replace(work, request=None)


def _cells(plan: Plan, cache: Cache) -> list[IndexCell]:
    warnings = known_warnings(plan.jobs, cache)
    cells: dict[str, list[PlannedJob]] = {}
    for planned in plan.jobs:
        cells.setdefault(planned.job.cell, []).append(planned)
    return [
        IndexCell(id=cell, final=members[0].job.final, takes=tuple(_take(planned, warnings) for planned in members))
        for cell, members in cells.items()
    ]


def _take(planned: PlannedJob, warnings: Mapping[str, tuple[str, ...]]) -> IndexTake:
    result = planned.result if planned.action in _KEPT else None
    state = "done" if planned.action in _KEPT else _STATES[planned.action]
    charge = result.charge if result else None
    return IndexTake(
        id=planned.job.id,
        take=planned.job.take,
        path=planned.job.output,
        state=state,
        sha256=result.blob if result else None,
        usd=None if charge is None else usd_of(charge),
        warnings=warnings.get(planned.job.id, ()) if result else (),
    )


_STATES = {
    Action.RENDER: "to-render",
    Action.RESTORE: "to-restore",
    Action.RESUME: "running",
    Action.ADOPT: "waiting",
    Action.BLOCKED: "blocked",
}
