"""The command line's contract: bad input, exit codes, documents, where options may stand, text in pipes."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.canary import sightings
from tests.e2e.harness import PAY, TOOL, Studio, finished, valid, wait_until

ROOT_RUNS = getattr(os, "geteuid", lambda: 0)() == 0


def _text(text: str | bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        data = text if isinstance(text, bytes) else text.encode()
        (folder / "shotlist.yaml").write_bytes(data)

    return write


def _list(**changes: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        path = folder / "shotlist.yaml"
        import yaml

        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))

    return write


def _file(name: str, data: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).unlink()
        if data:
            (folder / name).write_bytes(data)

    return write


BAD = {
    "an empty list": (_text(""), "no content"),
    "a tab": (_text("version: 1\nproject:\n\tx\n"), "tab"),
    "a python tag": (_text("version: !!python/object/apply:os.system ['touch pwned']\n"), "tag"),
    "two hundred thousand brackets": (_text("version: " + "[" * 200_000), "nested"),
    "a key in the list": (_list(api_key="sk-verysecret"), "user"),
    "an unknown field": (_list(shots=[{"id": "a", "promt": "x"}]), "did you mean 'prompt'"),
    "a missing image": (_file("fox.png", b""), "fox.png"),
    "a page instead of an image": (_file("fox.png", b"<!doctype html><html></html>"), "fox.png"),
    "a playlist instead of a clip": (_file("wave.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x.ts\n"), "wave.mp4"),
    "an image from outside": (_list(characters={"fox": {"image": "../../etc/passwd"}}), "outside"),
    "a template that reaches out": (_list(shots=[{"id": "a", "prompt": "{{ ''.__class__ }}"}]), "prompt"),
    "an unknown name": (_list(shots=[{"id": "a", "prompt": "{{ charakter }}"}]), "did you mean 'character'"),
    "an id that is a path": (_list(shots=[{"id": "../../x", "prompt": "x"}]), "id"),
    "a private URL": (_list(characters={"fox": {"image": "https://127.0.0.1/fox.png"}}), "127.0.0.1"),
}


@pytest.mark.parametrize(("spoil", "said"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_explained_and_nothing_is_sent(studio: Studio, spoil: Callable[[Path], None], said: str) -> None:
    """Exit 2, a message that names it, no traceback, no request, nothing executed."""
    spoil(studio.project)
    ended = studio.render()
    assert ended.code == 2, ended.text
    assert said in ended.err, ended.err
    assert "Traceback" not in ended.text
    assert "verysecret" not in ended.text
    assert studio.book()["requests"].get("submit", 0) == 0
    assert not (studio.project / "pwned").exists()


def test_every_missing_file_is_named_at_once_as_text_and_as_json(studio: Studio) -> None:
    """One report for all of them; the JSON document says the same, with places."""
    for name in ("fox.png", "cat.png", "wave.mp4"):
        (studio.project / name).unlink()
    shown = studio.run("check").text
    assert all(name in shown for name in ("fox.png", "cat.png", "wave.mp4"))
    told = studio.render("--json")
    assert told.code == 2
    assert told.json["format"] == "kling-render.render/1"
    assert {error["file"] for error in told.json["errors"]} == {"shotlist.yaml"}
    assert len(told.json["errors"]) == 3
    valid(told.json, "render")


@pytest.mark.parametrize("words", [["nonsense"], ["render", "--nonsense"], ["render", "--max-usd", "lots"]])
def test_a_wrong_command_line_is_exit_2_with_a_way_out(studio: Studio, words: list[str]) -> None:
    """Usage errors name the command's help; as JSON when that was asked for."""
    ended = studio.run(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "--help" in ended.err
    document = studio.run(*words, "--json").json
    assert document["errors"][0]["code"] == "usage"
    assert document["format"] == f"kling-render.{'render' if words[0] == 'render' else 'error'}/1"


def test_a_selector_that_matches_nothing_names_the_nearest(studio: Studio) -> None:
    """Exit 2 instead of a silent nothing."""
    ended = studio.render("sc011")
    assert ended.code == 2
    assert "sc010" in ended.err


def test_every_document_fits_its_schema(studio: Studio) -> None:
    """Before, during and after a render, and for errors."""
    valid(studio.run("plan", "--json").json, "plan")
    valid(studio.run("status", "--json").json, "status")
    events = studio.folder / "events.jsonl"
    rendered = studio.render("--json", "--events", str(events)).json
    valid(rendered, "render")
    assert {job["state"] for job in rendered["jobs"]} == {"done"}
    assert rendered["totals"]["submits"] == 2
    for line in events.read_text().splitlines():
        valid(json.loads(line), "events")
    again = studio.render("--json").json
    valid(again, "render")
    assert {job["state"] for job in again["jobs"]} == {"up-to-date"}
    valid(studio.run("plan", "--json").json, "plan")
    valid(studio.run("status", "--json").json, "status")
    valid(json.loads((studio.project / "renders" / "index.json").read_text()), "index")
    for sidecar in (studio.project / "renders").rglob("*.mp4.json"):
        valid(json.loads(sidecar.read_text()), "sidecar")
    (studio.project / "shotlist.yaml").write_text("version: 7\n")
    for command, schema in (("plan", "plan"), ("status", "status"), ("render", "render")):
        broken = studio.run(command, "--json")
        assert broken.code == 2
        valid(broken.json, schema)


def test_every_command_speaks_json(studio: Studio) -> None:
    """One document with a format on stdout, whatever the command."""
    for command in ("check", "plan", "status", "pull", "config", "doctor"):
        ended = studio.run(command, "--json")
        assert ended.code == 0, ended.text
        assert ended.json["format"] == f"kling-render.{command}/1"
    retried = studio.run("retry", "--json")  # where no job has failed
    valid(retried.json, "render")
    assert (retried.code, retried.json["jobs"]) == (0, [])


def test_options_may_stand_before_and_after_the_command(studio: Studio) -> None:
    """`-C`, `-f`, `--json` and `--store` work in both places."""
    elsewhere = studio.folder / "elsewhere"
    elsewhere.mkdir()
    (studio.project / "shotlist.yaml").rename(studio.project / "film.yaml")
    before = studio.run("-C", "../project", "-f", "film.yaml", "--json", "plan", cwd=elsewhere)
    after = studio.run("plan", "--json", "-f", "film.yaml", "-C", "../project", cwd=elsewhere)
    assert before.code == after.code == 0, before.text + after.text
    assert before.json["jobs"] == after.json["jobs"]
    assert studio.run("plan", "-C", "nowhere").code == 2
    assert studio.run("plan", "-f", "nothing.yaml").code == 2


def test_a_list_from_standard_input_is_like_a_file_here(studio: Studio) -> None:
    """`-f -` resolves paths from the current folder and names the input in messages."""
    text = (studio.project / "shotlist.yaml").read_bytes()
    (studio.project / "shotlist.yaml").unlink()
    rendered = studio.run("render", *PAY, "-f", "-", stdin=text)
    assert (rendered.code, len(studio.videos())) == (0, 4), rendered.text
    broken = studio.run("plan", "-f", "-", stdin=b"version: 1\nshots: 3\n")
    assert broken.code == 2
    assert "<stdin>" in broken.err


def test_the_list_of_a_parent_folder_is_found(studio: Studio) -> None:
    """The tool works from anywhere inside the project."""
    below = studio.project / "deep" / "down"
    below.mkdir(parents=True)
    assert studio.run("plan", cwd=below).code == 0
    assert studio.run("plan", cwd=studio.folder).code == 2


def test_pipes_get_plain_text(studio: Studio) -> None:
    """No escape sequence, no wrapping, nothing on stderr that belongs on stdout."""
    for words in (("plan",), ("render", *PAY), ("status",), ("check",), ("--help",), ("render", "--help")):
        ended = studio.run(*words, NO_COLOR="", TERM="xterm-256color")
        assert ended.code == 0, ended.text
        assert "\x1b" not in ended.text
    assert studio.run("plan", NO_COLOR="1").code == 0


def test_foreign_text_cannot_steer_the_terminal(studio: Studio) -> None:
    """An error message of the server is shown without its escape sequences."""
    studio.sandbox.faults(
        {"on": "generation", "kind": "error", "name": "Bad\x1b[31m", "message": "x\x1b]52;c;aGk=\x07\u202ey"}
    )
    ended = studio.render(KLING_RENDER_RETRIES="0")
    assert ended.code == 3, ended.text
    assert not {"\x1b", "\x07", "\u202e"} & set(ended.text)


def test_a_missing_key_is_exit_6_and_nothing_is_sent(studio: Studio) -> None:
    """The message says where a key can come from."""
    ended = studio.run("render", *PAY, AIMLAPI_KEY="")
    assert ended.code == 6, ended.text
    assert "AIMLAPI_KEY" in ended.err
    assert studio.run("render", *PAY, AIMLAPI_KEY="two\nlines").code == 6
    assert studio.book()["submits"] == []


def test_the_key_is_shown_nowhere(studio: Studio) -> None:
    """Not in text, documents, the store, sidecars or the output tree."""
    for words in (("config",), ("doctor",), ("render", *PAY, "-v"), ("status", "-v")):
        studio.run(*words)
    for path in studio.folder.rglob("*"):
        if path.is_file():
            assert not sightings(path.read_bytes()), path


def test_a_store_that_is_a_file_or_newer_is_exit_7(studio: Studio) -> None:
    """Nothing is sent when the ledger cannot be trusted."""
    studio.store.write_text("not a folder")
    ended = studio.render()
    assert ended.code == 7, ended.text
    studio.store.unlink()
    assert studio.run("plan").code == 0
    import sqlite3

    with sqlite3.connect(studio.store / "ledger.sqlite3") as ledger:
        ledger.execute("PRAGMA user_version = 999")
    ledger.close()
    assert studio.render().code == 7
    assert studio.book()["submits"] == []


@pytest.mark.skipif(ROOT_RUNS, reason="root writes everywhere")
def test_a_store_that_cannot_be_written_is_exit_7(studio: Studio) -> None:
    """A read-only store sends nothing."""
    assert studio.run("plan").code == 0
    for path in [studio.store, *studio.store.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    assert studio.render().code == 7
    for path in [studio.store, *studio.store.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert studio.book()["submits"] == []


@pytest.mark.parametrize("spoil", ["symlink", "file"])
def test_an_output_folder_that_cannot_be_written_is_found_before_anything_is_paid(studio: Studio, spoil: str) -> None:
    """Exit 7, and not one request."""
    (studio.folder / "elsewhere").mkdir()
    if spoil == "symlink":
        (studio.project / "renders").symlink_to(studio.folder / "elsewhere")
    else:
        (studio.project / "renders").write_text("mine")
    ended = studio.render()
    assert (ended.code, studio.accepted()) == (7, 0), ended.text
    assert "the output folder" in ended.err
    assert list((studio.folder / "elsewhere").iterdir()) == []


def test_an_output_folder_lost_while_rendering_fails_the_job_and_keeps_the_result(studio: Studio) -> None:
    """The paid result is in the store; with the folder repaired `pull` publishes it for nothing."""
    (studio.folder / "elsewhere").mkdir()
    studio.sandbox.config(generation_seconds=1.5)
    running = studio.start("render", *PAY)
    wait_until(lambda: studio.accepted() == 2)
    (studio.project / "renders").rmdir()
    (studio.project / "renders").symlink_to(studio.folder / "elsewhere")
    ended = finished(running)
    assert ended.code in (3, 7), ended.text
    assert "spent in this run: $0.672" in ended.out
    assert list((studio.folder / "elsewhere").iterdir()) == []
    (studio.project / "renders").unlink()
    assert studio.run("pull").code == 0
    assert (len(studio.videos()), studio.accepted()) == (4, 2)


def test_a_file_in_the_way_of_a_folder_goes_to_the_trash(studio: Studio) -> None:
    """Jobs that end together move it once, and nobody's work is lost."""
    (studio.project / "renders").mkdir()
    (studio.project / "renders" / "takes").write_text("in the way")
    ended = studio.render()
    assert (ended.code, len(studio.videos())) == (0, 4), ended.text
    trashed = [path for path in (studio.project / "renders" / ".trash").rglob("*") if path.is_file()]
    assert [path.read_text() for path in trashed] == ["in the way"]


def test_events_come_as_json_lines_on_stdout(studio: Studio) -> None:
    """`--events -` carries nothing else on stdout."""
    ended = studio.render("--events", "-")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert len(events) >= 4
    for event in events:
        valid(event, "events")


def test_plan_exit_code_tells_whether_there_is_work(studio: Studio) -> None:
    """10 before, 0 after; without the store as well, while the bytes are here, and 10 when they may have to be paid."""
    assert studio.run("plan", "--exit-code").code == 10
    assert studio.render().code == 0
    assert studio.run("plan", "--exit-code").code == 0
    shutil.rmtree(studio.store)
    assert studio.run("plan", "--exit-code").code == 0
    shutil.rmtree(studio.project / "renders")
    assert studio.run("plan", "--exit-code").code == 10
    (studio.project / "shotlist.lock.json").unlink()
    assert studio.run("plan", "--exit-code").code == 10


@pytest.mark.skipif(sys.platform != "linux", reason="only there a name can be any bytes")
def test_a_project_whose_folder_is_not_utf_8_is_refused_before_anything_is_sent(studio: Studio) -> None:
    """The ledger could not name it."""
    odd = studio.folder / os.fsdecode(b"project-\xff")
    shutil.copytree(studio.project, odd)
    for words in (["check"], ["plan"], ["render", *PAY], ["status", "--json"]):
        ended = studio.run(*words, cwd=odd)
        assert (ended.code, "is not UTF-8" in ended.text) == (2, True), ended.text
    assert studio.book()["submits"] == []


@pytest.mark.parametrize("closed", ["<&- >&-", "2>&-", "2>/dev/full", "--events /dev/full"])
def test_a_run_ends_well_although_nobody_can_read_its_progress(studio: Studio, closed: str) -> None:
    """A closed, full or abandoned stream must not end a run while requests are on their way."""
    words = f"exec {shlex.join([*TOOL, 'render', *PAY])} {closed}"
    ended = subprocess.run(
        ["bash", "-c", words],
        cwd=studio.project,
        env=studio.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert b"fault" not in ended.stderr
    assert (len(studio.videos()), studio.accepted()) == (4, 2)


def test_a_full_disk_under_stdout_is_said_and_a_reader_that_left_is_not(studio: Studio) -> None:
    """Exit 7 with a sentence, exit 0 without one; no fault report either way."""
    told = {}
    for name, words in {"full": "plan >/dev/full", "gone": "--help | true; exit ${PIPESTATUS[0]}"}.items():
        command = ["bash", "-c", f"{shlex.join(TOOL)} {words}"]
        told[name] = subprocess.run(
            command, cwd=studio.project, env=studio.environment(), capture_output=True, timeout=60, check=False
        )
    assert (told["full"].returncode, told["gone"].returncode) == (7, 0)
    assert b"error: cannot write: No space left on device" in told["full"].stderr
    assert told["gone"].stderr == b""
