"""One account, several machines, wrong clocks: the account's log says what was paid for, and nobody pays again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.harness import Studio, paid_once
from tests.e2e.test_audit import someone_else_renders


@pytest.fixture(autouse=True)
def without_lock_file(studio: Studio) -> None:
    """What is tried here is the log: a lock file would bring the same results without it."""
    studio.env["KLING_RENDER_LOCK_FILE"] = "false"


def _another_machine(studio: Studio, tmp_path: Path) -> Studio:
    """The same project and key, another store."""
    other = Studio(tmp_path / "other", studio.sandbox, studio.key)
    other.folder.mkdir()
    shutil.copytree(studio.project, other.project, ignore=shutil.ignore_patterns("renders"))
    return other


def test_what_another_machine_paid_for_is_adopted(studio: Studio, tmp_path: Path) -> None:
    """Same key, empty store: the results are fetched for nothing, the rest is rendered."""
    assert studio.render("sc010/fox").code == 0
    other = _another_machine(studio, tmp_path)
    ended = other.render()
    assert (ended.code, other.accepted(), len(other.videos())) == (0, 2, 4), ended.text
    paid_once(studio.book())


def test_what_was_seen_before_it_was_wanted_is_adopted_too(studio: Studio, tmp_path: Path) -> None:
    """The first run of the other machine wants one job only; the second one's result was in the log it read."""
    assert studio.render().code == 0
    other = _another_machine(studio, tmp_path)
    assert other.render("sc010/fox").code == 0
    assert other.render("sc010/cat").code == 0
    assert (other.accepted(), len(other.videos())) == (2, 4)


def test_another_key_is_another_account(studio: Studio, tmp_path: Path) -> None:
    """Its log knows nothing, so it pays."""
    assert studio.render().code == 0
    other = _another_machine(studio, tmp_path)
    other.key = "another-key"
    assert other.render().code == 0
    assert other.accepted() == 4


def test_a_store_from_a_backup_pays_nothing_again(studio: Studio, tmp_path: Path) -> None:
    """What was rendered after the backup is found in the log."""
    assert studio.render("sc010/fox").code == 0
    shutil.copytree(studio.store, tmp_path / "backup")
    assert studio.render("sc010/cat").code == 0
    shutil.rmtree(studio.store)
    shutil.copytree(tmp_path / "backup", studio.store)
    assert studio.render().code == 0
    assert (studio.accepted(), len(studio.videos())) == (2, 4)
    paid_once(studio.book())


def test_stores_of_two_machines_merge_although_one_adopted_what_the_other_paid(studio: Studio, tmp_path: Path) -> None:
    """One payment under one id in both stores, and one that both adopted by hand: each counts once."""
    studio.write_list(shots=[{"id": "sc010", "prompt": "on a roof"}, {"id": "sc020", "prompt": "in a park"}])
    assert studio.render("sc010/fox").code == 0
    generation = someone_else_renders(studio)
    other = _another_machine(studio, tmp_path)
    assert other.render("sc010/fox").code == 0
    for machine in (studio, other):
        assert machine.run("adopt", "--", "sc020/fox", generation).code == 0
    assert studio.run("store", "export", "../all.tar").code == 0
    imported = other.run("store", "import", str(studio.folder / "all.tar"), "--json")
    assert (imported.code, imported.json["known"], imported.json["set_aside"]) == (0, 2, []), imported.text
    assert other.run("verify").out.endswith("sound\n")
    assert (other.render("character:fox").code, len(studio.book()["submits"])) == (0, 2)


def test_a_wrong_clock_does_not_hide_a_lost_answer(studio: Studio) -> None:
    """The server is 50 minutes ahead; the first answer of the process tells, and the right window is read."""
    studio.write_list(characters={"fox": {"image": "fox.png"}})
    studio.sandbox.config(clock_offset_s=3000)
    studio.sandbox.faults("submit:lost", "log:status,status=503")
    assert studio.render("--without-log").code == 4
    studio.sandbox.faults()
    pulled = studio.run("pull")
    assert (pulled.code, studio.accepted(), len(studio.videos())) == (0, 1, 2), pulled.text
