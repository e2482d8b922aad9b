"""Servers that say too little, too much, or nothing: no payment is guessed, and no book is half read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from kling_render.lifecycle.answers import InDoubt
from kling_render.lifecycle.classify import classify
from kling_render.lifecycle.requests import SubmitRequest
from kling_render.ports import LogUnavailable
from kling_render.providers.aimlapi.body import SubmitBody
from kling_render.providers.aimlapi.client import AimlApi
from tests.providers.caller import CLIENT_ID, KEY, upload
from tests.providers.scripted import Reply, Scripted

T = TypeVar("T")
PIECE = 3 * 64 * 1024
"""What a body is sent in."""
NOON = "Sat, 01 Jan 2000 12:00:00 GMT"
NOON_S = 946_728_000.0
SMALL = SubmitRequest(
    client_request_id=CLIENT_ID,
    model="m",
    image="https://example.com/fox.png",
    video="https://example.com/wave.mp4",
    prompt="",
    orientation="image",
    keep_audio=True,
    params={},
)


@dataclass(slots=True)
class TwoClocks:
    """A wall clock and a monotonic one, moved by the test."""

    wall: float = NOON_S
    ticks: float = 0.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    async def sleep(self, seconds: float) -> None:
        self.wall, self.ticks = self.wall + seconds, self.ticks + seconds


class Hasty(asyncio.SelectorEventLoop):
    """An event loop whose time the test can move: deadlines of minutes pass at once."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped


def call(server: Scripted, work: Callable[[AimlApi], Awaitable[T]], clock: TwoClocks | None = None) -> T:
    """Run `work` with a client of that server."""

    async def whole() -> T:
        chosen = clock or TwoClocks()
        async with AimlApi(base_url=server.url, key=KEY, namespace="s", account="a", clock=chosen) as api:
            return await work(api)

    with asyncio.Runner(loop_factory=Hasty) as runner:
        return runner.run(whole())


async def nothing() -> None:
    return


def submit(api: AimlApi) -> Any:
    return api.submit(SMALL, nothing)


def test_a_server_that_never_answers_leaves_a_doubt_at_the_deadline() -> None:
    """The whole request has arrived, minutes pass, and nobody knows: it is not sent again."""

    async def patient(api: AimlApi) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Hasty)
        sending = asyncio.ensure_future(submit(api))
        assert await asyncio.to_thread(server.arrived.wait, 30)
        loop.skipped += 170
        await asyncio.sleep(0.01)
        assert not sending.done()
        loop.skipped += 20
        return await sending

    with Scripted(lambda _: None) as server:
        found = call(server, patient)
    assert (found.intended, found.body_sent, found.status) == (True, found.body_declared, None)
    assert found.broken == "no answer within 180 s"
    assert isinstance(classify(found), InDoubt)
    assert len(server.asked) == 1


def test_an_answer_without_end_is_cut_and_its_id_is_kept() -> None:
    """64 KiB of it are evidence enough; what the header names can still be looked up."""
    flood = Reply(status=502, headers={"x-inference-id": "gen1"}, body="x" * 200_000)
    with Scripted(lambda _: flood) as server:
        found = call(server, submit)
    assert (found.status, found.inference_id, len(found.body)) == (502, "gen1", 1 << 16)
    verdict = classify(found)
    assert isinstance(verdict, InDoubt)
    assert verdict.generation_id == "gen1"


@pytest.mark.parametrize("image", ["url", "file"])
def test_a_body_that_ends_with_its_last_piece_is_whole(tmp_path: Path, image: str) -> None:
    """Its length is a multiple of what is sent at once: no byte is missing, and no empty piece follows."""
    path = tmp_path / "fox.png"
    path.write_bytes(bytes(1_000))
    request = replace(SMALL, image=upload(path, "image/png") if image == "file" else SMALL.image, prompt="x")
    room = PIECE - SubmitBody(request).declared
    body = SubmitBody(replace(request, prompt="x" * (room + 1)))

    async def pieces() -> list[bytes]:
        return [piece async for piece in body]

    sent = asyncio.run(pieces())
    assert [len(piece) for piece in sent] == [PIECE]
    assert body.sent == body.declared == PIECE
    assert json.loads(sent[0])["video_url"] == SMALL.video


@pytest.mark.parametrize("date", [None, "", "never"])
def test_a_server_that_does_not_tell_the_time_changes_none(date: str | None) -> None:
    """Our own clock has to do, and it is asked for once only."""

    async def twice(api: AimlApi) -> float:
        await api.know_time()
        await api.know_time()
        return api.server_ahead_s()

    with Scripted(lambda _: Reply(headers={} if date is None else {"Date": date}, body={})) as server:
        assert call(server, twice) == 0.0
    assert len(server.asked) == 1


@pytest.mark.parametrize(("wall", "ticks", "asks"), [(60, 60, 1), (60, 31, 1), (8 * 3600, 60, 2), (-90, 60, 2)])
def test_the_servers_time_is_asked_for_again_when_our_clocks_went_apart(wall: float, ticks: float, asks: int) -> None:
    """The machine slept, or somebody set its clock; a little drift is none."""
    clock = TwoClocks(wall=NOON_S - 500)

    async def later(api: AimlApi) -> float:
        await api.know_time()
        clock.wall, clock.ticks = clock.wall + wall, clock.ticks + ticks
        await api.know_time()
        return api.server_ahead_s()

    with Scripted(lambda _: Reply(headers={"Date": NOON}, body={})) as server:
        ahead = call(server, later, clock)
    assert len(server.asked) == asks
    assert ahead == (500 if asks == 1 else 500 - wall)


@pytest.mark.parametrize(
    ("body", "balance"),
    [
        ({"current_balance": "1.5", "currency": "USD"}, 3_000_000),
        ({"current_balance": 2, "currency": "EUR"}, None),
        ({"currency": "USD"}, None),
    ],
)
def test_a_balance_is_known_in_dollars_only(body: dict[str, Any], balance: int | None) -> None:
    """An amount that cannot be compared stops nothing."""
    with Scripted(lambda _: Reply(body=body)) as server:
        assert call(server, lambda api: api.balance()) == balance


BROKEN = [
    {},
    {"data": None, "pagination": {"has_more": False}},
    {"data": ["a row"], "pagination": {"has_more": False}},
    {"data": [{}], "pagination": {"has_more": False}},
    {"data": [{"created": "soon", "created_at": "soon"}], "pagination": {"has_more": False}},
    {"data": [], "pagination": None},
    {"data": [], "pagination": []},
    {"data": []},
]


@pytest.mark.parametrize("body", BROKEN, ids=json.dumps)
def test_books_of_an_unknown_form_prove_nothing(body: dict[str, Any]) -> None:
    """Neither log nor charges are half believed."""
    with Scripted(lambda _: Reply(body=body)) as server:
        with pytest.raises(LogUnavailable, match="request log has an unknown form"):
            call(server, lambda api: api.log(0.0, 1.0))
        with pytest.raises(LogUnavailable, match="charges have an unknown form"):
            call(server, lambda api: api.transactions(0.0, 1.0))


@pytest.mark.parametrize("cursor", ["again", None, 7])
def test_charges_that_never_end_are_not_read_for_ever(cursor: object) -> None:
    """A cursor that comes back, or none, although there should be more."""
    page = {"data": [], "pagination": {"has_more": True, "next_cursor": cursor}}
    with Scripted(lambda _: Reply(body=page)) as server:
        with pytest.raises(LogUnavailable, match="cannot be read to their end"):
            call(server, lambda api: api.transactions(0.0, 1.0))
        assert len(server.asked) <= 2


def test_a_log_that_promises_more_and_gives_nothing_ends() -> None:
    """An empty page is the end, whatever it says."""
    with Scripted(lambda _: Reply(body={"data": [], "pagination": {"has_more": True}})) as server:
        assert call(server, lambda api: api.log(0.0, 1.0)) == []
        assert len(server.asked) == 1
