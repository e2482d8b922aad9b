"""`keep`: an edit declared cosmetic costs nothing, is told with who and why, and can be undone."""

from __future__ import annotations

import shutil

from PIL import Image

from tests.e2e.harness import Studio, valid
from tests.media.makers import picture

FOX = "sc010/fox/wave/t01"


def to_render(studio: Studio) -> int:
    return int(studio.run("plan", "--json").json["totals"]["render"])


def test_a_cosmetic_edit_keeps_its_results_until_it_is_undone(studio: Studio) -> None:
    """It lists what it would save, keeps only with consent, sends nothing; `explain` tells who, when and why."""
    assert studio.render().code == 0
    sent = len(studio.book()["submits"])
    studio.write_list(shots=[{"id": "sc010", "prompt": "on a roof."}])
    shown = studio.run("keep", "sc010")
    assert (shown.code, "can be kept: 2 results; rendering would cost about $0.672" in shown.out) == (5, True)
    listed = studio.run("keep", "sc010", "--json")
    valid(listed.json, "keep")
    assert (listed.code, listed.json["did"], to_render(studio)) == (5, "listed", 2)

    kept = studio.run("keep", "sc010/fox", "--yes", "--note", "a full stop", "--json")
    valid(kept.json, "keep")
    (job,) = kept.json["jobs"]
    assert (kept.code, kept.json["did"], kept.json["saves_usd"]) == (0, "kept", "0.336")
    assert (job["id"], job["differences"], job["usd"]) == (FOX, ["prompt"], "0.336")
    plan = {one["id"]: one["action"] for one in studio.run("plan", "--json").json["jobs"]}
    assert plan == {FOX: "up-to-date", "sc010/cat/wave/t01": "render"}
    told = studio.run("explain", FOX)
    assert "up to date, because an earlier result was kept for it" in told.out
    assert f"kept from {job['kept_from'][:12]} by {kept.json['by']} at " in told.out
    assert "because a full stop" in told.out
    assert "+ on a roof{+.+}" in told.out
    document = studio.run("explain", FOX, "--json").json
    valid(document, "explain")
    assert document["result"]["kept"]["why"] == "a full stop"

    shutil.rmtree(studio.project / "renders")
    assert studio.run("pull").code == 0
    assert studio.videos()["sc010/fox/wave.mp4"]
    assert "nothing to keep: none" in studio.run("keep", "sc010/fox", "--yes").out
    undone = studio.run("keep", "sc010", "--undo", "--json")
    valid(undone.json, "keep")
    assert [one["id"] for one in undone.json["jobs"]] == [FOX]
    assert (to_render(studio), len(studio.book()["submits"])) == (2, sent)
    assert "nothing was kept" in studio.run("keep", "sc010", "--undo").out


def test_what_has_no_earlier_result_is_left_to_be_rendered(studio: Studio) -> None:
    """A new job cannot be kept; a rehearsal need not; a wrong selector is an error."""
    fresh = studio.run("keep", "sc010", "--yes")
    assert (fresh.code, f"{FOX}: it has no earlier result" in fresh.out) == (0, True), fresh.text
    assert studio.run("keep", "nowhere", "--yes").code == 2
    assert studio.run("keep", "sc010", "--provider", "previz").code == 2
    assert studio.run("keep", "sc010", "--old", "fox.png").code == 2
    assert studio.run("keep").code == 2


def test_rewritten_media_are_kept_only_when_they_are_proven_to_be_the_same(studio: Studio) -> None:
    """Offered, not assumed: the old file is decoded and compared; without it, or with another picture, all is paid."""
    assert studio.render("sc010/fox").code == 0
    image, old = studio.project / "fox.png", studio.folder / "old.png"
    shutil.copyfile(image, old)
    with Image.open(old) as same:
        same.save(image, compress_level=1, dpi=(300, 300))
    assert "keep sc010/fox/wave/t01 --same-media --old FILE" in studio.run("explain", FOX).out
    unproven = studio.run("keep", FOX, "--same-media", "--yes")
    assert (unproven.code, "is not at hand, so nothing is proven" in unproven.out) == (0, True), unproven.text
    assert to_render(studio) == 2
    kept = studio.run("keep", FOX, "--same-media", "--old", "../old.png", "--yes")
    assert (kept.code, "kept: 1 result, $0.336 saved" in kept.out) == (0, True), kept.text
    assert to_render(studio) == 1
    picture(image, (330, 410))
    other = studio.run("keep", FOX, "--same-media", "--old", "../old.png", "--yes")
    assert "the image is another one: its pixels differ" in other.out, other.text
    studio.write_list(shots=[{"id": "sc010", "prompt": "elsewhere"}])
    assert "not only its media changed: prompt" in studio.run("keep", FOX, "--same-media", "--yes").out
