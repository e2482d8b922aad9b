"""Result links: signed, expiring, with ranges; each result is the generation's own."""

from __future__ import annotations

import io

import av
import httpx
import pytest

from tests.sandbox.client import Caller


def test_a_result_is_a_playable_clip_of_the_right_length(caller: Caller) -> None:
    film = httpx.get(caller.link()).content
    with av.open(io.BytesIO(film), "r", format="mp4") as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 100


def test_two_results_of_equal_requests_differ(caller: Caller) -> None:
    assert httpx.get(caller.link()).content != httpx.get(caller.link()).content


def test_a_link_given_as_url_is_answered_with_a_plain_clip(caller: Caller) -> None:
    link = caller.link(video_url="https://example.com/wave.mp4", image_url="https://example.com/fox.png")
    film = httpx.get(link)
    assert (film.status_code, film.headers["content-type"]) == (200, "video/mp4")
    assert film.content[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("asked", "part"), [("bytes=0-9", (0, 10)), ("bytes=100-", (100, None)), ("bytes=-7", (-7, None))]
)
def test_a_range_is_served_as_206(caller: Caller, asked: str, part: tuple[int, int | None]) -> None:
    link = caller.link()
    whole = httpx.get(link).content
    answer = httpx.get(link, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, whole[part[0] : part[1]])
    assert answer.headers["content-range"].endswith(f"/{len(whole)}")


def test_a_range_behind_the_end_is_refused_with_the_size(caller: Caller) -> None:
    link = caller.link()
    size = len(httpx.get(link).content)
    answer = httpx.get(link, headers={"Range": f"bytes={size}-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "bytes=5-1", "bytes=-", "seconds=1-2"])
def test_what_is_no_single_range_gets_the_whole(caller: Caller, asked: str) -> None:
    assert httpx.get(caller.link(), headers={"Range": asked}).status_code == 200


def test_a_range_of_another_version_gets_the_whole(caller: Caller) -> None:
    link = caller.link()
    etag = httpx.head(link).headers["etag"]
    same = httpx.get(link, headers={"Range": "bytes=1-2", "If-Range": etag})
    other = httpx.get(link, headers={"Range": "bytes=1-2", "If-Range": '"other"'})
    assert not etag.startswith("W/")
    assert (same.status_code, other.status_code) == (206, 200)


def test_an_expired_link_is_refused_and_a_poll_gives_a_fresh_one(caller: Caller) -> None:
    caller.sandbox.config(url_ttl_s=100)
    answer = caller.finished()
    old = answer["video"]["url"]
    assert caller.poll(answer["id"]).json()["video"]["url"] == old
    caller.sandbox.advance(200)
    assert httpx.get(old).status_code == 403
    fresh = caller.poll(answer["id"]).json()["video"]["url"]
    assert fresh != old
    assert httpx.get(fresh).status_code == 200


def test_a_changed_link_is_refused(caller: Caller) -> None:
    link = caller.link()
    assert httpx.get(link.replace("expires=1", "expires=2")).status_code == 403
    assert httpx.get(link[:-1] + ("0" if link[-1] != "0" else "1")).status_code == 403
    assert httpx.get(link.partition("?")[0]).status_code == 403


def test_a_key_sent_to_the_cdn_is_served_and_recorded(caller: Caller) -> None:
    link = caller.link()
    assert httpx.get(link).status_code == 200
    assert caller.sandbox.books()["keys_sent_to_cdn"] == 0
    assert caller.http.get(link).status_code == 200
    assert caller.sandbox.books()["keys_sent_to_cdn"] == 1
