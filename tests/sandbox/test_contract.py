"""Every documented answer has the documented shape, and every documented refusal is made."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import httpx
import pytest

from tests.sandbox.client import CLIENT_ID, Caller, described


def test_a_submit_is_accepted_with_its_id_in_body_and_header(caller: Caller) -> None:
    answer = caller.submit(CLIENT_ID)
    described(answer)
    assert answer.json() == {"id": answer.headers["x-inference-id"], "status": "queued"}
    assert answer.headers["x-client-request-id"] == CLIENT_ID


def test_a_generation_is_queued_then_generating_then_completed(caller: Caller) -> None:
    generation_id = caller.accepted()
    seen = []
    for _ in range(3):
        answer = caller.poll(generation_id)
        described(answer)
        seen.append(answer.json()["status"])
        caller.sandbox.advance(31)
    assert seen == ["queued", "generating", "completed"]


def test_a_completed_generation_tells_link_and_usage(caller: Caller) -> None:
    answer = caller.finished()
    assert re.fullmatch(re.escape(caller.sandbox.url) + r"/cdn/\S+\.mp4\?expires=\d+&sig=\w+", answer["video"]["url"])
    assert answer["meta"]["usage"] == {"credits_used": 896_000, "usd_spent": 0.448}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": ...}, "model: expected string, received undefined"),
        ({"model": "klingai/video-v9"}, "model: invalid enum value"),
        ({"model": "sandbox/chat"}, "model: invalid enum value"),
        ({"image_url": ...}, "image_url: required"),
        ({"image_url": "fox.png"}, "image_url: invalid uri"),
        ({"image_url": 7}, "image_url: expected string, received number"),
        ({"image_url": "data:video/mp4;base64,AAAA"}, "image_url: expected a data URI of image/*"),
        ({"video_url": "http://example.com/a.mp4"}, "video_url: invalid uri, expected an https URL"),
        ({"video_url": "data:video/mp4;base64,A!AA"}, "video_url: invalid data URI"),
        ({"video_url": "data:video/mp4;base64,"}, "video_url: expected a data URI with content"),
        ({"prompt": 5}, "prompt: expected string, received number"),
        ({"prompt": "x" * 2501}, "prompt: expected at most 2500 characters"),
        ({"character_orientation": "left"}, "character_orientation: invalid enum value, expected 'image' | 'video'"),
        ({"keep_audio": "no"}, "keep_audio: expected boolean, received string"),
        ({"model": "klingai/video-v3-motion-control", "mode": "Pro"}, "mode: invalid enum value"),
    ],
)
def test_a_bad_body_is_refused_with_the_fields_name(caller: Caller, changes: dict[str, Any], message: str) -> None:
    answer = caller.submit(**changes)
    described(answer)
    assert answer.status_code == 400
    assert message in answer.json()["message"]
    assert caller.sandbox.books()["generations"] == []


def test_all_problems_of_a_body_are_named_at_once(caller: Caller) -> None:
    message = caller.submit(keep_audio=1, character_orientation=None).json()["message"]
    assert "keep_audio" in message
    assert "character_orientation" in message


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model": "x"', b'{"model": tru}', b'{"model": "x"} y', b"\xff{}"])
def test_a_body_that_is_no_json_object_is_refused(caller: Caller, body: bytes) -> None:
    answer = caller.http.post("/v2/video/generations", content=body)
    described(answer)
    assert answer.status_code == 400
    assert "JSON" in answer.json()["message"]


def test_links_are_accepted_in_place_of_data(caller: Caller) -> None:
    caller.accepted(image_url="https://example.com/fox.png", video_url="https://example.com/wave.mp4")


@pytest.mark.parametrize("path", ["/v2/video/generations?generation_id=x", "/v2/logs", "/v2/billing"])
def test_a_call_without_a_key_is_refused(caller: Caller, path: str) -> None:
    answer = httpx.get(caller.sandbox.url + path)
    assert answer.status_code == 401
    described(answer)


def test_only_the_named_keys_are_accepted_when_some_are_named(caller: Caller) -> None:
    caller.sandbox.config(keys=["one=shared", "two=shared"])
    assert caller.submit().status_code == 401
    first = caller.http.post("/v2/video/generations", json=caller.body, headers={"Authorization": "Bearer one"})
    second = {"Authorization": "Bearer two"}
    assert caller.http.get("/v2/billing", headers=second).status_code == 200
    found = caller.http.get(
        "/v2/video/generations", params={"generation_id": first.json()["id"]}, headers=second
    ).status_code
    assert found == 200


def test_another_accounts_generation_is_unknown(caller: Caller) -> None:
    generation_id = caller.accepted()
    answer = httpx.get(
        f"{caller.sandbox.url}/v2/video/generations?generation_id={generation_id}",
        headers={"Authorization": "Bearer somebody-else"},
    )
    assert answer.status_code == 404
    described(answer)


def test_an_unknown_endpoint_is_refused_in_the_documented_form(caller: Caller) -> None:
    answer = caller.http.post("/v2/nothing", json={})
    assert (answer.status_code, set(answer.json())) == (
        404,
        {"message", "path", "requestId", "statusCode", "timestamp"},
    )


def test_a_body_above_the_limit_is_refused(caller: Caller) -> None:
    caller.sandbox.config(body_limit=1000)
    answer = caller.submit()
    assert answer.status_code == 413
    described(answer)


def test_an_account_without_credits_is_refused(caller: Caller) -> None:
    caller.sandbox.config(balance_usd="0.5")
    caller.accepted()
    answer = caller.submit()
    assert answer.status_code == 403
    assert "You've run out of credits" in answer.json()["message"]
    described(answer)


def test_concurrency_is_limited_on_request(caller: Caller) -> None:
    caller.sandbox.config(max_concurrent=2, retry_after_s=7)
    caller.accepted()
    caller.accepted()
    answer = caller.submit()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    described(answer)
    caller.sandbox.advance(61)
    caller.accepted()


def test_the_rate_is_limited_on_request(caller: Caller) -> None:
    caller.sandbox.config(rate_per_s=0.01)
    caller.accepted()
    answer = caller.submit()
    assert answer.status_code == 429
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("sent", ["a" * 129, "white space", "", "sem;colon"])
def test_a_client_request_id_of_another_form_is_dropped_without_a_word(caller: Caller, sent: str) -> None:
    answer = caller.submit(sent)
    assert answer.status_code == 201
    assert "x-client-request-id" not in answer.headers
    caller.sandbox.advance(61)
    assert caller.get("/v2/logs")["data"][0]["client_request_id"] is None


def test_escaped_slashes_in_a_data_uri_are_understood(caller: Caller, image: bytes) -> None:
    text = json.dumps(caller.body).replace("/", "\\/")
    assert caller.http.post("/v2/video/generations", content=text.encode()).status_code == 201
    assert caller.sandbox.books()["submits"][0]["image_sha256"] == _sha(image)


def test_the_books_record_the_digests_of_what_arrived(caller: Caller, image: bytes, clip: bytes) -> None:
    caller.accepted(CLIENT_ID)
    submit = caller.sandbox.books()["submits"][0]
    assert (submit["image_sha256"], submit["video_sha256"]) == (_sha(image), _sha(clip))
    assert submit["fields"]["prompt"] == "on a roof"
    assert submit["client_request_id"] == CLIENT_ID


def test_a_submit_that_breaks_off_before_its_last_byte_is_not_accepted(caller: Caller) -> None:
    import socket
    import time

    body = json.dumps(caller.body).encode()
    with socket.create_connection((caller.http.base_url.host, caller.http.base_url.port or 0)) as line:
        head = f"POST /v2/video/generations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        line.sendall(head.encode() + body[:-1])
    for _ in range(100):
        submits = caller.sandbox.books()["submits"]
        if submits:
            break
        time.sleep(0.01)
    assert not submits[0]["accepted"]
    assert "the connection ended" in submits[0]["problem"]


@pytest.mark.parametrize("orientation", ["image", "video"])
def test_a_clip_longer_than_its_orientation_allows_fails_uncharged(caller: Caller, orientation: str) -> None:
    caller.sandbox.config(default_clip_s=31 if orientation == "video" else 11)
    answer = caller.finished(character_orientation=orientation, video_url="https://example.com/long.mp4")
    assert answer["status"] == "error"
    assert "at most" in answer["error"]["message"]
    assert caller.sandbox.books()["charges"] == []


@pytest.mark.parametrize("field", ["image_url", "video_url"])
def test_unreadable_media_fail_uncharged(caller: Caller, field: str) -> None:
    family = "image/png" if field == "image_url" else "video/mp4"
    broken = f"data:{family};base64," + base64.b64encode(b"not at all").decode()
    assert caller.finished(**{field: broken})["error"]["name"] == "BadInput"
    caller.sandbox.config(check_media=False)
    assert caller.finished(**{field: broken})["status"] == "completed"


def _sha(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()
