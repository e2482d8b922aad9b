"""What a change costs against a git revision: both shot lists compiled, no store of the user's and no key."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kling_render.config import Settings
from kling_render.errors import Diagnostic, InputProblems, UsageError, in_file_order
from kling_render.planning.comparison import Base, Comparison, base_jobs, compare
from kling_render.planning.lock import promised
from kling_render.planning.manifest import InputIdentity
from kling_render.planning.prices import Price
from kling_render.planning.selectors import select
from kling_render.ports import Clock
from kling_render.shotlist.expand import expand
from kling_render.shotlist.reader import read
from kling_render.shotlist.records import InputRef, Job, Project, Request
from kling_render.shotlist.redaction import redacted
from kling_render.store.opening import Store
from kling_render.workspace import prices
from kling_render.workspace.lockfile.promises import named
from kling_render.workspace.plans.revision import Revision, find_revision
from kling_render.workspace.workspace import PREVIZ, ListSource, ReportProgress, Workspace

_POINTER = "KR0212"
"""A Git LFS pointer says the SHA-256 of its file, which is all that a fingerprint needs."""
_NAMED = 3
"""Borrowed files that a note names."""


def compared(
    source: ListSource,
    settings: Settings,
    ref: str,
    selectors: Sequence[str],
    *,
    clock: Clock,
    shown_from: Path | None,
    report: ReportProgress,
) -> tuple[Comparison, list[Diagnostic]]:
    """The work tree against a revision, and the warnings about the work tree.

    Args:
        source: the shot list of the work tree.
        settings: the user's.
        ref: the revision, as the user named it.
        selectors: which jobs, of both.
        clock: for the date of prices.
        shown_from: what places are relative to; None: the repository's top folder.
        report: progress.

    Raises:
        UsageError: git, the revision or a selector is no use.
        InputProblems: one of the two shot lists has errors.
    """
    if source.text is not None:
        raise UsageError("--base cannot compare a shot list from standard input", help="name a file with -f")
    folder = source.path.parent.resolve()
    root, commit = find_revision(folder, ref)
    # A store of its own, thrown away: the user's is neither needed nor touched.
    with tempfile.TemporaryDirectory(prefix="kling-render-") as made, Store.open(Path(made) / "store") as store:
        workspace = Workspace(source, settings, store, clock, shown_from or root, report)
        project = workspace.compile()
        digests = workspace.digests(project.folder)
        inspection = workspace.inspect(project, digests)
        with Revision(root, commit, digests) as revision:
            base = _base(folder / source.path.name, revision, ref, settings, project.provider)
        quote = _prices(project, settings, store, clock)
        chosen = _chosen(project, base, selectors) if selectors else None
        comparison = compare(
            project,
            base,
            namespace=PREVIZ if project.provider == PREVIZ else settings.namespace,
            identities=inspection.identity,
            seconds=inspection.seconds,
            prices=quote,
            chosen=chosen,
        )
        promises = named(workspace, project, comparison.plan)
        comparison = replace(comparison, plan=promised(comparison.plan, promises))
    return comparison, workspace.warnings


def _base(list_path: Path, revision: Revision, ref: str, settings: Settings, provider: str) -> Base:
    """The jobs of a revision; none if it has no such shot list, or one for another provider."""
    empty = Base(ref=ref, commit=revision.commit, jobs={})
    was = list_path if revision.has(list_path) else revision.earlier_name(list_path)
    if was is None:
        return replace(empty, notes=(f"{ref} has no {list_path.name}: every job is new",))
    project = _compiled(was, revision, ref, settings)
    if project.provider != provider:
        return replace(empty, notes=(f"the provider was {project.provider}: every job is new",))
    jobs = base_jobs(project.jobs, lambda input_: _identity(input_, revision))
    notes = [] if was == list_path else [f"the shot list was called {was.relative_to(revision.root).as_posix()}"]
    if borrowed := sorted({path.name for path in revision.borrowed}):
        notes.append(_borrowed(borrowed))
    return replace(empty, jobs=jobs, project=project, notes=tuple(notes))


def _borrowed(names: Sequence[str]) -> str:
    few = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return f"git does not keep {few}; taken from the work tree for both sides"


def _compiled(list_path: Path, revision: Revision, ref: str, settings: Settings) -> Project:
    def shown(path: Path) -> str:
        inner = path.relative_to(revision.root) if path.is_relative_to(revision.root) else path
        return f"{ref}:{inner.as_posix()}"

    declared, found = read(list_path, files=revision, shown=shown, input_roots=settings.input_roots)
    project = None
    if declared is not None:
        compiled = expand(declared, files=revision, shown=shown, max_jobs=settings.max_jobs, provider=settings.provider)
        project, found = compiled.project, [*found, *compiled.diagnostics]
    errors = [d for d in found if d.severity == "error" and d.code != _POINTER]
    if project is None or errors:
        whole = Diagnostic("base", f"the shot list of {ref} has errors, so nothing can be compared with it")
        raise InputProblems([whole, *redacted(in_file_order(errors))])
    return project


def _identity(input_: InputRef, revision: Revision) -> InputIdentity:
    if input_.url is not None:
        return InputIdentity(sha256=input_.pin) if input_.pin else InputIdentity(url=input_.url)
    assert input_.path is not None
    try:
        return InputIdentity(sha256=revision.sha256(input_.path))
    except OSError as fault:
        raise UsageError(f"cannot read {input_.shown} of the base: {fault.strerror or fault}", code="git") from fault


def _prices(project: Project, settings: Settings, store: Store, clock: Clock) -> Callable[[Request], Price | None]:
    if project.provider == PREVIZ:
        return prices.free
    models = {job.request.model for job in project.jobs}
    return prices.from_catalogue(models, settings.base_url, store.cache, clock.now(), offline=settings.offline)


def _chosen(project: Project, base: Base, selectors: Sequence[str]) -> frozenset[str]:
    """The ids that the selectors mean in the work tree, and in what was removed."""
    if state := next((text for text in selectors if text.startswith("state:") or text in ("picked", "stale")), None):
        raise UsageError(f"--base knows no states, so {state} means nothing", code="selector", help="leave it out")
    every: dict[str, Job] = {name: job.job for name, job in base.jobs.items()} | {job.id: job for job in project.jobs}
    return select(list(every.values()), selectors)
