"""Polls, downloads and the log: free, repeatable, and never a way out for the key."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kling_render.ports import FetchFailed, LinkExpired, LogUnavailable
from kling_render.providers.aimlapi.client import AimlApi
from tests.providers.caller import CLIENT_ID, Caller, upload


def test_a_generation_is_seen_from_queue_to_link(caller: Caller) -> None:
    """Queued, generating, completed with link and usage."""
    made = caller.accepted()
    assert (caller.poll(made).kind, caller.poll(made).status) == ("running", "queued")
    caller.sandbox.advance(20)
    assert caller.poll(made).status == "generating"
    caller.sandbox.advance(60)
    answer = caller.poll(made)
    assert answer.kind == "completed"
    assert answer.url
    assert answer.credits == caller.sandbox.books()["charges"][0]["credits"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("poll:status,status=500", "unavailable"),
        ("poll:status,status=429,retry_after=9", "unavailable"),
        ("poll:status,status=404", "unknown-id"),
        ("poll:status,status=401", "refused"),
        ("poll:status,status=403", "refused"),
        ("poll:status,status=302,location=http://127.0.0.1:9/", "unavailable"),
        ("poll:html", "unavailable"),
        ("poll:cut,bytes=4", "unavailable"),
        ("poll:drop", "unavailable"),
        ("poll:no-url", "unavailable"),
        ("poll:wrong-id", "unavailable"),
        ("poll:waiting", "running"),
    ],
)
def test_each_answer_to_a_poll_is_understood(caller: Caller, fault: str, kind: str) -> None:
    """No answer ends a generation but its own end."""
    made = caller.accepted()
    caller.sandbox.advance(61)
    caller.sandbox.faults(fault)
    answer = caller.poll(made)
    assert answer.kind == kind, answer
    if "retry_after" in fault:
        assert answer.wait_s == 9


@pytest.mark.parametrize("kind", ["refusal", "upstream", "error,name=X,message=Y"])
def test_a_failed_generation_tells_why(caller: Caller, kind: str) -> None:
    """Name and message."""
    caller.sandbox.faults(f"generation:{kind}")
    made = caller.accepted()
    caller.sandbox.advance(61)
    answer = caller.poll(made)
    assert answer.kind == "failed"
    assert answer.error_name
    assert answer.message


@pytest.mark.parametrize(("fault", "known"), [("no-usage", False), ("no-usd", True)])
def test_the_usage_may_be_missing(caller: Caller, fault: str, known: bool) -> None:
    """Then the charge is unknown, not zero."""
    caller.sandbox.faults(f"generation:{fault}")
    made = caller.accepted()
    caller.sandbox.advance(61)
    assert (caller.poll(made).credits is not None) is known


def test_an_unreachable_server_is_no_end(caller: Caller) -> None:
    """A poll never raises."""
    assert replace(caller, base_url="http://127.0.0.1:1").poll("x").kind == "unavailable"


def test_polls_that_were_dropped_hold_up_no_others(caller: Caller) -> None:
    """Cancelled while the server is silent, more of them than may be under way at once; the next one is answered."""
    made = caller.accepted()
    caller.sandbox.faults("poll:delay,seconds=30")

    async def dropped(api: AimlApi) -> str:
        polls = [asyncio.create_task(api.poll(made)) for _ in range(20)]
        await asyncio.sleep(0.3)
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)
        await asyncio.to_thread(caller.sandbox.faults)
        async with asyncio.timeout(10):
            return (await api.poll(made)).kind

    assert caller.call(dropped) == "running"


def test_a_result_is_downloaded_without_the_key(caller: Caller, tmp_path: Path) -> None:
    """Size and digest are those of the file."""
    got = caller.fetch(caller.link(), tmp_path / "a.mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    assert (got.size, got.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert caller.sandbox.books()["keys_sent_to_cdn"] == 0


def test_a_cut_download_is_resumed_where_it_broke(caller: Caller, tmp_path: Path) -> None:
    """By range, and the whole is the whole."""
    large = tmp_path / "large.mp4"
    free = (200_000).to_bytes(4, "big") + b"free" + bytes(199_992)
    large.write_bytes(caller.video.path.read_bytes() + free)
    url = replace(caller, video=upload(large, "video/mp4")).link()
    whole = caller.fetch(url, tmp_path / "whole.mp4")
    caller.sandbox.faults("cdn:cut,bytes=100000,nth=1")
    assert caller.fetch(url, tmp_path / "a.mp4") == whole
    assert [call["range"] for call in caller.sandbox.books()["cdn"]][1:] == [None, "bytes=65536-"]


@pytest.mark.parametrize("fault", ["no-range", "no-length"])
def test_a_server_without_ranges_starts_again(caller: Caller, tmp_path: Path, fault: str) -> None:
    """Nothing is appended twice."""
    url = caller.link()
    whole = caller.fetch(url, tmp_path / "whole.mp4")
    caller.sandbox.faults("cdn:cut,bytes=1000,nth=1", f"cdn:{fault},nth=2")
    assert caller.fetch(url, tmp_path / "a.mp4") == whole


def test_an_expired_link_says_so(caller: Caller, tmp_path: Path) -> None:
    """So that the generation is polled again for a fresh one."""
    url = caller.link()
    caller.sandbox.faults("cdn:expired")
    with pytest.raises(LinkExpired):
        caller.fetch(url, tmp_path / "a.mp4")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.mp4",
        "https://127.0.0.1/a.mp4",
        "https://localhost/a.mp4",
        "https://localhost./a.mp4",
        "https://2130706433/a.mp4",
        "https://0x7f000001/a.mp4",
        "https://0177.0.0.1/a.mp4",
        "https://[::1]/a.mp4",
        "https://[::ffff:127.0.0.1]/a.mp4",
        "https://10.0.0.5/a.mp4",
        "https://192.168.1.1/a.mp4",
        "https://169.254.169.254/latest",
        "https://100.64.0.1/a.mp4",
        "https://[fd00::1]/a.mp4",
        "https://0.0.0.0/a.mp4",
        "https://user:secret@example.com/a.mp4",
        "http://127.0.0.1:1/a.mp4",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://example.com/a.mp4",
        "//example.com/a.mp4",
        "https:///a.mp4",
        "https://[broken/a.mp4",
        "",
        "nonsense",
    ],
)
def test_a_link_to_a_private_place_is_refused(caller: Caller, tmp_path: Path, url: str) -> None:
    """Before any connection; the attempt keeps its link and id."""
    with pytest.raises(FetchFailed) as refused:
        caller.fetch(url, tmp_path / "a.mp4")
    assert "secret" not in str(refused.value)


def test_a_redirect_to_a_private_place_is_refused(caller: Caller, tmp_path: Path) -> None:
    """Each hop is looked at like the first."""
    url = caller.link()
    caller.sandbox.faults("cdn:status,status=302,location=http://127.0.0.1:9/x")
    with pytest.raises(FetchFailed):
        caller.fetch(url, tmp_path / "a.mp4")


def test_a_circle_of_redirects_ends(caller: Caller, tmp_path: Path) -> None:
    """After three hops."""
    url = caller.link()
    caller.sandbox.faults(f"cdn:status,status=302,location={url}")
    with pytest.raises(FetchFailed, match="redirects"):
        caller.fetch(url, tmp_path / "a.mp4")


def test_the_log_is_read_over_all_its_pages(caller: Caller) -> None:
    """More than a hundred rows, each once."""
    small = {"image": "https://example.com/a.png", "video": "https://example.com/b.mp4"}

    async def many(api: object) -> None:
        for number in range(130):
            client_id = CLIENT_ID[:-3] + f"{number:03d}"
            await api.submit(caller.request(client_request_id=client_id, **small), _nothing)  # type: ignore[attr-defined]

    caller.sandbox.config(balance_usd="100000")
    caller.call(many)
    caller.sandbox.advance(61)
    now = time.time() + 61
    rows = caller.log(now - 600, now + 600)
    accepted = caller.sandbox.books()["generations"]
    assert len(rows) == len(accepted) >= 101
    assert {row.inference_id for row in rows} == {generation["id"] for generation in accepted}
    assert all(row.client_request_id and not row.failed for row in rows)


@pytest.mark.parametrize("fault", ["status,status=429", "status,status=500", "html", "cut,bytes=20", "drop"])
def test_a_log_that_is_not_complete_is_none(caller: Caller, fault: str) -> None:
    """Half a log proves nothing."""
    caller.accepted()
    caller.sandbox.faults(f"log:{fault}")
    with pytest.raises(LogUnavailable):
        caller.log(time.time() - 600, time.time() + 600)


def test_another_key_sees_another_log(caller: Caller) -> None:
    """Only the account that paid knows."""
    caller.accepted()
    assert replace(caller, key="another").log(time.time() - 600, time.time() + 600) == []


def test_the_servers_clock_is_learnt(caller: Caller) -> None:
    """To the second, from any answer."""
    caller.sandbox.config(clock_offset_s=500)

    async def ahead(api: object) -> float:
        await api.poll("x")  # type: ignore[attr-defined]
        return float(api.server_ahead_s())  # type: ignore[attr-defined]

    assert abs(caller.call(ahead) - 500) < 3


async def _nothing() -> None:
    return
