"""The common way: render, render again, edit, delete, move; what is paid for stays paid for."""

from __future__ import annotations

import json
import os
import shutil

from kling_render.sandbox.testing import Sandbox
from tests.e2e.harness import Studio, copy_example, paid_once


def test_the_street_dance_is_rendered_completely_and_a_second_render_sends_nothing(studio: Studio) -> None:
    """The example as a user runs it: every job once, then nothing, and the tool says so."""
    shutil.rmtree(studio.project)
    copy_example("street-dance", studio.project)
    plan = studio.run("plan", "--json").json
    first = studio.render()
    assert first.code == 0, first.text
    jobs = plan["totals"]["jobs"]
    takes = [path for path in studio.videos() if path.startswith("takes/")]
    assert len(takes) == jobs == studio.accepted()
    for planned in plan["jobs"]:
        assert (studio.project / planned["output"]).is_file()
        assert (studio.project / planned["final"]).is_file()
    paid_once(studio.book())
    before = studio.videos()
    second = studio.render()
    assert (second.code, second.out) == (0, f"everything is up to date: nothing was sent ({jobs} jobs)\n")
    assert (studio.accepted(), studio.videos()) == (jobs, before)


def test_what_is_sent_is_what_the_shot_list_says(studio: Studio) -> None:
    """Prompt, orientation and bytes of the request are those of the project."""
    studio.write_list(characters={"fox": {"image": "fox.png"}})
    assert studio.render().code == 0
    (sent,) = studio.book()["submits"]
    assert sent["fields"]["prompt"] == "on a roof"
    assert sent["fields"]["character_orientation"] == "image"
    assert sent["client_request_id"].startswith("kr1:")
    assert sent["dropped_client_request_id"] is None


def test_a_deleted_output_is_restored_for_nothing(studio: Studio) -> None:
    """Both `pull` and `render` bring back what the store has, without a request."""
    assert studio.render().code == 0
    before = studio.videos()
    shutil.rmtree(studio.project / "renders")
    pulled = studio.run("pull")
    assert (pulled.code, studio.videos()) == (0, before), pulled.text
    shutil.rmtree(studio.project / "renders")
    assert studio.render().code == 0
    assert (studio.videos(), studio.accepted()) == (before, 2)


def test_an_edited_output_goes_to_the_trash_and_the_result_comes_back(studio: Studio) -> None:
    """Somebody's edit of an output is never lost and never costs anything."""
    assert studio.render().code == 0
    before = studio.videos()
    take = studio.project / "renders" / next(path for path in before if path.startswith("takes/"))
    take.write_bytes(b"my own grading")
    assert studio.render().code == 0
    kept = [path for path in (studio.project / "renders").rglob("*") if path.is_file()]
    assert any(path.read_bytes() == b"my own grading" for path in kept)
    assert (take.read_bytes(), studio.accepted()) == (
        before[take.relative_to(studio.project / "renders").as_posix()],
        2,
    )


def test_a_second_take_renders_exactly_one_more_per_cell(studio: Studio) -> None:
    """Earlier takes stand; only the new ones are paid."""
    assert studio.render().code == 0
    before = studio.videos()
    studio.write_list(defaults={"takes": 2})
    assert studio.render().code == 0
    after = studio.videos()
    assert studio.accepted() == 4
    assert before.items() <= after.items()
    paid_once(studio.book())


def test_renamed_moved_and_touched_inputs_cost_nothing(studio: Studio) -> None:
    """Content counts, not names, places or times."""
    assert studio.render().code == 0
    os.utime(studio.project / "fox.png", (1, 1))
    (studio.project / "cast").mkdir()
    (studio.project / "cat.png").rename(studio.project / "cast" / "kitten.png")
    studio.write_list(characters={"fox": {"image": "fox.png"}, "cat": {"image": "cast/kitten.png"}})
    again = studio.render()
    assert (again.code, studio.accepted()) == (0, 2), again.text
    assert "nothing was sent" in again.out


def test_an_edited_prompt_renders_its_jobs_alone(studio: Studio) -> None:
    """One changed cell costs one job."""
    shots = [{"id": "sc010", "prompt": "on a roof"}, {"id": "sc020", "prompt": "in a park"}]
    studio.write_list(shots=shots)
    assert studio.render().code == 0
    shots[1]["prompt"] = "in a forest"
    studio.write_list(shots=shots)
    assert studio.render().code == 0
    assert studio.accepted() == 6


def test_a_rehearsal_that_the_store_lost_is_drawn_again(studio: Studio) -> None:
    """It cost nothing, so nobody is told to fetch what was paid for."""
    studio.run("render", "--provider", "previz")
    blobs = [path for path in studio.store.rglob("blobs/*/*") if path.is_file()]
    blobs[0].chmod(0o600)
    blobs[0].write_bytes(b"rotten")
    blobs[1].unlink()
    shutil.rmtree(studio.project / "renders.previz")
    again = studio.run("render", "--provider", "previz")
    assert (again.code, studio.accepted(), len(studio.videos("renders.previz"))) == (0, 0, 4), again.text
    assert "2 done" in again.text
    assert "up to date" in studio.run("render", "--provider", "previz").text


def test_a_damaged_stored_result_is_fetched_again_and_not_paid_again(studio: Studio) -> None:
    """When output and store are both spoilt, the provider's copy is downloaded once more."""
    assert studio.render().code == 0
    before = studio.videos()
    for blob in (path for path in studio.store.rglob("*") if path.is_file() and path.stat().st_size > 2000):
        if blob.read_bytes()[4:8] == b"ftyp":
            blob.chmod(0o600)
            blob.write_bytes(b"rotten")
    shutil.rmtree(studio.project / "renders")
    again = studio.render()
    assert again.code == 0, again.text
    assert (studio.videos().keys(), studio.accepted()) == (before.keys(), 2)
    assert set(studio.videos().values()) == set(before.values())


def test_a_rehearsal_and_a_paid_render_never_satisfy_each_other(studio: Studio) -> None:
    """The free provider keeps its own results in its own folder."""
    free = studio.run("render", "--provider", "previz")
    assert free.code == 0, free.text
    assert (studio.accepted(), len(studio.videos("renders.previz"))) == (0, 4)
    assert studio.render().code == 0
    assert studio.accepted() == 2
    again = studio.run("render", "--provider", "previz")
    assert "nothing was sent" in again.out


def test_sandbox_results_never_satisfy_another_origin(studio: Studio) -> None:
    """What a stand-in made is not what the real API would have made."""
    assert studio.render().code == 0
    plan = studio.run("plan", "--json", "--offline", AIMLAPI_BASE_URL="https://api.example.com").json
    assert [job["action"] for job in plan["jobs"]] == ["render", "render"]
    assert studio.run("plan", "--json").json["totals"]["up_to_date"] == 2


def test_the_sidecar_tells_how_a_result_was_made_and_no_secret(studio: Studio) -> None:
    """Generation id and request are there; key and signed link are not."""
    assert studio.render().code == 0
    sidecars = list((studio.project / "renders").rglob("*.mp4.json"))
    assert len(sidecars) == 2
    ids = {generation["id"] for generation in studio.book()["generations"]}
    for sidecar in sidecars:
        text = sidecar.read_text()
        assert json.loads(text)
        assert any(found in text for found in ids)
        assert studio.key not in text
        assert "signature" not in text.casefold()


def test_init_makes_a_project_that_renders_as_it_stands(studio: Studio, sandbox: Sandbox) -> None:
    """Two commands from nothing to videos, without a key."""
    made = studio.run("init", "film", cwd=studio.folder)
    assert made.code == 0, made.text
    rendered = studio.run("render", "sc010/fox/wave", cwd=studio.folder / "film", AIMLAPI_KEY="")
    assert rendered.code == 0, rendered.text
    assert len(list((studio.folder / "film" / "renders.previz" / "takes").rglob("*.mp4"))) == 2
    assert sandbox.books()["submits"] == []
