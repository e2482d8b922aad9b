"""The lock file's text: the same for everybody, whole blocks of a broken one, and what differs from a plan."""

from __future__ import annotations

import json
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kling_render.planning.lock import FORMAT, Locked, LockFile, differences, entries_of, is_settled, lock_text, parse
from tests.planning.build import World, digest, job, project

FOX, CAT = job(character="fox"), job(character="cat")
API = "https://api.example.com"


def entry(name: str, word: str = "", **changes: str) -> Locked:
    made = Locked(job=name, fingerprint=digest(name), sha256=digest(word or name), generation_id="g1", usd="0.448")
    return made._replace(**changes)


def text(*entries: Locked) -> bytes:
    return lock_text(project="tiny", provider="aimlapi", api=API, entries=entries)


def git(folder: Path, *words: str, code: int = 0) -> None:
    """Run git as nobody, with the merge's own ideas of a conflict."""
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "init.defaultBranch=main"]
    ended = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, check=False)
    assert ended.returncode == code, ended.stderr


def test_the_text_depends_on_the_entries_alone() -> None:
    """Any order gives the same bytes, they are sorted JSON, and reading them gives the entries back."""
    entries = [entry(f"sc{n:03}/fox/wave/t01") for n in range(20)]
    shuffled = random.Random(4).sample(entries, len(entries))
    assert text(*shuffled) == text(*entries)
    content = json.loads(text(*shuffled))
    assert (content["format"], list(content["jobs"])) == (FORMAT, [one.job for one in entries])
    assert text(*entries).decode() == json.dumps(content, indent=2) + "\n"
    assert parse(text(*shuffled)) == LockFile(jobs={one.job: (one,) for one in entries}, api=API, project="tiny")
    assert json.loads(text())["jobs"] == {}
    assert "project" not in json.loads(lock_text(project=None, provider="aimlapi", api=API, entries=()))


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
def test_a_real_conflict_of_git_keeps_the_blocks_of_both_sides(tmp_path: Path, style: str) -> None:
    """Added and edited jobs on two branches: every block of each branch is found, ours first."""
    names = [f"sc{n:03}/fox/wave/t01" for n in range(6)]
    base = [entry(name) for name in names[1:4]]
    ours = [entry(names[0]), *base[:1], entry(names[2], "our edit"), base[2], entry(names[4])]
    theirs = [*base[:1], entry(names[2], "their edit"), base[2], entry(names[5])]
    file = tmp_path / "shotlist.lock.json"
    git(tmp_path, "init", "-q")
    for branch, entries in (("base", base), ("ours", ours), ("theirs", theirs)):
        if branch != "base":
            git(tmp_path, "checkout", "-q", "-B", branch, "main")
        file.write_bytes(text(*entries))
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", branch)
        if branch == "base":
            git(tmp_path, "branch", "-M", "main")
    git(tmp_path, "checkout", "-q", "ours")
    git(tmp_path, "-c", f"merge.conflictstyle={style}", "merge", "theirs", code=1)
    found = parse(file.read_bytes())
    assert (found.problem, found.api, found.project) == ("has merge conflicts", API, "tiny")
    assert set(found.jobs) == set(names)
    assert found.jobs[names[2]] == (entry(names[2], "our edit"), entry(names[2], "their edit"))


@pytest.mark.parametrize("cut", range(0, 880, 37))
def test_a_cut_file_gives_its_whole_blocks(cut: int) -> None:
    """Wherever it ends, nothing is made up, and it is to be written anew."""
    entries = [entry("a/b/c/t01"), entry("a/b/c/t02"), entry("a/b/c/t03")]
    data = text(*entries)[:cut]
    found = parse(data)
    assert found.problem
    assert {one for several in found.jobs.values() for one in several} <= set(entries)
    assert len(found.jobs) >= data.count(b"}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fingerprint", "A" * 64),
        ("fingerprint", None),
        ("sha256", "../../etc/passwd"),
        ("generation_id", "a b"),
        ("generation_id", "https://cdn.example.com/x?sig=1"),
        ("usd", 0.448),
        ("usd", "-1"),
    ],
)
def test_an_entry_that_is_none_is_left_out(name: str, value: object) -> None:
    """An id goes into a URL and a digest into a path: only their exact forms are taken."""
    content = json.loads(text(entry("a/b/c/t01"), entry("a/b/c/t02")))
    content["jobs"]["a/b/c/t01"][name] = value
    found = parse(json.dumps(content).encode())
    assert (list(found.jobs), found.problem) == (["a/b/c/t02"], "has entries that cannot be read")


@pytest.mark.parametrize(
    ("data", "foreign"),
    [
        (b'{"format": "kling-render.lock/2", "jobs": {}}', True),
        (b'<<<<<<< HEAD\n "format": "kling-render.lock/2",\n', True),
        (b'{"packages": {}}', True),
        (b"[1, 2]", True),
        (b"", False),
        (b"\xff\xfe<<<<<<<", False),
        (b"[" * 100_000, False),
        (b'{"format": "kling-render.lock/1", "jobs": 3}', False),
        (b'{"format": "kling-render.lock/1"}', False),
    ],
)
def test_what_is_not_ours_is_told_from_what_is_broken(data: bytes, foreign: bool) -> None:
    """A newer version's file and another program's are left alone; ours is mended."""
    found = parse(data)
    assert (bool(found.foreign), bool(found.problem)) == (foreign, not foreign)
    assert found.jobs == {}


def test_entries_follow_the_tree_and_keep_what_was_not_rendered_again() -> None:
    """A published result is told; an edited job keeps its old entry; a job that is gone leaves."""
    world = World()
    made = world.render(FOX)
    old = LockFile(jobs={name: (entry(name),) for name in (FOX.id, CAT.id, "gone/fox/wave/t01")})
    plan = world.plan(project(FOX, CAT))
    entries = {one.job: one for one in entries_of(plan, old)}
    assert entries[FOX.id].sha256 == made.blob
    assert entries[CAT.id] == entry(CAT.id)
    assert set(entries) == {FOX.id, CAT.id}
    assert [one.job for one in entries_of(plan, None)] == [FOX.id]
    assert not is_settled(plan)
    world.render(CAT)
    assert is_settled(world.plan(project(FOX, CAT)))


def test_a_result_that_is_not_in_the_tree_is_told_only_by_a_mended_file() -> None:
    """A sound file goes on saying what stands there; a broken one is made of what the store knows."""
    world = World()
    made = world.render(FOX, publish=False)
    plan = world.plan(project(FOX))
    old = LockFile(jobs={FOX.id: (entry(FOX.id),)})
    assert entries_of(plan, None) == []
    assert entries_of(plan, old) == [entry(FOX.id)]
    assert entries_of(plan, replace(old, problem="has merge conflicts"))[0].sha256 == made.blob


def test_of_two_sides_the_one_that_fits_the_shot_list_wins() -> None:
    """A conflict about an edited job: the block of the present request."""
    key = World().one(CAT).key
    sides = (entry(CAT.id, fingerprint=digest("old")), entry(CAT.id, "theirs", fingerprint=key))
    broken = LockFile(jobs={CAT.id: sides}, problem="has merge conflicts")
    assert entries_of(World().plan(project(CAT)), broken) == [sides[1]]
    assert broken.by_fingerprint()[key] == [sides[1]]


def test_every_difference_is_named() -> None:
    """Missing, edited, another result here, gone: a sentence each; of a part of the list nothing is gone."""
    world = World()
    world.render(FOX)
    robot = job(character="robot")
    plan = world.plan(project(FOX, CAT, robot))
    key = next(planned.key for planned in plan.jobs if planned.job.id == FOX.id)
    lock = LockFile(
        jobs={
            FOX.id: (entry(FOX.id, "other bytes", fingerprint=key),),
            CAT.id: (entry(CAT.id),),
            "gone/fox/wave/t01": (entry("gone/fox/wave/t01"),),
        }
    )
    found = differences(plan, lock, whole=True)
    assert [line.split(" ", 1)[0] for line in found] == [FOX.id, CAT.id, robot.id, "gone/fox/wave/t01"]
    words = ("has another result in this store", "was edited", "is not in the lock file", "not in the shot list")
    assert all(word in line for word, line in zip(words, found, strict=True))
    assert len(differences(plan, lock, whole=False)) == 3


def test_an_id_that_no_url_should_hold_is_not_written() -> None:
    """What a server calls a generation may be anything; the file stays one that can be read."""
    world = World()
    made = world.render(FOX)
    world.results[made.fingerprint] = replace(made, generation_id='a "b"/../c', charge=None)
    (only,) = entries_of(world.plan(project(FOX)), None)
    assert (only.generation_id, only.usd) == (None, None)
    assert parse(text(only)).jobs == {FOX.id: (only,)}
