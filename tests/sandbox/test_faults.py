"""Each fault on request happens as asked, on the occasion asked, and the books know what really happened."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from kling_render.errors import UsageError
from kling_render.sandbox.faults import FaultBook, Standing, parse_rule
from tests.sandbox.client import CLIENT_ID, FINGERPRINT, Caller


@pytest.mark.parametrize("rule", ["submit:lost", "submit:lost,reset=true"])
def test_a_lost_answer_leaves_an_accepted_and_charged_generation(caller: Caller, rule: str) -> None:
    caller.sandbox.faults(rule + ",nth=1")
    with pytest.raises(httpx.TransportError):
        caller.submit(CLIENT_ID)
    caller.sandbox.advance(61)
    assert caller.sandbox.books()["paid"] == {FINGERPRINT: 1}
    assert caller.sandbox.books()["submits"][0]["status"] is None


def test_a_dropped_submit_is_not_accepted(caller: Caller) -> None:
    caller.sandbox.faults("submit:drop")
    with pytest.raises(httpx.TransportError):
        caller.submit(CLIENT_ID)
    assert caller.sandbox.books()["accepted"] == {}


def test_an_upload_may_be_cut_in_its_middle(caller: Caller) -> None:
    caller.sandbox.faults("upload:cut,bytes=1000,reset=true")
    with pytest.raises(httpx.TransportError):
        caller.submit(CLIENT_ID)
    submit = caller.sandbox.books()["submits"][0]
    assert (submit["accepted"], submit["fault"], submit["client_request_id"]) == (False, "cut", CLIENT_ID)


def test_an_upload_may_be_answered_before_it_is_read(caller: Caller) -> None:
    caller.sandbox.faults("upload:status,status=413")
    answer = caller.submit()
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert caller.sandbox.books()["generations"] == []


@pytest.mark.parametrize(("kind", "accepted"), [("status", 0), ("status-after", 1)])
def test_a_5xx_comes_before_or_after_acceptance(caller: Caller, kind: str, accepted: int) -> None:
    caller.sandbox.faults(f"submit:{kind},status=502,html=true")
    answer = caller.submit(CLIENT_ID)
    assert answer.status_code == 502
    assert "502 Bad Gateway" in answer.text
    assert "x-inference-id" not in answer.headers
    assert sum(caller.sandbox.books()["accepted"].values()) == accepted


def test_a_5xx_may_carry_the_generation_id(caller: Caller) -> None:
    caller.sandbox.faults("submit:status-after,status=504,inference_id=true")
    answer = caller.submit()
    assert answer.headers["x-inference-id"] == caller.sandbox.books()["generations"][0]["id"]


@pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 425, 429, 307])
def test_any_status_can_be_asked_for(caller: Caller, status: int) -> None:
    caller.sandbox.faults({"on": "submit", "kind": "status", "status": status, "retry_after": "3", "location": "/x"})
    answer = caller.submit()
    assert (answer.status_code, answer.json()["statusCode"]) == (status, status)
    assert (answer.headers["retry-after"], answer.headers["location"]) == ("3", "/x")
    assert caller.sandbox.books()["generations"] == []


def test_a_delayed_answer_is_accepted_before_the_delay(caller: Caller) -> None:
    caller.sandbox.faults("submit:delay,seconds=5")
    with pytest.raises(httpx.ReadTimeout):
        caller.http.post("/v2/video/generations", json=caller.body, timeout=0.2)
    assert len(caller.sandbox.books()["generations"]) == 1


def test_a_cut_answer_ends_in_the_middle(caller: Caller) -> None:
    caller.sandbox.faults("submit:cut,bytes=7")
    with pytest.raises(httpx.RemoteProtocolError):
        caller.submit()
    assert len(caller.sandbox.books()["generations"]) == 1


@pytest.mark.parametrize(("kind", "text"), [("no-id", '{"status":"queued"}'), ("html", "<html>")])
def test_an_answer_may_lack_the_id(caller: Caller, kind: str, text: str) -> None:
    caller.sandbox.faults(f"submit:{kind}")
    answer = caller.submit()
    assert answer.status_code == 201
    assert answer.text.startswith(text)
    assert "x-inference-id" not in answer.headers


@pytest.mark.parametrize(("kind", "name"), [("refusal", "ContentPolicyViolation"), ("upstream", "UpstreamError")])
def test_a_generation_fails_by_refusal_or_upstream(caller: Caller, kind: str, name: str) -> None:
    caller.sandbox.faults(f"generation:{kind}")
    answer = caller.finished()
    assert (answer["status"], answer["error"]["name"], answer["video"]) == ("error", name, None)


def test_a_failure_may_say_anything(caller: Caller) -> None:
    caller.sandbox.faults({"on": "generation", "kind": "error", "name": "Odd", "message": "\x1b]52;c;aGk=\x07"})
    assert caller.finished()["error"] == {"name": "Odd", "message": "\x1b]52;c;aGk=\x07"}


def test_a_generation_may_be_slow_or_never_end(caller: Caller) -> None:
    caller.sandbox.faults("generation:slow,seconds=100,nth=1", "generation:never,nth=2")
    slow, never = caller.accepted(), caller.accepted()
    caller.sandbox.advance(100)
    assert caller.poll(slow).json()["status"] == "generating"
    caller.sandbox.advance(100_000)
    assert [caller.poll(i).json()["status"] for i in (slow, never)] == ["completed", "generating"]


def test_an_unknown_status_may_be_reported(caller: Caller) -> None:
    caller.sandbox.faults("generation:waiting,seconds=20")
    generation_id = caller.accepted()
    assert caller.poll(generation_id).json()["status"] == "waiting"
    caller.sandbox.advance(30)
    assert caller.poll(generation_id).json()["status"] == "generating"


def test_usage_may_be_absent_or_lack_dollars(caller: Caller) -> None:
    caller.sandbox.faults("generation:no-usage,nth=1", "generation:no-usd,nth=2")
    assert "meta" not in caller.finished()
    assert caller.finished()["meta"]["usage"] == {"credits_used": 896_000}


def test_a_charge_may_exceed_the_quote(caller: Caller) -> None:
    caller.sandbox.faults("generation:overcharge,factor=1.5")
    assert caller.finished()["meta"]["usage"]["credits_used"] == 1_344_000


def test_a_single_log_row_may_be_late_missing_or_anonymous(caller: Caller) -> None:
    caller.sandbox.faults(
        "generation:log-late,seconds=50,nth=1", "generation:log-missing,nth=2", "generation:log-anonymous,nth=3"
    )
    late, missing, anonymous = (caller.accepted(CLIENT_ID) for _ in range(3))
    rows = caller.get("/v2/logs")["data"]
    assert [(row["inference_id"], row["client_request_id"]) for row in rows] == [(anonymous, None)]
    caller.sandbox.advance(51)
    assert late in {row["inference_id"] for row in caller.get("/v2/logs")["data"]}
    caller.sandbox.advance(10_000)
    assert missing not in {row["inference_id"] for row in caller.get("/v2/logs")["data"]}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("status,status=502", (502, None)),
        ("status,status=404", (404, None)),
        ("waiting", (200, "waiting")),
        ("no-url", (200, "completed")),
    ],
)
def test_a_poll_may_go_wrong_once_and_then_well(caller: Caller, kind: str, expected: tuple[int, str | None]) -> None:
    generation_id = caller.finished()["id"]
    caller.sandbox.faults(f"poll:{kind},nth=1")
    answer = caller.poll(generation_id)
    assert (answer.status_code, answer.json().get("status")) == expected
    assert "video" not in answer.json()
    assert caller.poll(generation_id).json()["video"]["url"]


def test_a_poll_may_answer_for_another_generation(caller: Caller) -> None:
    generation_id = caller.accepted()
    caller.sandbox.faults("poll:wrong-id")
    assert caller.poll(generation_id).json()["id"] != generation_id


@pytest.mark.parametrize("path", ["/v2/logs", "/v2/billing", "/v1/models", "/models/metrics"])
def test_every_other_endpoint_may_be_down(caller: Caller, path: str) -> None:
    on = {"/v2/logs": "log", "/v2/billing": "billing", "/v1/models": "catalogue", "/models/metrics": "metrics"}[path]
    caller.sandbox.faults(f"{on}:status,status=503,times=1")
    assert caller.http.get(path).status_code == 503
    assert caller.http.get(path).status_code == 200


def received(link: str) -> bytes:
    """What arrives of a download that breaks off."""
    got = bytearray()
    try:
        with httpx.stream("GET", link) as answer:
            for piece in answer.iter_raw():
                got += piece
    except httpx.RemoteProtocolError:
        return bytes(got)
    pytest.fail("it did not break off")


def test_a_download_may_be_cut_and_resumed(caller: Caller) -> None:
    link = caller.link()
    whole = httpx.get(link).content
    caller.sandbox.faults("cdn:cut,bytes=1000,nth=1")
    got = received(link)
    assert got == whole[:1000]
    rest = httpx.get(link, headers={"Range": "bytes=1000-"})
    assert got + rest.content == whole


@pytest.mark.parametrize(
    ("rule", "status"),
    [("expired", 403), ("status,status=500", 500), ("html", 200), ("no-range", 200), ("no-length", 200)],
)
def test_the_cdn_may_answer_otherwise(caller: Caller, rule: str, status: int) -> None:
    link = caller.link()
    caller.sandbox.faults(f"cdn:{rule}")
    answer = httpx.get(link, headers={"Range": "bytes=0-3"})
    assert answer.status_code == status
    assert ("content-length" in answer.headers) == (rule != "no-length")


def test_the_cdn_may_send_damaged_bytes_or_nothing(caller: Caller) -> None:
    link = caller.link()
    whole = httpx.get(link).content
    caller.sandbox.faults("cdn:corrupt,nth=1", "cdn:lost,nth=2")
    damaged = httpx.get(link).content
    assert len(damaged) == len(whole)
    assert damaged != whole
    with pytest.raises(httpx.TransportError):
        httpx.get(link)


def test_a_rule_can_be_aimed_at_one_request(caller: Caller) -> None:
    caller.sandbox.faults("submit:status,status=500,match=metro")
    assert caller.submit(prompt="on a roof").status_code == 201
    assert caller.submit(prompt="in a metro car").status_code == 500


def test_faults_are_cleared_at_once(caller: Caller) -> None:
    caller.sandbox.faults("submit:status")
    caller.sandbox.faults()
    assert caller.submit().status_code == 201


def test_latency_holds_for_every_answer(caller: Caller) -> None:
    caller.sandbox.config(latency_s=0.1)
    start = time.monotonic()
    caller.http.get("/v2/billing")
    assert time.monotonic() - start >= 0.1


def test_the_same_seed_gives_the_same_faults(caller: Caller) -> None:
    def struck(seed: int) -> list[bool]:
        book = FaultBook(seed)
        book.standing.append(Standing(parse_rule("submit:lost,probability=0.5")))
        return [bool(book.hits("submit")) for _ in range(40)]

    assert struck(7) == struck(7)
    assert struck(7) != struck(8)
    assert 8 < sum(struck(7)) < 32


@pytest.mark.parametrize(
    ("text", "occasions"),
    [("every=3", {3, 6, 9}), ("nth=2+5", {2, 5}), ("times=2", {1, 2}), ("every=2,times=1", {2}), ("nth=4", {4})],
)
def test_occasions_count_from_one(text: str, occasions: set[int]) -> None:
    book = FaultBook(1)
    book.standing.append(Standing(parse_rule(f"submit:lost,{text}")))
    assert {n for n in range(1, 11) if book.hits("submit")} == occasions


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("submit", "expected WHERE:KIND"),
        ("submt:lost", "did you mean 'submit'"),
        ("submit:lots", "did you mean 'lost'"),
        ("submit:lost,nht=3", "did you mean 'nth'"),
        ("submit:lost,nth=x", "field 'nth'"),
        ("submit:lost,nth", "expected field=value"),
        ("{", "not JSON"),
    ],
)
def test_a_fault_that_cannot_be_read_is_refused_with_a_hint(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_rule(text)


@pytest.mark.parametrize("body", [{"on": "submit"}, {"on": "submit", "kind": "x"}, [7], "x", 7])
def test_a_bad_fault_over_http_is_refused_and_sets_nothing(caller: Caller, body: Any) -> None:
    assert caller.http.post("/sandbox/faults", json=body).status_code == 400
    assert caller.sandbox.books()["faults"] == []
