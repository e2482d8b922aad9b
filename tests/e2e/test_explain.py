"""`explain`: the field that changed, before and after, and where it is written; or what a hit rests on."""

from __future__ import annotations

import hashlib
import shutil

from tests.e2e.harness import Studio, valid
from tests.media.makers import picture

FOX, CAT = "sc010/fox/wave/t01", "sc010/cat/wave/t01"


def told(studio: Studio, job: str = FOX, *words: str) -> dict:  # type: ignore[type-arg] # a JSON document
    ended = studio.run("explain", job, "--json", *words)
    assert ended.code == 0, ended.text
    valid(ended.json, "explain")
    return ended.json


def test_every_edit_is_explained_by_the_fields_it_changed(studio: Studio) -> None:
    """A new job, a hit, a prompt's words with their place, an image's digests and sizes, options and trims."""
    new = studio.run("explain", FOX)
    assert (new.code, "no earlier result" in new.out, "rendering it costs: about $" in new.out) == (0, True, True)
    assert studio.render().code == 0
    hit = studio.run("explain", "sc010/fox")
    result = told(studio)["result"]
    assert "up to date, because" in hit.out
    for fact in (result["sha256"][:12], result["generation_id"], "cost $0.336", "renders/sc010/fox/wave.mp4"):
        assert fact in hit.out, hit.out
    assert told(studio)["differences"] == []

    studio.write_list(shots=[{"id": "sc010", "prompt": "on a beach"}])
    ended = studio.run("explain", FOX)
    assert ended.code == 0
    assert "- on a [-roof-]" in ended.out
    assert "+ on a {+beach+}" in ended.out
    assert "(shotlist.yaml:" in ended.out
    (change,) = told(studio)["differences"]
    assert (change["field"], change["old"], change["new"]) == ("prompt", "on a roof", "on a beach")
    assert [w["text"] for w in change["words"] if w["side"] != "same"] == ["roof", "beach"]

    old = (studio.project / "fox.png").read_bytes()
    new_bytes = picture(studio.project / "fox.png", (330, 420)).read_bytes()
    studio.write_list(
        shots=[{"id": "sc010", "prompt": "on a roof", "orientation": "video"}],
        motions={"wave": {"video": "wave.mp4", "end": 3}},
    )
    document = told(studio)
    assert [change["field"] for change in document["differences"]] == ["end", "image", "orientation"]
    image = document["differences"][1]
    assert image["old_input"] == {
        "sha256": hashlib.sha256(old).hexdigest(),
        "url": None,
        "bytes": len(old),
        "name": "fox.png",
    }
    assert image["new_input"]["bytes"] == len(new_bytes)
    shown = studio.run("explain", FOX, "-v").out
    assert f"image: {image['old_input']['sha256'][:12]} (fox.png, {len(old):,} bytes) -> " in shown
    assert "orientation: image -> video" in shown
    assert "clip: the same" in shown
    manifest = shown.partition("manifest: ")[2].strip()
    assert hashlib.sha256(manifest.encode()).hexdigest() == document["fingerprint"]


def test_a_new_name_is_compared_with_the_nearest_result_of_the_store(studio: Studio) -> None:
    """A renamed and edited job names the job and the day it came nearest to; a mistyped one gets the nearest names."""
    assert studio.render("sc010/fox").code == 0
    studio.write_list(shots=[{"id": "sc020", "prompt": "on the roof"}])
    document = told(studio, "sc020/fox")
    assert (document["earlier"]["job"], [c["field"] for c in document["differences"]]) == (FOX, ["prompt"])
    assert f"the nearest result of the store, {FOX}" in studio.run("explain", "sc020/fox").out
    wrong = studio.run("explain", "sc020/fix/wave/t01")
    assert (wrong.code, "did you mean sc020/fox/wave/t01" in wrong.err) == (2, True), wrong.text
    assert "means 2 jobs" in studio.run("explain", "sc020").err
    error = studio.run("explain", "nowhere", "--json")
    valid(error.json, "explain")
    assert (error.code, error.json["errors"][0]["code"]) == (2, "unknown-job")


def test_what_is_restored_resumed_or_blocked_is_explained_too(studio: Studio) -> None:
    """With the attempt, and what would happen."""
    assert studio.render("sc010/fox").code == 0
    shutil.rmtree(studio.project / "renders")
    restored = studio.run("explain", FOX).out
    assert "to restore, free" in restored
    assert "it is in the store" in restored
    studio.sandbox.faults("submit:lost,nth=1", "generation:log-late,seconds=500,nth=1")
    assert studio.render("sc010/cat").code == 4
    doubtful = studio.run("explain", CAT).out
    assert "it was submitted already and is not sent again" in doubtful
    assert "'in-doubt'" in doubtful


def test_edited_values_are_named_where_they_stand_and_what_they_cost(studio: Studio) -> None:
    """Two characters' names, one of them imported: a row each with its money; then a template beside them."""
    project = studio.project
    (project / "cast.yaml").write_text("version: 1\ncharacters:\n  cat:\n    image: cat.png\n    name: a cat\n")
    (project / "scene.j2").write_text("{{ character.name }} {{ motion.verb }},\nfilmed by hand\n")
    declared = (
        "version: 1\nproject: tiny\nprovider: aimlapi\nimports: [cast.yaml]\n"
        "characters:\n  fox: {image: fox.png, name: a fox}\n"
        "motions:\n  wave: {video: wave.mp4, verb: waves}\n"
        "shots:\n  - {id: sc010, prompt_file: scene.j2}\n"
    )
    (project / "shotlist.yaml").write_text(declared)
    assert studio.render().code == 0
    (project / "shotlist.yaml").write_text(declared.replace("a fox", "a red fox"))
    (project / "cast.yaml").write_text((project / "cast.yaml").read_text().replace("a cat", "a lynx"))
    rows = [line.split("  ") for line in studio.run("plan").out.splitlines() if "→" in line]
    assert {(row[1].strip(), row[-1]) for row in rows} == {
        ("shotlist.yaml:6", "the prompt changed: characters.fox.name"),
        ("cast.yaml:5", "the prompt changed: characters.cat.name"),
    }
    assert all("1 job" in " ".join(row) and "$0.336" in " ".join(row) for row in rows)
    reasons = {job["character"]: job["reasons"] for job in studio.run("plan", "sc010/fox", "--json").json["jobs"]}
    assert [reason["at"] for reason in reasons["fox"]] == ["shotlist.yaml:6"]
    assert "prompt (cast.yaml:5, characters.cat.name)" in studio.run("explain", CAT).out
    (project / "scene.j2").write_text("{{ character.name }} {{ motion.verb }},\nfilmed on tape\n")
    (change,) = told(studio)["differences"]
    assert [edit["at"] for edit in change["edits"]] == ["scene.j2:2", "shotlist.yaml:6"]
