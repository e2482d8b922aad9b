"""`python -m benchmarks.filling FOLDER`: makes every job of a project done, as a run would leave it."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import time
from pathlib import Path

from kling_render.config import Settings, load_settings
from kling_render.lifecycle.identity import client_request_id, ulid
from kling_render.lifecycle.records import Attempt, Result
from kling_render.lifecycle.states import Event, State
from kling_render.outputs import sidecar as sidecars
from kling_render.planning.records import PlannedJob
from kling_render.store.ledger import SqliteLedger
from kling_render.store.opening import Store
from kling_render.workspace.results.looks import SAID, said_key
from kling_render.workspace.times import SystemClock
from kling_render.workspace.workspace import ListSource, Workspace

_STEPS = (Event.SEND, Event.ACCEPT, Event.COMPLETE, Event.FETCH, Event.PUBLISH)


def main() -> None:
    """Fill the store and the output tree; print how many jobs there are."""
    folder = Path(sys.argv[1])
    config = Path(os.environ["XDG_CONFIG_HOME"]) / "none.toml"
    settings = load_settings(os.environ, {}, config, home=folder, cwd=folder)
    with Store.open(settings.store) as store:
        workspace = Workspace(ListSource(folder / "shotlist.yaml"), settings, store, SystemClock(), folder)
        project = workspace.compile()
        digests = workspace.digests(folder)
        planned = workspace.plan(project, workspace.inspect(project, digests), digests, lookup=False).plan
        with store.ledger.writing() as ledger:
            for job in planned.jobs:
                digest = _finish(ledger, job, folder / planned.output_dir, folder, settings)
                store.cache.put(SAID, said_key(job, digest), [])  # watched to its end, and all was well
        store.cache.save()
        for job in planned.jobs:
            for path in (job.job.output, job.job.final):
                digests.sha256(folder / planned.output_dir / path)
        print(len(planned.jobs))


def _finish(ledger: SqliteLedger, job: PlannedJob, root: Path, folder: Path, settings: Settings) -> str:
    now, chance = time.time(), random.Random(job.job.id)
    data = f"the video of {job.job.id}".encode()
    digest = hashlib.sha256(data).hexdigest()
    attempt = Attempt(
        id=(own := ulid(now, chance)),
        namespace=settings.namespace,
        fingerprint=job.fingerprint,
        client_request_id=client_request_id(job.fingerprint, own),
        account="account",
        state=State.RESERVED,
        owner="",
        run=ulid(now, chance),
        job=job.job.id,
        project="bench",
        folder=str(folder),
        output=str(root / job.job.output),
        final=str(root / job.job.final),
        root=str(root),
        manifest=job.manifest_json,
        model=job.job.request.model,
        hold=1_000_000,
        duration_s=5.0,
        reserved_at=now,
    )
    ledger.reserve(attempt, ())
    facts: dict[Event, dict[str, object]] = {
        Event.ACCEPT: {"generation_id": f"gen-{job.job.id}", "raw_answer": "{}"},
        Event.COMPLETE: {"result_url": "http://127.0.0.1/video.mp4", "charge": 1_000_000},
        Event.FETCH: {"blob": digest, "size": len(data)},
    }
    for event in _STEPS:
        ledger.record(own, event, now, **facts.get(event, {}))
    for path in (job.job.output, job.job.final):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    result = Result(
        namespace=settings.namespace,
        fingerprint=job.fingerprint,
        blob=digest,
        size=len(data),
        attempt=own,
        charge=1_000_000,
        generation_id=f"gen-{job.job.id}",
        made_at=now,
    )
    document = sidecars.sidecar(
        job=job.job.id, manifest={}, fingerprint=result.fingerprint, namespace=result.namespace,
        generation_id=result.generation_id, usd=None, sha256=digest, size=len(data), rendered_at=now, tool_version="0",
    )  # fmt: skip
    (root / (job.job.output + sidecars.SUFFIX)).write_bytes(sidecars.text(document))
    return digest


if __name__ == "__main__":
    main()
