"""Real processes that are killed, interrupted, or run side by side on one store."""

from __future__ import annotations

import os
import shutil

from tests.e2e.harness import PAY, Studio, finished, interrupt, paid_once, wait_until
from tests.e2e.kill_loop import loop

KILLS = int(os.environ.get("KILL_LOOP", "50"))
"""The long form: `KILL_LOOP=500`, or `python -m tests.e2e.kill_loop --kills 500`."""


def test_whenever_it_is_killed_nothing_is_paid_twice_and_everything_is_finished(studio: Studio) -> None:
    """SIGKILL at seeded moments, with lost answers in between."""
    loop(studio, KILLS, seed=20)


def test_ctrl_c_leaves_in_order_and_pull_finishes(studio: Studio) -> None:
    """Exit 130, running jobs with their ids, and a free way to their results."""
    studio.sandbox.config(generation_seconds=3)
    studio.sandbox.faults("submit:delay,seconds=0.5,nth=2")
    process = studio.start("render", *PAY)
    wait_until(lambda: studio.accepted() == 2)
    interrupt(process)
    ended = finished(process)
    assert ended.code == 130, ended.text
    for generation in studio.book()["generations"]:
        assert generation["id"] in ended.out
    assert "kling-render pull" in ended.out
    assert "tiny: 2 running\n" in ended.out  # even if the answer came only after Ctrl-C
    studio.sandbox.advance(5)
    pulled = studio.run("pull")
    assert (pulled.code, len(studio.videos()), studio.accepted()) == (0, 4, 2), pulled.text
    assert studio.render().out.startswith("everything is up to date")


def test_pull_finishes_although_the_shot_list_and_its_inputs_are_gone(studio: Studio) -> None:
    """The store alone is enough."""
    assert studio.render("--detach").code == 0
    for path in studio.project.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    pulled = studio.run("pull")
    assert (pulled.code, len(studio.videos()), studio.accepted()) == (0, 4, 2), pulled.text
    paid_once(studio.book())


def test_an_edit_while_a_job_runs_neither_loses_nor_mixes_results(studio: Studio) -> None:
    """The old result is finished and kept; the path belongs to the new job; going back costs nothing."""
    assert studio.render("--detach").code == 0
    studio.write_list(shots=[{"id": "sc010", "prompt": "in a park"}])
    edited = studio.render()
    assert (edited.code, studio.accepted()) == (0, 4), edited.text
    prompts = {g["id"]: g["prompt"] for g in studio.book()["generations"]}
    jobs = studio.run("render", *PAY, "--json").json["jobs"]
    assert {prompts[job["generation_id"]] for job in jobs} == {"in a park"}
    studio.write_list()
    assert studio.render().code == 0
    assert studio.accepted() == 4
    paid_once(studio.book())


def test_two_processes_share_the_work_and_both_end_well(studio: Studio) -> None:
    """Each job is paid once; both processes exit 0; the tree is complete."""
    studio.write_list(defaults={"takes": 3})
    studio.sandbox.config(generation_seconds=1)
    pair = [studio.start("render", *PAY) for _ in range(2)]
    ends = [finished(process) for process in pair]
    assert [end.code for end in ends] == [0, 0], ends
    books = studio.book()
    paid_once(books)
    assert (len(books["submits"]), len(books["charges"]), len(studio.videos())) == (6, 6, 8)


def test_a_process_whose_partner_is_killed_finishes_its_work(studio: Studio) -> None:
    """A dead owner is noticed at once, by its lock."""
    studio.sandbox.config(generation_seconds=3)
    first = studio.start("render", *PAY)
    wait_until(lambda: studio.accepted() == 2)
    second = studio.start("render", *PAY)
    wait_until(lambda: len(list((studio.store / "owners").glob("*"))) >= 2)
    first.kill()
    first.communicate()
    ended = finished(second)
    assert (ended.code, studio.accepted(), len(studio.videos())) == (0, 2, 4), ended.text
    paid_once(studio.book())


def test_a_pull_beside_a_render_submits_nothing(studio: Studio) -> None:
    """`pull` follows what another process runs; it never becomes a payer itself."""
    studio.sandbox.config(generation_seconds=2)
    render = studio.start("render", *PAY)
    wait_until(lambda: studio.accepted() == 2)
    pulled = studio.run("pull")
    assert pulled.code == 0, pulled.text
    assert finished(render).code == 0
    assert (len(studio.book()["submits"]), len(studio.videos())) == (2, 4)


def test_a_selection_finishes_what_runs_of_the_rest(studio: Studio) -> None:
    """A job left running is published by a render of another one."""
    assert studio.render("--detach", "sc010/fox").code == 0
    other = studio.render("sc010/cat")
    assert (other.code, studio.accepted(), len(studio.videos())) == (0, 2, 4), other.text


def test_a_damaged_result_that_two_processes_want_is_fetched_again_by_one(studio: Studio) -> None:
    """The other one waits for it; both end well and nothing is paid."""
    assert studio.render().code == 0
    shutil.rmtree(studio.project / "renders")
    for blob in (studio.store / "blobs").rglob("*"):
        if blob.is_file():
            blob.chmod(0o600)
            blob.write_bytes(blob.read_bytes()[:-9] + b"different")
    studio.sandbox.faults("cdn:delay,seconds=0.5")
    runs = [studio.start("render", *PAY) for _ in range(3)]
    ended = [finished(process) for process in runs]
    assert [end.code for end in ended] == [0, 0, 0], [end.text for end in ended]
    assert (len(studio.videos()), studio.accepted()) == (4, 2)


def test_results_never_become_inputs_of_a_glob_that_reaches_over_the_output_folder(studio: Studio) -> None:
    """`from: "**/*.mp4"` means the user's clips: a second render finds nothing new to pay."""
    studio.write_list(
        characters={"fox": "fox.png"},
        motions={"from": "**/*.mp4"},
        shots=[{"id": "sc010", "matrix": {"place": ["roof"]}, "prompt": "on a {{ place }}"}],
    )
    assert studio.render().code == 0
    again = studio.render()
    assert (again.code, studio.accepted()) == (0, 1), again.text
    assert again.out.startswith("everything is up to date")
