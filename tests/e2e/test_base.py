"""What a change costs against a git revision: real repositories, no store, no key."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Ended, Studio, valid
from tests.media.makers import picture

ME = {"GIT_AUTHOR_NAME": "me", "GIT_AUTHOR_EMAIL": "me@example.com"}
ME |= {"GIT_COMMITTER_NAME": "me", "GIT_COMMITTER_EMAIL": "me@example.com", "GIT_CONFIG_GLOBAL": os.devnull}


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, env={**os.environ, **ME}, capture_output=True, text=True, check=True
    )
    return done.stdout


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "a state")


@pytest.fixture
def committed(studio: Studio) -> Studio:
    """The project in a subfolder of a repository, with one commit. There is no store and no key."""
    studio.key = ""
    git(studio.folder, "init", "-q", "-b", "main")
    (studio.folder / ".gitignore").write_text("store/\n")
    commit(studio.folder)
    return studio


def against(studio: Studio, *words: str, base: str = "main", **extra: str) -> Ended:
    return studio.run("plan", "--base", base, *words, **extra)


def document(studio: Studio, *words: str, base: str = "main") -> dict[str, Any]:
    ended = against(studio, "--json", *words, base=base)
    assert ended.code == 0, ended.text
    valid(ended.json, "plan")
    return ended.json


def since(studio: Studio, *words: str, base: str = "main") -> dict[str, Any]:
    """What became of the jobs; counts of the unchanged."""
    found = dict(document(studio, *words, base=base)["base"])
    return {name: found[name] for name in ("added", "changed", "moved", "removed", "unchanged") if found[name]}


def test_without_a_change_nothing_costs_anything(committed: Studio) -> None:
    """All jobs are unchanged; the user's store is not even made, and nothing in the repository is touched."""
    assert since(committed) == {"unchanged": 2}
    assert against(committed, "--exit-code").code == 0
    assert not committed.store.exists()
    assert git(committed.folder, "status", "--porcelain") == ""
    assert committed.book()["generations"] == []


def test_an_edit_is_priced_and_named_with_its_line(committed: Studio) -> None:
    """A changed prompt, a new character, a removed one."""
    picture(committed.project / "owl.png", (350, 350))
    committed.write_list(
        characters={"fox": {"image": "fox.png"}, "owl": {"image": "owl.png"}},
        shots=[{"id": "sc010", "prompt": "on a boat"}],
    )
    found = document(committed)
    base = found["base"]
    assert (base["changed"], base["added"]) == (["sc010/fox/wave/t01"], ["sc010/owl/wave/t01"])
    assert (base["removed"], base["unchanged"]) == (["sc010/cat/wave/t01"], 0)
    assert float(found["totals"]["estimate_usd"]) == pytest.approx(0.672)
    reasons = {job["id"]: job["reasons"][0] for job in found["jobs"]}
    lines = (committed.project / "shotlist.yaml").read_text().splitlines()
    at = {name: lines[int(why["at"].rpartition(":")[2]) - 1].strip() for name, why in reasons.items()}
    assert at["sc010/fox/wave/t01"] == "prompt: on a boat"
    assert at["sc010/owl/wave/t01"].startswith("owl:")
    assert against(committed, "--exit-code").code == 10
    assert since(committed, "character:cat") == {"removed": ["sc010/cat/wave/t01"]}
    text = against(committed).out
    assert "compared with main" in text
    assert "about $0.336" in text


def test_renamed_files_and_ids_cost_nothing(committed: Studio) -> None:
    """A fingerprint knows no names; a renamed shot list is found."""
    git(committed.project, "mv", "fox.png", "vixen.png")
    git(committed.project, "mv", "shotlist.yaml", "film.yaml")
    committed.write_list(
        characters={"vixen": {"image": "vixen.png"}, "cat": {"image": "cat.png"}},
    )
    os.replace(committed.project / "shotlist.yaml", committed.project / "film.yaml")
    git(committed.project, "add", "-A")
    found = document(committed, "-f", "film.yaml")
    assert found["base"]["moved"] == [{"id": "sc010/vixen/wave/t01", "was": "sc010/fox/wave/t01"}]
    assert (found["totals"]["render"], found["base"]["unchanged"]) == (0, 1)
    assert "film.yaml" not in str(found["base"]["notes"])
    assert "project/shotlist.yaml" in str(found["base"]["notes"])


def test_an_initial_commit_without_the_list_makes_all_jobs_new(committed: Studio) -> None:
    """There is nothing to compare with."""
    git(committed.folder, "checkout", "-q", "--orphan", "empty")
    git(committed.folder, "rm", "-rqf", "--cached", ".")
    (committed.folder / "README").write_text("hello\n")
    git(committed.folder, "add", "README")
    git(committed.folder, "commit", "-qm", "first")
    found = document(committed, base="empty")
    assert (len(found["base"]["added"]), found["base"]["notes"]) == (
        2,
        ["empty has no shotlist.yaml: every job is new"],
    )


def test_inputs_that_git_does_not_keep_come_from_the_work_tree_and_that_is_said(
    committed: Studio, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An ignored clip, and a picture outside the repository that an input root allows."""
    outside = tmp_path_factory.mktemp("outside")
    shutil.move(committed.project / "fox.png", outside / "fox.png")
    (committed.folder / ".gitignore").write_text("store/\n*.mp4\n")
    git(committed.folder, "rm", "-q", "--cached", "project/wave.mp4")
    cast = {"fox": {"image": str(outside / "fox.png")}, "cat": {"image": "cat.png"}}
    committed.write_list(characters=cast)
    commit(committed.folder)
    committed.env["KLING_RENDER_INPUT_ROOTS"] = str(outside)
    assert since(committed) == {"unchanged": 2}
    (note,) = document(committed)["base"]["notes"]
    assert "fox.png, wave.mp4" in note
    assert str(outside) not in note


def test_a_pointer_of_git_lfs_stands_for_its_file(committed: Studio) -> None:
    """The base knows the picture by its pointer; a pointer in the work tree is an error."""
    import hashlib

    bytes_ = (committed.project / "fox.png").read_bytes()
    digest = hashlib.sha256(bytes_).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(bytes_)}\n"
    (committed.project / "fox.png").write_text(pointer)
    commit(committed.folder)
    unfetched = against(committed, "--json")
    assert (unfetched.code, unfetched.json["errors"][0]["code"]) == (2, "KR0212")
    (committed.project / "fox.png").write_bytes(bytes_)
    assert since(committed) == {"unchanged": 2}


def test_templates_globs_and_symlinks_are_read_from_the_revision(committed: Studio) -> None:
    """What a template, a glob and a link said then is what counts."""
    cast = committed.project / "cast"
    cast.mkdir()
    for name in ("fox", "cat"):
        shutil.move(committed.project / f"{name}.png", cast / f"{name}.png")
    (committed.project / "clip.mp4").symlink_to("wave.mp4")
    (committed.project / "scene.j2").write_text("{{ character.name }} waves\n")
    declared: dict[str, Any] = {
        "characters": {"from": "cast/*.png"},
        "motions": {"wave": {"video": "clip.mp4"}},
        "shots": [{"id": "sc010", "prompt_file": "scene.j2"}],
    }
    committed.write_list(**declared)
    commit(committed.folder)
    assert since(committed) == {"unchanged": 2}
    picture(cast / "owl.png", (350, 350))
    assert since(committed) == {"added": ["sc010/owl/wave/t01"], "unchanged": 2}
    (committed.project / "scene.j2").write_text("{{ character.name }} sings\n")
    found = document(committed)
    assert len(found["base"]["changed"]) == 2
    assert found["jobs"][0]["reasons"][0]["at"] == "scene.j2:1"


def test_a_value_that_was_edited_is_named_with_its_line(committed: Studio) -> None:
    """Both revisions are at hand, so nothing is guessed; the comment says it too."""
    listed = (
        "version: 1\nproject: tiny\ncharacters:\n  fox:\n    image: fox.png\n    name: a fox\n"
        "  cat: {image: cat.png}\nmotions: {wave: wave.mp4}\n"
        'shots:\n  - {id: sc010, prompt: "Scene: {{ character.name }} waves"}\n'
    )
    (committed.project / "shotlist.yaml").write_text(listed)
    commit(committed.folder)
    (committed.project / "shotlist.yaml").write_text(listed.replace("name: a fox", "name: fox"))
    found = document(committed)
    (job,) = [one for one in found["jobs"] if one["action"] == "render"]
    assert job["reasons"] == [
        {"code": "prompt-changed", "text": "the prompt changed: characters.fox.name", "at": "shotlist.yaml:6"}
    ]
    comment = against(committed, "--format", "markdown").out
    assert "| `project/shotlist.yaml:6` `the prompt changed: characters.fox.name` | 1 | about $0.336 |" in comment


def test_an_unusable_base_is_wrong_usage(committed: Studio, tmp_path: Path) -> None:
    """A bad name, a broken list, no repository, no git, options that do not fit: exit 2, and what helps."""
    for bad in ("nope", "--output=x", "main:shotlist.yaml", ""):
        ended = against(committed, "--json", base=bad)
        assert (ended.code, ended.json["errors"][0]["code"]) == (2, "git"), ended.text
    assert against(committed, "-o", "x.json").code == 2
    assert against(committed, "--pilot").code == 2
    assert committed.run("plan", "--format", "markdown").code == 2
    empty = tmp_path / "bin"
    empty.mkdir()
    missing = against(committed, PATH=str(empty))
    assert (missing.code, "install git" in missing.err) == (2, True), missing.text
    (committed.project / "shotlist.yaml").write_text("version: 1\nshots: [\n")
    commit(committed.folder)
    committed.write_list()
    broken = against(committed)
    assert (broken.code, "main:project/shotlist.yaml:" in broken.err) == (2, True), broken.text
    shutil.rmtree(committed.folder / ".git")
    assert against(committed).code == 2


def test_the_comment_names_no_place_of_this_machine(committed: Studio) -> None:
    """Dollars per edit with places inside the repository; also from another folder, and inside a git hook."""
    committed.write_list(shots=[{"id": "sc010", "prompt": "on a boat | @everyone <b> `x`"}], project="a|b @me")
    ended = against(committed, "--format", "markdown", GIT_DIR="elsewhere", GIT_INDEX_FILE="none")
    assert ended.code == 0, ended.text
    assert ended.out.startswith("### kling-render: 2 jobs to render, about $0.672, up to ")
    assert "| `project/shotlist.yaml:" in ended.out
    assert "`a│b @me` compared with `main`" in ended.out
    assert str(committed.folder) not in ended.out
    other = committed.run(
        "plan", "-f", "project/shotlist.yaml", "--base", "main", "--format", "markdown", cwd=committed.folder
    )
    assert other.out == ended.out
    committed.sandbox.config(price_kind="variable")
    assert "for an unknown price" in against(committed, "--format", "markdown").out
