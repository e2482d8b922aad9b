"""The server as a process: start, stop, kill, restart with a memory, and its own endpoints' guard."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from kling_render.sandbox.testing import Sandbox, running_sandbox
from tests.sandbox.client import CLIENT_ID, FINGERPRINT, Caller


@contextlib.contextmanager
def calling(sandbox: Sandbox, body: dict[str, Any]) -> Iterator[Caller]:
    with httpx.Client(base_url=sandbox.url, headers={"Authorization": "Bearer k"}) as http:
        yield Caller(http, sandbox, body)


def test_a_killed_sandbox_with_a_state_folder_remembers_everything(
    tmp_path: Path, request_body: dict[str, Any]
) -> None:
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {"answers": "echo", "generation_seconds": 60, "queued_seconds": 59}
        options["faults"] = ["poll:status,nth=2"]
        sandbox = stack.enter_context(running_sandbox(state=tmp_path / "state", seed=5, **options))
        caller = stack.enter_context(calling(sandbox, request_body))
        done = caller.finished(client_id=CLIENT_ID)
        running = caller.accepted()
        sandbox.config(price_per_s="0.2")
        before, url = sandbox.books(), sandbox.url
        sandbox.kill()
        sandbox.restart()
        after = sandbox.books()
        assert sandbox.url == url
        for name in ("submits", "movements", "paid", "cdn"):
            assert after[name] == before[name]
        assert [g["status"] for g in after["generations"]] == ["completed", "queued"]
        assert caller.poll(running).status_code == 503
        assert caller.poll(running).json()["status"] == "queued"
        assert httpx.get(done["video"]["url"]).status_code == 200
        sandbox.advance(61)
        assert sandbox.books()["paid"] == {FINGERPRINT: 1}
        assert len(sandbox.books()["charges"]) == 2
        assert sandbox.config()["price_per_s"] == "0.2"
        assert caller.accepted() not in (done["id"], running)


def test_the_drawn_answer_is_a_playable_video_of_its_own(request_body: dict[str, Any]) -> None:
    with running_sandbox(generation_seconds=0) as sandbox, calling(sandbox, request_body) as caller:
        first, second = caller.accepted(), caller.accepted()
        films = [httpx.get(caller.poll(i).json()["video"]["url"]).content for i in (first, second)]
    assert films[0] != films[1]
    with av.open(io.BytesIO(films[0]), "r", format="mp4") as container:
        seconds = float(container.duration or 0) / 1_000_000
    assert seconds == pytest.approx(4.0, abs=0.2)


def test_a_sandbox_ends_with_the_process_that_started_it(request_body: dict[str, Any]) -> None:
    script = (
        "import os, sys\n"
        "from kling_render.sandbox.testing import Sandbox\n"
        "s = Sandbox([])\n"
        "print(s.url, flush=True)\n"
        "os._exit(1)\n"
    )
    url = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stdout.strip()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            httpx.get(url + "/v1/models")
        except httpx.ConnectError:
            return
        time.sleep(0.05)
    pytest.fail("it still answers")


def test_a_taken_port_is_reported_without_a_traceback(sandbox: Sandbox) -> None:
    port = sandbox.url.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "kling_render.sandbox", "--port", port], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1:{port}")


def test_a_bad_option_is_reported_without_a_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kling_render.sandbox", "--balance-usd", "much"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: setting 'balance_usd'")


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Host": "10.0.0.1"}]
)
def test_its_own_endpoints_refuse_web_pages(caller: Caller, headers: dict[str, str]) -> None:
    answer = httpx.post(caller.sandbox.url + "/sandbox/reset", headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize("changes", [{"pricee": 1}, {"balance_usd": "x"}, {"balance_usd": -1}, {"check_media": 7}])
def test_a_bad_setting_is_refused_with_its_name(caller: Caller, changes: dict[str, Any]) -> None:
    answer = caller.http.post("/sandbox/config", json=changes)
    assert answer.status_code == 400
    assert next(iter(changes)) in answer.json()["message"]


def test_a_reset_forgets_everything_but_never_gives_an_id_twice(caller: Caller) -> None:
    caller.sandbox.config(price_per_s=9)
    first = caller.accepted()
    caller.sandbox.reset()
    assert caller.sandbox.books()["submits"] == []
    assert caller.sandbox.config()["price_per_s"] == "0.112"
    assert caller.accepted() != first


def test_the_date_header_follows_the_sandboxs_own_clock(caller: Caller) -> None:
    from email.utils import parsedate_to_datetime

    caller.sandbox.advance(86_400)
    shown = parsedate_to_datetime(caller.http.get("/v2/billing").headers["date"]).timestamp()
    assert shown == pytest.approx(time.time() + 86_400, abs=5)


def test_a_large_inline_clip_does_not_lie_in_memory(caller: Caller, clip: bytes) -> None:
    import base64

    large = clip + bytes(40_000_000)
    caller.accepted(video_url="data:video/mp4;base64," + base64.b64encode(large).decode())
    status = Path(f"/proc/{caller.sandbox.pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    assert peak < 120_000, f"{peak} KiB"
