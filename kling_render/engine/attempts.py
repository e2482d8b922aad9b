"""From a wanted result to the attempt that pays for it, and back: an attempt alone is enough to finish the work."""

from __future__ import annotations

from pathlib import Path

from kling_render.engine.work import Target, Work
from kling_render.engine.world import World
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State


def new_attempt(world: World, work: Work, *, attempt_id: str, client_request_id: str, at: float) -> Attempt:
    """An attempt of this process and run that is about to be reserved; `at` is seconds since the epoch."""
    target = work.targets[0]
    return Attempt(
        id=attempt_id,
        namespace=world.namespace,
        fingerprint=work.key,
        client_request_id=client_request_id,
        account=world.provider.account if world.provider else "",
        state=State.RESERVED,
        owner=world.owner,
        run=world.run,
        job=target.job,
        project=target.project,
        folder=str(target.folder),
        output=str(target.output),
        final=str(target.final),
        root=str(target.root),
        manifest=work.manifest,
        model=work.model,
        hold=work.hold,
        duration_s=work.duration_s,
        reserved_at=at,
    )


def work_of(attempt: Attempt) -> Work:
    """The work that an attempt itself describes: enough to finish and publish it without the shot list.

    One that no job is known for is only kept in the store.
    """
    output, final = Path(attempt.output), Path(attempt.final)
    take = attempt.job.rpartition("/t")[2]
    target = Target(
        job=attempt.job,
        take=int(take) if take.isdecimal() else 1,
        output=output,
        final=final,
        root=Path(attempt.root),
        project=attempt.project,
        folder=Path(attempt.folder),
    )
    return Work(
        key=attempt.fingerprint,
        manifest=attempt.manifest,
        targets=() if attempt.is_unattached else (target,),
        model=attempt.model,
        duration_s=attempt.duration_s,
    )
