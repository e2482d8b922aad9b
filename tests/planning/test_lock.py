"""The lock file's text: the same for everybody, whole blocks of a broken one, and what differs from a plan."""

from __future__ import annotations

import json
import random
import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kling_render.planning.lock import (
    Flaw,
    Kept,
    Locked,
    LockFile,
    Promise,
    differences,
    entries_of,
    is_settled,
    promised,
)
from kling_render.planning.lock_text import FORMAT, lock_text, parse
from tests.planning.build import World, digest, job, project

FOX, CAT = job(character="fox"), job(character="cat")
API = "https://api.example.com"


def entry(name: str, word: str = "", **changes: Any) -> Locked:
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


@pytest.mark.parametrize("value", ["A" * 64, None, "../../etc/passwd", 7])
@pytest.mark.parametrize("name", ["fingerprint", "sha256"])
def test_an_entry_that_is_none_is_not_used_and_stays_as_it_is(name: str, value: object) -> None:
    """A digest goes into a path: only its exact form is taken. What somebody paid for may be mended by hand."""
    content = json.loads(text(entry("a/b/c/t01"), entry("a/b/c/t02")))
    content["jobs"]["a/b/c/t01"][name] = value
    found = parse(json.dumps(content).encode())
    assert (list(found.jobs), found.problem) == (["a/b/c/t02"], "")
    assert found.flaws == (Flaw("a/b/c/t01", "the entry"),)
    again = lock_text(project="tiny", provider="aimlapi", api=API, entries=[entry("a/b/c/t02")], unread=found.unread)
    assert again.decode() == json.dumps(content, indent=2) + "\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("generation_id", "a b"),
        ("generation_id", "https://cdn.example.com/x?sig=1"),
        ("generation_id", ["g1"]),
        ("usd", 0.448),
        ("usd", "-1"),
        ("usd", "about $3"),
        ("kept", "by me"),
        ("kept", {"from": "half a digest", "by": "me", "at": "", "why": ""}),
        ("kept", {"from": "0" * 64, "by": "me", "at": "yesterday", "why": ""}),
        ("kept", {"from": "0" * 64, "by": 3, "at": "", "why": ""}),
    ],
)
def test_a_further_field_that_is_wrong_is_unknown_and_the_entry_stays(name: str, value: object) -> None:
    """One bad amount must not lose the way to a paid result; written back, it is as it was."""
    content = json.loads(text(entry("a/b/c/t01"), entry("a/b/c/t02")))
    content["jobs"]["a/b/c/t01"] |= {name: value}
    found = parse(json.dumps(content).encode())
    (read,) = found.jobs["a/b/c/t01"]
    assert (getattr(read, name), read.sha256, found.problem) == (None, digest("a/b/c/t01"), "")
    assert list(map(str, found.flaws)) == [f"the {name} of a/b/c/t01"]
    assert json.loads(text(read, *found.jobs["a/b/c/t02"])) == content


def test_what_a_later_version_adds_stays_in_the_file() -> None:
    """Fields of an entry and of the whole file, through a run that describes the same result."""
    world = World()
    world.render(FOX)
    plan = world.plan(project(FOX))
    (mine,) = entries_of(plan, None)
    content = json.loads(text(mine))
    content["jobs"][FOX.id] |= {"seed": {"of": [1, 2]}, "usd": "a lot"}
    content |= {"season": "2"}
    old = parse(json.dumps(content).encode())
    (told,) = entries_of(plan, old)
    assert told.rest == (("seed", json.dumps({"of": [1, 2]}, indent=2)),)
    again = lock_text(project="tiny", provider="aimlapi", api=API, entries=[told], more=old.more)
    assert json.loads(again) == content | {"jobs": {FOX.id: content["jobs"][FOX.id] | {"usd": mine.usd}}}
    assert parse(again).jobs == {FOX.id: (told,)}


def test_a_kept_result_is_told_with_who_when_and_why() -> None:
    """Its braces and quotes break no block of a damaged file, and its time is the one of the decision."""
    kept = Kept("1" * 64, "ada@studio", "2026-11-21T10:00:00Z", 'a {comma}, "quoted" }\n{')
    told = entry("a/b/c/t01", kept=kept)
    data = text(told, entry("a/b/c/t02"))
    assert parse(data).jobs["a/b/c/t01"] == (told,)
    assert parse(b"<<<<<<< HEAD\n" + data).jobs["a/b/c/t01"] == (told,)
    assert json.loads(data)["jobs"]["a/b/c/t01"]["kept"]["from"] == "1" * 64
    assert [told.is_of(each) for each in ("1" * 32, told.fingerprint, "2" * 64)] == [True, True, False]


def test_a_job_that_stands_twice_loses_none_of_its_entries() -> None:
    """A careless merge: the parser would keep the last one only."""
    one, other = entry("a/b/c/t01"), entry("a/b/c/t01", "others", fingerprint=digest("other"))
    first, second = text(one).decode(), text(other).decode()
    block = second[second.index('    "a/b/c/t01"') : second.rindex("\n  }\n}")]
    twice = first.replace("\n  }\n}", f",\n{block}\n  }}\n}}")
    assert json.loads(twice)
    found = parse(twice.encode())
    assert (found.jobs["a/b/c/t01"], found.problem) == ((one, other), "names a job twice")


def test_pieces_of_torn_blocks_are_counted() -> None:
    """Who writes such a file anew must know that something is lost with it."""
    whole = text(entry("a/b/c/t01"), entry("a/b/c/t02"), entry("a/b/c/t03")).decode()
    unclosed = whole.replace('"usd": "0.448"\n    },\n    "a/b/c/t02"', '"usd": "0.448",\n    "a/b/c/t02"')
    found = parse(unclosed.encode())
    assert (set(found.jobs), found.torn, found.nameless) == ({"a/b/c/t02", "a/b/c/t03"}, frozenset({"a/b/c/t01"}), 0)
    headless = whole.replace('"a/b/c/t02": {', "").encode()
    assert (set(parse(headless).jobs), parse(headless).nameless) == ({"a/b/c/t01", "a/b/c/t03"}, 1)


def test_a_renamed_job_that_is_not_here_keeps_the_way_to_its_result() -> None:
    """The file names its request under the old id; the new id takes it over before anything was fetched."""
    plan = World().plan(project(CAT))
    (planned,) = plan.jobs
    old = LockFile(jobs={"was/cat/wave/t01": (entry("was/cat/wave/t01", fingerprint=planned.key),)})
    assert entries_of(plan, old) == [entry("was/cat/wave/t01", fingerprint=planned.key)._replace(job=CAT.id)]


def test_an_entry_whose_keeping_was_taken_back_is_the_one_from_before() -> None:
    """Of a kept result that only the first digits are known of, nothing better can be said."""
    plan = World().plan(project(CAT))
    kept = Kept("1" * 64, "ada", "", "")
    told = entry(CAT.id, fingerprint=plan.jobs[0].key, kept=kept)
    old = LockFile(jobs={CAT.id: (told,)})
    assert entries_of(plan, old, undone=lambda _entry: True) == [entry(CAT.id, fingerprint="1" * 64)]
    assert entries_of(plan, old) == [told]
    short = told._replace(kept=kept._replace(origin="1" * 32))
    assert entries_of(plan, LockFile(jobs={CAT.id: (short,)}), undone=lambda _entry: True) == [short]


def test_what_the_file_promises_is_no_cost_and_counted_apart() -> None:
    """Jobs of one request are promised together and would be paid once; bytes that are here cannot be dead."""
    twin = job("sc020", request=FOX.request)
    plan = World().plan(project(FOX, twin, CAT))
    fox, cat = (next(p.key for p in plan.jobs if p.job.id == name) for name in (FOX.id, CAT.id))
    far, here = Promise(entry(FOX.id), here=False), Promise(entry(CAT.id), here=True)
    sums = promised(plan, {fox: far, cat: here}).totals
    assert (sums.render, sums.adopt, sums.locked, sums.locked_up_to_usd) == (0, 3, 2, Decimal("0.448"))
    assert (sums.estimate_usd, sums.saved_usd) == (Decimal(0), Decimal("0.448"))
    assert promised(plan, {}) is plan
    kept = entry(FOX.id, kept=Kept("1" * 64, "ada", "", ""))
    (first, *_) = promised(plan, {fox: Promise(kept, here=False)}).jobs
    assert first.reasons[0].text.endswith("fetched for nothing while its link lives, kept from 111111111111 by ada")
    assert first.is_promised


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
