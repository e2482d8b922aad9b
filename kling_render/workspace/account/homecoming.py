"""What a walk for lost generations found, on its way home: what is finished beside a project's own jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kling_render.engine.attempts import work_of
from kling_render.engine.work import Work
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State
from kling_render.store.opening import Store
from kling_render.workspace.account.lost import Found

_HOME = frozenset({State.FETCHED, State.DONE})


@dataclass(frozen=True, slots=True, kw_only=True)
class BroughtHome:
    """A walk, and how the generations that it found stand after the run."""

    found: Found
    attempts: tuple[Attempt, ...]

    @property
    def left(self) -> list[Attempt]:
        """Ready, and not to be had now; no job tells of those that no job is known for."""
        return [attempt for attempt in self.attempts if attempt.is_unattached and attempt.state is State.READY]

    def is_home(self, attempt: Attempt) -> bool:
        """Whether its bytes are in the store."""
        return attempt.state in _HOME


def works_beside(store: Store, namespace: str, found: Found | None, folder: str | None) -> list[Work]:
    """Open attempts that belong to no project, and those of other projects that were just found.

    Args:
        store: open.
        namespace: of the account.
        found: what was just found.
        folder: of the project whose attempts are finished anyway; None: of all.
    """
    return [work_of(attempt) for attempt in _beside(store, namespace, found, folder)]


def _beside(store: Store, namespace: str, found: Found | None, folder: str | None) -> Iterator[Attempt]:
    new = {attempt.id for attempt in found.adopted} if found else set()
    with store.ledger.reading() as ledger:
        waiting = ledger.open_attempts(namespace)
    for attempt in waiting:
        if attempt.is_unattached or (attempt.id in new and folder not in (None, attempt.folder)):
            yield attempt


def brought_home(store: Store, found: Found) -> BroughtHome:
    """How everything that was found stands now."""
    with store.ledger.reading() as ledger:
        now = [ledger.attempt(attempt.id) for attempt in found.adopted]
    return BroughtHome(found=found, attempts=tuple(attempt for attempt in now if attempt is not None))
