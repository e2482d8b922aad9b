"""`adopt`: what exists already becomes a job's result, and nothing is sent that costs."""

from __future__ import annotations

import shutil

from tests.e2e.harness import Studio, valid
from tests.e2e.test_audit import someone_else_renders

FOX, CAT = "sc010/fox/wave/t01", "sc010/cat/wave/t01"


def test_a_generation_of_the_account_becomes_a_jobs_result(studio: Studio) -> None:
    """It is asked for, fetched and published; a second time is no harm; another job cannot have it too."""
    generation = someone_else_renders(studio)
    ended = studio.run("adopt", "--note", "it was mine", "--json", "--", FOX, generation)
    assert ended.code == 0, ended.text
    valid(ended.json, "adopt")
    told = ended.json
    assert (told["state"], told["generation_id"], told["usd"], told["why"]) == (
        "done",
        generation,
        "0.56",
        "it was mine",
    )
    assert "@" in told["by"]
    assert len(studio.videos()) == 2
    assert studio.run("adopt", "--", FOX, generation).code == 0
    other = studio.run("adopt", "--", CAT, generation)
    assert (other.code, f"is the result of {FOX}" in other.err) == (2, True), other.text
    rendered = studio.render()
    assert (rendered.code, len(studio.book()["submits"])) == (0, 2), rendered.text
    taken = studio.run("adopt", "--", CAT, someone_else_renders(studio))
    assert (taken.code, "has a result already" in taken.err) == (2, True), taken.text


def test_what_cannot_be_adopted_is_refused_with_a_reason(studio: Studio) -> None:
    """Unknown, failed and foreign ids; jobs that do not exist, or are in doubt; files that are no videos."""
    assert studio.run("adopt", FOX, "no-such-id").code == 2
    assert "no generation" in studio.run("adopt", FOX, "no-such-id").err
    assert "means 2 jobs" in studio.run("adopt", "sc010", "some-id").err
    assert "not a complete video" in studio.run("adopt", FOX, "fox.png").err
    assert studio.run("adopt", FOX, "../no/such.mp4").code == 2
    studio.sandbox.faults("submit:lost,nth=1", "generation:log-late,seconds=500,nth=1", "generation:upstream,nth=2")
    assert studio.render("sc010/fox", KLING_RENDER_RETRIES="0").code == 4
    failed = studio.run("adopt", "--", CAT, someone_else_renders(studio))
    assert (failed.code, "failed generations are not charged" in failed.err) == (2, True), failed.text
    studio.sandbox.faults()
    doubtful = studio.run("adopt", "--", FOX, someone_else_renders(studio))
    assert (doubtful.code, f"resolve {FOX} --adopt" in doubtful.err) == (4, True), doubtful.text
    assert studio.videos() == {}


def test_a_file_becomes_a_jobs_result_without_key_and_server(studio: Studio) -> None:
    """Checked and copied into the store; a lost store and a saved video cost nothing again."""
    assert studio.render("sc010/fox").code == 0
    saved = studio.folder / "saved.mp4"
    shutil.copyfile(studio.project / "renders" / "takes" / "sc010" / "fox" / "wave_t01.mp4", saved)
    shutil.rmtree(studio.store)
    shutil.rmtree(studio.project / "renders")
    ended = studio.run("adopt", FOX, str(saved), AIMLAPI_KEY="")
    assert ended.code == 0, ended.text
    assert studio.videos()["takes/sc010/fox/wave_t01.mp4"] == saved.read_bytes()
    assert "everything is up to date" in studio.render("sc010/fox").out
    assert len(studio.book()["submits"]) == 1
