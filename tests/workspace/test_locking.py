"""The lock file on disk: what is left alone, what is copied before it is mended, and what is said before a payment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kling_render.config import load_settings
from kling_render.errors import UsageError
from kling_render.planning.lock import Kept, Locked
from kling_render.planning.lock_text import lock_text
from kling_render.planning.records import Plan
from kling_render.shotlist.records import Project
from kling_render.store.opening import Store
from kling_render.workspace.doubts.resolving import Decision
from kling_render.workspace.lockfile.locked_claims import contradiction, holder, kept_results, named_otherwise
from kling_render.workspace.lockfile.locking import before_paying, mend_lock, write_lock
from kling_render.workspace.times import SystemClock
from kling_render.workspace.workspace import ListSource, Workspace
from tests.planning.build import World, digest, job, project
from tests.workspace.test_keeping import SPACE, offered

FOX, CAT = job(character="fox"), job(character="cat")
API = "https://api.aimlapi.com"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    settings = load_settings({}, {"store": str(tmp_path / "store")}, tmp_path / "none", home=tmp_path, cwd=tmp_path)
    with Store.open(tmp_path / "store") as store:
        yield Workspace(ListSource(tmp_path / "shotlist.yaml"), settings, store, SystemClock(), tmp_path)


def lock_of(workspace: Workspace) -> Path:
    return workspace.source.path.with_name("shotlist.lock.json")


def listed(workspace: Workspace) -> tuple[Project, Plan]:
    """Two jobs, one of them done."""
    world, both = World(), project(FOX, CAT, folder=workspace.source.path.parent)
    world.render(FOX)
    return both, world.plan(both)


def entry(name: str) -> Locked:
    return Locked(name, digest(name), digest(name), "g1", "0.448")


def content(api: str = API) -> bytes:
    return lock_text(project=None, provider="aimlapi", api=api, entries=[entry(CAT.id), entry(FOX.id)])


def test_a_torn_file_is_copied_before_it_is_written_anew(workspace: Workspace) -> None:
    """Only a part of an entry is there, and the store knows nothing of it: no other copy is ever overwritten."""
    both, plan = listed(workspace)
    path = lock_of(workspace)
    copy = path.with_name("shotlist.lock.json.broken")
    torn = content().replace(b'"usd": "0.448"\n    },', b"", 1)
    path.write_bytes(torn)
    told = mend_lock(workspace, both, plan)
    assert (len(told), "a part is there: shotlist.lock.json.broken is a copy" in told[1]) == (2, True), told
    assert (copy.read_bytes(), list(json.loads(path.read_bytes())["jobs"])) == (torn, [FOX.id])
    path.write_bytes(torn + b"\n")
    (left,) = write_lock(workspace, both, plan)
    assert "is there already: mend it by hand" in left
    assert (copy.read_bytes(), path.read_bytes()) == (torn, torn + b"\n")
    path.write_bytes(content()[:-300])
    copy.unlink()
    world = World()
    world.render(FOX)
    world.render(CAT)
    assert mend_lock(workspace, both, replace(world.plan(both), totals=plan.totals)) != []
    assert not copy.exists(), "the store knows all of it"


@pytest.mark.parametrize(("api", "left"), [("https://api.elsewhere.example", True), ("sandbox", False)])
def test_the_file_of_another_account_is_left_alone(workspace: Workspace, api: str, left: bool) -> None:
    """What was paid for at another origin is not forgotten because of a run at this one; practice is."""
    both, plan = listed(workspace)
    lock_of(workspace).write_bytes(content(api))
    told = write_lock(workspace, both, plan)
    assert (lock_of(workspace).read_bytes() == content(api), bool(told)) == (left, left)
    assert bool(before_paying(workspace, both)) == left


def test_what_hinders_writing_is_told_before_anything_is_paid(workspace: Workspace) -> None:
    """Nothing, a file of ours, a newer one, another program's, a read-only one, and a folder."""
    both, _ = listed(workspace)
    path = lock_of(workspace)
    assert before_paying(workspace, both) == ""
    path.write_bytes(content())
    assert before_paying(workspace, both) == ""
    path.write_bytes(content().replace(b"lock/1", b"lock/2"))
    assert "has the unknown format" in before_paying(workspace, both)
    path.write_text("{}")
    assert "is no lock file of kling-render" in before_paying(workspace, both)
    path.chmod(0o400)
    assert "is read-only: what is paid for now will be known to this store alone" in before_paying(workspace, both)
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        before_paying(workspace, both)


def test_an_entry_is_held_against_what_the_store_knows(workspace: Workspace) -> None:
    """Its own request, one that somebody kept it from, another one; and a keeping that was taken back here since."""
    store, decision = workspace.store, Decision(by="ada@studio", at=50.0, why="a comma")
    offer, new = offered(store)
    old = offer.jobs[0].result.fingerprint
    own = Locked(new.job.id, old, "b" * 64, "g", None)
    bare = own._replace(fingerprint=new.key)
    kept = bare._replace(kept=Kept(old, "ada@studio", "1970-01-01T00:00:50Z", "a comma"))
    other = bare._replace(kept=Kept(digest("other"), "eve", "", ""))

    def against(claim: Locked) -> str:
        with store.ledger.reading() as ledger:
            return contradiction(ledger, claim, holder(ledger, SPACE, claim))

    assert (against(own), against(kept), against(own._replace(generation_id="unknown"))) == ("", "", "")
    assert "does not say that it was kept for this one" in against(bare)
    assert "not for the one that the lock file says it was kept from" in against(other)
    with store.ledger.writing() as ledger:
        assert ledger.keep(SPACE, new.key, old, decision.at, **decision.detail)
        assert kept_results(ledger, SPACE) == {new.key: kept.kept}
        assert ledger.unkeep(SPACE, new.key, 60.0, by="ada@studio")
        assert kept_results(ledger, SPACE) == {}
    assert "that was taken back here" in against(kept)
    later = kept._replace(kept=Kept(old, "bob@studio", "1970-01-01T00:01:10Z", "looks the same"))
    assert against(later) == "", "somebody kept it once more, after that"


def test_an_entry_is_held_against_the_accounts_log() -> None:
    """The log has the first digits only; a row without a name of ours says nothing."""
    own = Locked("a/b/c/t01", "1" * 64, "2" * 64, "g1", None)
    kept = own._replace(kept=Kept("3" * 64, "ada", "", ""))
    assert [named_otherwise(own, prefix) for prefix in (None, "1" * 32)] == ["", ""]
    assert [named_otherwise(kept, prefix) for prefix in ("1" * 32, "3" * 32)] == ["", ""]
    assert "g1 was paid for another request (333333333333…)" in named_otherwise(own, "3" * 32)
    assert "not for the one" in named_otherwise(kept, "4" * 32)
