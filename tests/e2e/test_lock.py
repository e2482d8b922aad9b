"""`shotlist.lock.json`: made for git, a source of results before anything is paid, and exact with `--locked`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from tests.e2e.harness import Studio, paid_once, valid

FOX, CAT = "sc010/fox/wave/t01", "sc010/cat/wave/t01"
TAKE = "takes/sc010/fox/wave_t01.mp4"


def lock_of(studio: Studio) -> Path:
    return studio.project / "shotlist.lock.json"


def locked(studio: Studio) -> dict[str, Any]:
    return dict(json.loads(lock_of(studio).read_bytes()))


def clone(studio: Studio, folder: Path, *, store: Path | None = None) -> Studio:
    """Another checkout of what git holds: everything but outputs and store."""
    other = Studio(folder, studio.sandbox, studio.key)
    shutil.copytree(studio.project, other.project, ignore=shutil.ignore_patterns("renders"))
    if store is not None:
        other.env["KLING_RENDER_STORE"] = str(store)
    return other


def lost(studio: Studio) -> None:
    """The disk with the store and the outputs is gone; the repository is there."""
    shutil.rmtree(studio.store)
    shutil.rmtree(studio.project / "renders")


def damage(studio: Studio, job: str, **changes: Any) -> None:
    """Edit one job's block by hand."""
    content = locked(studio)
    content["jobs"][job] |= changes
    lock_of(studio).write_text(json.dumps(content, indent=2))


def generations(studio: Studio) -> set[str]:
    """The ids of everything that was ever accepted."""
    return {generation["id"] for generation in studio.book()["generations"]}


def test_a_paid_run_writes_a_file_that_git_can_live_with(studio: Studio) -> None:
    """Sorted, valid, without times, paths, links or names of machines; a run with nothing to do leaves it untouched."""
    assert studio.run("render", "--provider", "previz").code == 0
    assert not lock_of(studio).exists()
    assert studio.render("sc010/fox").code == 0
    assert list(locked(studio)["jobs"]) == [FOX]
    assert studio.render().code == 0
    content, text = locked(studio), lock_of(studio).read_text()
    valid(content, "lock")
    assert list(content["jobs"]) == [CAT, FOX]
    assert (content["provider"], content["project"], content["api"]) == ("aimlapi", "tiny", "sandbox")
    assert {entry["usd"] for entry in content["jobs"].values()} == {"0.336"}
    assert {entry["generation_id"] for entry in content["jobs"].values()} == generations(studio)
    assert not re.search(r"://|20\d\d-|/home|/tmp|\.mp4", text), text
    before = lock_of(studio).stat()
    assert studio.render().code == 0
    assert studio.run("pull").code == 0
    after = lock_of(studio).stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_entries_say_what_stands_in_the_output_tree(studio: Studio) -> None:
    """An edited job keeps its entry until it is rendered; one that is gone leaves the file."""
    assert studio.render().code == 0
    before = locked(studio)["jobs"]
    studio.write_list(characters={"fox": {"image": "fox.png"}}, shots=[{"id": "sc010", "prompt": "by the sea"}])
    assert studio.run("pull").code == 0
    assert locked(studio)["jobs"] == {FOX: before[FOX]}
    assert studio.render().code == 0
    assert locked(studio)["jobs"][FOX]["fingerprint"] != before[FOX]["fingerprint"]


def test_two_clones_on_one_store_cost_once_and_write_the_same_file(studio: Studio, tmp_path: Path) -> None:
    """The second one restores, and has nothing to commit."""
    assert studio.render().code == 0
    other = clone(studio, tmp_path / "other", store=studio.store)
    ended = other.render()
    assert (ended.code, other.accepted(), len(other.videos())) == (0, 2, 4), ended.text
    assert lock_of(other).read_bytes() == lock_of(studio).read_bytes()


def test_two_clones_on_two_stores_cost_once_even_while_the_log_is_down(studio: Studio, tmp_path: Path) -> None:
    """The second store fills itself by the ids in the file: no consent is asked, for nothing is spent."""
    assert studio.render().code == 0
    studio.sandbox.faults("log:status,status=503,every=1")
    other = clone(studio, tmp_path / "other")
    told = other.run("plan")
    assert "2  to fetch by the lock file" in told.out, told.text
    ended = other.run("render")
    assert (ended.code, other.accepted()) == (0, 2), ended.text
    assert other.videos() == studio.videos()
    assert lock_of(other).read_bytes() == lock_of(studio).read_bytes()
    assert other.run("verify").code == 0
    paid_once(studio.book())


def test_pull_fills_an_empty_store_too_and_a_renamed_job_finds_its_result(studio: Studio) -> None:
    """Results are looked up by their request, whatever the job is called now."""
    assert studio.render().code == 0
    lost(studio)
    studio.write_list(shots=[{"id": "opening", "prompt": "on a roof"}])
    assert studio.run("pull").code == 0
    assert (studio.accepted(), len(studio.videos())) == (2, 4)
    assert list(locked(studio)["jobs"]) == ["opening/cat/wave/t01", "opening/fox/wave/t01"]


def test_what_the_lock_file_cannot_bring_takes_the_usual_way(studio: Studio) -> None:
    """An id that the account does not know: the log finds one job, the other has to be paid."""
    assert studio.render("sc010/fox").code == 0
    fingerprint = {p["id"]: p["fingerprint"] for p in studio.run("plan", "--json").json["jobs"]}
    damage(studio, FOX, generation_id="nobody-knows-it")
    content = locked(studio)
    content["jobs"][CAT] = content["jobs"][FOX] | {"fingerprint": fingerprint[CAT], "generation_id": "nor-this"}
    lock_of(studio).write_text(json.dumps(content))
    lost(studio)
    ended = studio.render()
    assert (ended.code, studio.accepted()) == (0, 2), ended.text
    assert "no generation nobody-knows-it" in ended.err, ended.text
    assert len(generations(studio) & {e["generation_id"] for e in locked(studio)["jobs"].values()}) == 2


def test_what_is_paid_is_taken_even_where_its_bytes_differ(studio: Studio) -> None:
    """Without --locked nothing is paid again for a checksum: the user is told, and the file gets the new one."""
    assert studio.render("sc010/fox").code == 0
    damage(studio, FOX, sha256="0" * 64)
    lost(studio)
    ended = studio.run("render", "sc010/fox")
    assert (ended.code, studio.accepted()) == (0, 1), ended.text
    assert "differs" in ended.err, ended.text
    assert locked(studio)["jobs"][FOX]["sha256"] != "0" * 64


def test_locked_brings_exactly_that_tree_without_consent(studio: Studio, tmp_path: Path) -> None:
    """On a fresh machine from the provider, then from the store without a key; the file is not touched."""
    assert studio.render().code == 0
    want, text = studio.videos(), lock_of(studio).read_bytes()
    other = clone(studio, tmp_path / "other")
    ended = other.run("render", "--locked", "--json")
    assert ended.code == 0, ended.text
    valid(ended.json, "render")
    assert (other.videos(), other.accepted(), ended.json["totals"]["submits"]) == (want, 2, 0)
    shutil.rmtree(other.project / "renders")
    offline = other.run("render", "--locked", AIMLAPI_KEY="", AIMLAPI_BASE_URL="http://127.0.0.1:9")
    assert (offline.code, other.videos(), lock_of(other).read_bytes()) == (0, want, text), offline.text
    assert "up to date" in other.run("render", "--locked", AIMLAPI_KEY="").out


def test_locked_refuses_every_difference_at_once_and_does_nothing(studio: Studio) -> None:
    """Edited, added and removed jobs; no file; a conflict: exit 2 before anything moves."""
    missing = studio.run("render", "--locked")
    assert (missing.code, "there is no shotlist.lock.json" in missing.err) == (2, True), missing.text
    assert studio.render().code == 0
    shutil.rmtree(studio.project / "renders")
    studio.write_list(
        shots=[
            {"id": "sc010", "prompt": "{{ character.name }} on a {{ 'boat' if character.id == 'fox' else 'roof' }}"},
            {"id": "sc020", "characters": "cat", "prompt": "new"},
        ],
        characters={"fox": {"image": "fox.png"}, "cat": {"image": "cat.png", "name": "cat"}},
    )
    ended = studio.run("render", "--locked", "--json")
    assert ended.code == 2, ended.text
    said = " ".join(error["message"] for error in ended.json["errors"])
    assert f"{FOX} was edited" in said
    assert "sc020/cat/wave/t01 is not in the lock file" in said
    studio.write_list(characters={"fox": {"image": "fox.png"}})
    gone = studio.run("render", "--locked")
    assert (gone.code, f"{CAT} is in the lock file and not in the shot list" in gone.err) == (2, True), gone.text
    assert (studio.videos(), studio.accepted()) == ({}, 2)
    assert studio.run("render", "--locked", "--provider", "previz").code == 2


def test_locked_fails_rather_than_pays(studio: Studio) -> None:
    """Other bytes are never published, an unknown id is no reason to render, and without a key nothing is fetched."""
    assert studio.render().code == 0
    damage(studio, FOX, sha256="0" * 64)
    damage(studio, CAT, generation_id="nobody-knows-it")
    lost(studio)
    without = studio.run("render", "--locked", AIMLAPI_KEY="")
    assert without.code == 6, without.text
    ended = studio.run("render", "--locked", "--yes", "--max-usd", "50", "--json")
    assert (ended.code, studio.accepted(), studio.videos()) == (3, 2, {}), ended.text
    why = {job["id"]: job["error"]["message"] for job in ended.json["jobs"]}
    assert "the provider's copy differs" in why[FOX]
    assert "no generation nobody-knows-it" in why[CAT]
    assert studio.run("pull", "--lost").code == 0
    assert studio.accepted() == 2


def conflict(ours: str, theirs: str) -> str:
    """What a merge leaves where both sides changed the jobs."""
    head, jobs, _ = re.split(r'(?<="jobs": \{\n)|(?=  \}\n\}\n$)', ours)
    other = re.split(r'(?<="jobs": \{\n)|(?=  \}\n\}\n$)', theirs)[1]
    return f"{head}<<<<<<< HEAD\n{jobs}=======\n{other}>>>>>>> theirs\n  }}\n}}\n"


def test_a_conflict_never_stops_anything_and_is_mended_by_the_next_plan(studio: Studio, tmp_path: Path) -> None:
    """Both sides' blocks are used; --locked wants it mended first; a cut file is mended as well."""
    other = clone(studio, tmp_path / "other")
    assert studio.render("sc010/fox").code == 0
    assert other.render("sc010/cat").code == 0
    broken = conflict(lock_of(studio).read_text(), lock_of(other).read_text())
    third = clone(studio, tmp_path / "third")
    for each in (studio, third):
        lock_of(each).write_text(broken)
    refused = third.run("render", "--locked")
    assert (refused.code, "has merge conflicts" in refused.err) == (2, True), refused.text
    planned = studio.run("plan", "--json")
    assert (planned.code, "has merge conflicts: it was written anew" in planned.err) == (0, True), planned.text
    assert list(locked(studio)["jobs"]) == [CAT, FOX]
    ended = third.run("render")
    assert (ended.code, third.accepted(), len(third.videos())) == (0, 2, 4), ended.text
    assert lock_of(third).read_bytes() == lock_of(studio).read_bytes()
    whole = lock_of(third).read_bytes()
    lock_of(third).write_bytes(whole[:150])
    assert "is no complete JSON" in third.run("plan").err
    assert lock_of(third).read_bytes() == whole


def test_another_programs_file_and_other_apis_are_left_alone(studio: Studio) -> None:
    """Nothing of yours is overwritten; practising does not spoil the real file; the setting turns it off."""
    lock_of(studio).write_text('{"packages": {}}')
    ended = studio.render("sc010/fox")
    assert (ended.code, "it was left alone" in ended.text) == (0, True), ended.text
    assert lock_of(studio).read_text() == '{"packages": {}}'
    lock_of(studio).unlink()
    assert studio.run("render", KLING_RENDER_LOCK_FILE="false").code != 1
    assert not lock_of(studio).exists()
    assert studio.render("sc010/fox").code == 0
    real = lock_of(studio).read_text().replace('"api": "sandbox"', '"api": "https://api.aimlapi.com"')
    lock_of(studio).write_text(real)
    ended = studio.render("sc010/fox")
    assert (ended.code, "not written into it" in ended.text) == (0, True), ended.text
    assert lock_of(studio).read_text() == real
    assert studio.run("render", "--locked", "sc010/fox").code == 2


def test_a_lost_store_takes_what_stands_in_the_tree_without_key_and_server(studio: Studio) -> None:
    """Those very bytes are there: nobody is asked. Bytes that somebody edited are no result."""
    assert studio.render().code == 0
    text = lock_of(studio).read_bytes()
    shutil.rmtree(studio.store)
    nobody = {"AIMLAPI_KEY": "", "AIMLAPI_BASE_URL": "http://127.0.0.1:9"}
    ended = studio.run("render", **nobody)
    assert (ended.code, "found by the lock file: 2 results" in ended.err) == (0, True), ended.text
    assert lock_of(studio).read_bytes() == text
    shutil.rmtree(studio.store)
    (studio.project / "renders" / TAKE).write_bytes(b"edited")
    assert studio.run("render", "sc010/fox", **nobody).code == 6
    assert studio.run("render").code == 0
    assert (studio.accepted(), lock_of(studio).read_bytes()) == (2, text)


def test_a_download_that_fails_is_gone_on_with_and_never_paid_again(studio: Studio) -> None:
    """The id is known, so the job is paid: `pull` brings it later; --locked only says so."""
    assert studio.render("sc010/fox").code == 0
    lost(studio)
    studio.sandbox.faults("cdn:status,status=404,every=1")
    exactly = studio.run("render", "--locked", "sc010/fox")
    assert (exactly.code, "cannot be downloaded now" in exactly.text) == (3, True), exactly.text
    plain = studio.render("sc010/fox")
    assert (plain.code, studio.accepted(), studio.videos()) == (3, 1, {}), plain.text
    studio.sandbox.faults()
    assert studio.run("pull").code == 0
    assert (studio.accepted(), len(studio.videos())) == (1, 2)


def test_what_was_kept_in_one_clone_is_kept_in_the_others(studio: Studio, tmp_path: Path) -> None:
    """A cosmetic edit travels in the file: another store that has the bytes uses them for the new request as well."""
    assert studio.render().code == 0
    other = clone(studio, tmp_path / "other")
    assert other.run("render").code == 0
    studio.write_list(shots=[{"id": "sc010", "prompt": "on a roof, at dusk"}])
    assert studio.run("keep", "sc010", "--yes").code == 0
    for name in ("shotlist.yaml", "shotlist.lock.json"):
        shutil.copyfile(studio.project / name, other.project / name)
    ended = other.run("render")
    assert (ended.code, other.accepted(), other.videos()) == (0, 2, studio.videos()), ended.text
    assert lock_of(other).read_bytes() == lock_of(studio).read_bytes()
