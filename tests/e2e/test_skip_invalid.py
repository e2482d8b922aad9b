"""Claim: an input that breaks a rule stops the whole batch, unless the user asks for the rest."""

from __future__ import annotations

from tests.e2e.harness import Studio, valid
from tests.media import makers


def test_the_rest_is_rendered_only_on_request_and_the_blocked_jobs_are_named(studio: Studio) -> None:
    """Refused as a whole by default; with --skip-invalid one job is blocked, the other is paid, exit 3."""
    makers.picture(studio.project / "cat.png", (150, 600))
    refused = studio.render()
    assert refused.code == 2
    assert "150 × 600" in refused.err
    assert studio.accepted() == 0

    planned = studio.run("plan", "--skip-invalid", "--json")
    assert planned.code == 0, planned.text
    valid(planned.json, "plan")
    jobs = {job["character"]: job for job in planned.json["jobs"]}
    assert (jobs["fox"]["action"], jobs["cat"]["action"]) == ("render", "blocked")
    first, second = jobs["cat"]["reasons"]
    assert first["code"] == "blocked"
    assert "the short edge has 150 px; at least 300 px" in first["text"]
    assert "kling-render fix" in first["text"]
    assert "[KR0216]" in second["text"]
    assert first["at"] == "shotlist.yaml:8"
    assert planned.json["totals"]["blocked"] == 1

    rendered = studio.render("--skip-invalid", "--json")
    assert rendered.code == 3, rendered.text
    valid(rendered.json, "render")
    told = {job["character"]: job for job in rendered.json["jobs"]}
    assert (told["fox"]["state"], told["cat"]["state"]) == ("done", "blocked")
    assert "at least 300 px" in told["cat"]["error"]["message"]
    assert told["cat"]["error"]["remedy"]
    assert studio.accepted() == 1
    assert list(studio.videos()) == ["sc010/fox/wave.mp4", "takes/sc010/fox/wave_t01.mp4"]

    shown = studio.run("status", "--json").json
    valid(shown, "status")
    assert {job["id"]: job["state"] for job in shown["jobs"]}["sc010/cat/wave/t01"] == "blocked"

    sheet = studio.run("export", "contact-sheet")
    assert sheet.code == 0, sheet.text
    assert "at least 300 px" in (studio.project / "renders" / "contact-sheet.html").read_text(encoding="utf-8")

    makers.picture(studio.project / "cat.png", (400, 600))
    mended = studio.render("--json")
    assert mended.code == 0, mended.text
    assert studio.accepted() == 2


def test_only_the_jobs_that_break_a_limit_are_blocked_not_all_of_the_same_clip(studio: Studio) -> None:
    """A clip that is too long for one orientation is rendered with the other."""
    makers.clip(studio.project / "wave.mp4", 11, fps=10, size=(340, 340), sound=False)
    studio.write_list(
        characters={"fox": {"image": "fox.png"}},
        shots=[{"id": "sc010", "matrix": {"orientation": ["image", "video"]}, "prompt": "on a roof"}],
    )
    jobs = studio.run("plan", "--skip-invalid", "--json").json["jobs"]
    assert {job["values"]["orientation"]: job["action"] for job in jobs} == {"image": "blocked", "video": "render"}
    shown = studio.run("plan", "--skip-invalid")
    assert "blocked" in shown.out
    assert "11.0 s; at most 10 s when orientation is 'image'" in shown.err


def test_what_another_jobs_input_breaks_hinders_no_explanation_and_no_decision(studio: Studio) -> None:
    """`explain`, `keep` and `adopt` work for the job that is asked about, and refuse the one whose input is no use."""
    assert studio.render().code == 0
    studio.write_list(shots=[{"id": "sc010", "prompt": "on a tall roof"}])
    (studio.project / "cat.png").write_bytes(b"GIF89a" + bytes(40))
    fox, cat = "sc010/fox/wave/t01", "sc010/cat/wave/t01"

    fine, broken = (studio.run("explain", job) for job in (fox, cat))
    assert (fine.code, "{+tall +}" in fine.out) == (0, True), fine.text
    assert (broken.code, "image type 'GIF' not supported" in broken.out) == (0, True), broken.text

    kept = studio.run("keep", "sc010", "--yes", "--json")
    assert (kept.code, [job["id"] for job in kept.json["jobs"]]) == (0, [fox]), kept.text
    (left,) = kept.json["left"]
    assert (left["id"], "'GIF'" in left["why"]) == (cat, True)

    refused = studio.run("adopt", cat, "wave.mp4")
    assert (refused.code, "KR0206" in refused.err) == (2, True), refused.text
    studio.write_list(shots=[{"id": "sc010", "prompt": "on a flat roof"}])
    adopted = studio.run("adopt", fox, "wave.mp4", "--json")
    assert (adopted.code, adopted.json["state"]) == (0, "done"), adopted.text
    assert studio.accepted() == 2
