"""Claim: a remote input is fetched once, from public hosts only, within bounds; afterwards its tag is asked about."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from kling_render.errors import Place, Problems
from kling_render.ports import FetchFailed
from kling_render.providers.aimlapi import remote as inputs
from kling_render.shotlist.records import InputRef
from kling_render.store.opening import Store
from kling_render.workspace.inputs.remote import fetch_all

HOST = "93.184.216.34"
URL = f"https://{HOST}/fox.png"
DAY = 86_400.0


class Shop(httpx.AsyncBaseTransport):
    """Answers as the test says, and remembers what it was asked."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.answer = answer
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answer(request)


class Body(httpx.AsyncByteStream):
    """The bytes of an answer."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.body


def sent(body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    """A whole file."""
    return httpx.Response(200, headers=headers, stream=Body(body))


def tagged(body: bytes, tag: str = '"one"') -> Callable[[httpx.Request], httpx.Response]:
    """A file with a tag; who has it gets nothing."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers.get("if-none-match") == tag:
            return httpx.Response(304, headers={"etag": tag})
        return sent(body, {"etag": tag})

    return answer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def ref(url: str = URL, pin: str | None = None) -> InputRef:
    return InputRef(shown=url, path=None, url=url, pin=pin, place=Place("shotlist.yaml", 3, 8))


def bring(
    store: Store, shop: Shop, *refs: InputRef, now: float = 0.0, offline: bool = False
) -> tuple[list[bytes], Problems]:
    problems = Problems()
    found = fetch_all(
        refs or (ref(),), problems, blobs=store.blobs, cache=store.cache, offline=offline, now=now, transport=shop
    )
    return [path.read_bytes() for path in found.values()], problems


def test_an_unchanged_file_is_asked_about_by_its_tag_and_not_sent_again(store: Store) -> None:
    """Once in full; not at all for ten minutes; then If-None-Match, and the bytes at hand are used."""
    shop = Shop(tagged(b"picture"))
    assert bring(store, shop, now=1_000.0)[0] == [b"picture"]
    assert bring(store, shop, now=1_100.0)[0] == [b"picture"]
    assert len(shop.asked) == 1
    assert bring(store, shop, now=1_000.0 + DAY)[0] == [b"picture"]
    assert [request.headers.get("if-none-match") for request in shop.asked] == [None, '"one"']
    assert bring(store, shop, now=1_010.0 + DAY)[0] == [b"picture"]
    assert len(shop.asked) == 2


def test_a_changed_file_is_fetched_again(store: Store) -> None:
    """Another tag brings the new bytes."""
    bring(store, Shop(tagged(b"old")))
    assert bring(store, Shop(tagged(b"new", 'W/"two"')), now=DAY)[0] == [b"new"]
    weak = Shop(tagged(b"new", 'W/"two"'))
    assert bring(store, weak, now=2 * DAY)[0] == [b"new"]
    assert weak.asked[0].headers["if-none-match"] == 'W/"two"'


def test_what_is_pinned_or_has_no_tag_is_fetched_once(store: Store) -> None:
    """A pin needs no question; without a tag every question would be a download."""
    plain = Shop(lambda _request: sent(b"clip"))
    pinned = ref(f"https://{HOST}/b.mp4", hashlib.sha256(b"clip").hexdigest())
    assert bring(store, plain, ref(), pinned)[0] == [b"clip", b"clip"]
    assert bring(store, plain, ref(), pinned, now=DAY)[0] == [b"clip", b"clip"]
    assert len(plain.asked) == 2


def test_when_the_server_is_away_the_bytes_at_hand_are_looked_at(store: Store) -> None:
    """Checking is no reason to fail; without bytes it is a warning. Offline asks nothing."""
    bring(store, Shop(tagged(b"picture")))
    away = Shop(lambda _request: httpx.Response(302, headers={"location": "https://10.0.0.5/x"}))
    found, problems = bring(store, away, ref(), ref(f"https://{HOST}/other.png"), now=DAY)
    assert found == [b"picture"]
    assert [(d.code, d.severity) for d in problems.found] == [("KR0218", "warning")]
    assert "other.png" in problems.found[0].message
    silent = Shop(lambda _request: httpx.Response(500))
    assert bring(store, silent, now=DAY, offline=True)[0] == [b"picture"]
    assert silent.asked == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_link_that_is_dead_now_is_a_warning_although_its_bytes_are_at_hand(store: Store, status: int) -> None:
    """They are looked at; but the model's server would not get them."""
    bring(store, Shop(tagged(b"picture")))
    found, problems = bring(store, Shop(lambda _request: httpx.Response(status)), now=DAY)
    assert found == [b"picture"]
    (told,) = problems.found
    assert (told.code, told.severity) == ("KR0218", "warning")
    assert f"the link answered {status}; what was fetched before is checked" in told.message


@pytest.mark.parametrize(
    "target",
    [
        "https://127.0.0.1/x",
        "https://[::ffff:7f00:1]/x",
        "https://169.254.169.254/x",
        "http://93.184.216.34/x",
        "https://10.0.0.1/x",
    ],
)
def test_a_redirect_is_vetted_like_the_first_address(store: Store, target: str) -> None:
    """Nothing is sent to a private address, or over plain http."""
    shop = Shop(lambda _request: httpx.Response(302, headers={"location": target}))
    found, problems = bring(store, shop)
    assert found == []
    assert len(shop.asked) == 1
    assert "link" in problems.found[0].message
    assert "result" not in problems.found[0].message


def test_size_and_time_are_bounded(store: Store, tmp_path: Path) -> None:
    """A length that is said is believed at once; one that is not is counted; a trickle ends."""
    huge = Shop(lambda _request: httpx.Response(200, headers={"content-length": str(300 << 20)}, stream=_Trickle()))
    found, problems = bring(store, huge)
    assert found == []
    assert "larger than 256 MiB" in problems.found[0].message
    slow = Shop(lambda _request: httpx.Response(200, stream=_Trickle()))
    wanted = [inputs.Wanted(URL, tmp_path / "x")]
    (ended,) = asyncio.run(inputs.fetch_inputs(wanted, transport=slow, most_s=0.05))
    assert isinstance(ended, FetchFailed)
    assert "longer than 0.05 s" in str(ended)


def test_two_inputs_with_one_url_are_one_request_without_key_or_cookie(store: Store) -> None:
    """The request says what is needed and no more; connecting goes to the address that was vetted."""
    shop = Shop(tagged(b"picture"))
    other = InputRef(shown=URL, path=None, url=URL, place=Place("shotlist.yaml", 9, 8))
    assert bring(store, shop, ref(), other)[0] == [b"picture", b"picture"]
    (request,) = shop.asked
    assert set(request.headers) <= {"accept-encoding", "host"}
    assert request.url.host == HOST


def test_progress_is_told(store: Store) -> None:
    """How many are fetched."""
    told: list[tuple[str, int, int]] = []
    fetch_all(
        [ref(f"https://{HOST}/{n}.png") for n in range(3)],
        Problems(),
        blobs=store.blobs,
        cache=store.cache,
        offline=False,
        now=0.0,
        progress=lambda *said: told.append(said),
        transport=Shop(tagged(b"x")),
    )
    assert told == [("fetching inputs", n, 3) for n in (1, 2, 3)]


class _Trickle(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b"x"
