"""The classifier as a decision table: which end of a submit is an acceptance, a refusal, or a doubt."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_render.lifecycle.answers import Accepted, FailureClass, InDoubt, Rejected, SubmitEvidence
from kling_render.lifecycle.classify import classify, is_content_refusal, retry_after_s
from tests.lifecycle.build import API_ERROR, evidence

NO_ANSWER: dict[str, Any] = {"status": None, "body": ""}
PAGE = "<html>Bad gateway</html>"

REFUSED = [400, 401, 402, 403, 404, 405, 411, 413, 414, 415, 422, 429]
UNCLEAR = [
    *(300, 301, 302, 303, 304, 307, 308),
    *(408, 409, 425),
    *(500, 501, 502, 503, 504, 507, 520, 524, 599),
    *(100, 101, 199, 600, 999),
]


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_answer_with_an_id_is_an_acceptance(status: int) -> None:
    """The id of the body counts; any 2xx will do."""
    verdict = classify(evidence(status=status))
    assert verdict == Accepted(generation_id="gen1", raw=evidence().body)


@pytest.mark.parametrize(
    ("body", "header", "found"),
    [
        ('{"id": null}', "gen2", "gen2"),
        ("", "gen2", "gen2"),
        (PAGE, "gen2", "gen2"),
        ('{"id": "gen1"}', "gen2", "gen1"),
        ('{"id": "a\\nb"}', None, None),
        ('{"id": ""}', None, None),
        ('{"id": 17}', None, None),
        ('{"id": "  "}', None, None),
        ("[]", None, None),
        ("[" * 100_000, None, None),
        (PAGE, None, None),
        ("", None, None),
        ('{"id": "' + "x" * 513 + '"}', None, None),
    ],
)
def test_an_answer_without_a_usable_id_is_a_doubt_unless_the_header_has_it(
    body: str, header: str | None, found: str | None
) -> None:
    """2xx means taken; without an id only the log can tell which generation it is."""
    verdict = classify(evidence(status=200, body=body, inference_id=header))
    if found:
        assert isinstance(verdict, Accepted)
        assert verdict.generation_id == found
    else:
        assert isinstance(verdict, InDoubt)


def test_a_cut_answer_counts_by_its_header_alone() -> None:
    """Half a body is not believed."""
    cut = evidence(broken="ReadError", body='{"id": "gen1"}')
    assert isinstance(classify(cut), InDoubt)
    verdict = classify(evidence(broken="ReadError", inference_id="gen2"))
    assert isinstance(verdict, Accepted)
    assert verdict.generation_id == "gen2"


@pytest.mark.parametrize("status", REFUSED)
@pytest.mark.parametrize("body", [API_ERROR, PAGE, ""])
def test_a_definite_refusal_costs_nothing(status: int, body: str) -> None:
    """These codes are refusals whoever words them; only 429 may be sent again in this run; 401 to 403 stop all."""
    verdict = classify(evidence(status=status, body=body))
    assert isinstance(verdict, Rejected)
    assert verdict.again is (status == 429)
    assert verdict.stop is (status in (401, 402, 403))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('"too short"', "too short (HTTP 400)"),
        ('["image_url: no URL", "model: unknown"]', "image_url: no URL; model: unknown (HTTP 400)"),
        ("null", "HTTP 400 (HTTP 400)"),
    ],
)
def test_a_refusal_says_everything_that_the_server_names(message: str, said: str) -> None:
    """One sentence, or one per field: all of them reach the user at once."""
    verdict = classify(evidence(status=400, body=f'{{"message": {message}, "statusCode": 400}}'))
    assert isinstance(verdict, Rejected)
    assert verdict.message == said


def test_each_refusal_has_its_class() -> None:
    """The class decides the remedy."""
    expected = {
        400: FailureClass.BAD_REQUEST,
        401: FailureClass.ACCOUNT,
        402: FailureClass.CREDITS,
        403: FailureClass.CREDITS,
        404: FailureClass.REFUSED,
        413: FailureClass.TOO_LARGE,
        422: FailureClass.BAD_REQUEST,
        429: FailureClass.RATE,
    }
    for status, failure in expected.items():
        verdict = classify(evidence(status=status, body=API_ERROR))
        assert isinstance(verdict, Rejected)
        assert verdict.failure is failure


@pytest.mark.parametrize("status", UNCLEAR)
@pytest.mark.parametrize("body", [API_ERROR, PAGE, ""])
def test_everything_else_is_a_doubt(status: int, body: str) -> None:
    """Redirects, 408, 409, 425, every 5xx and unheard-of codes say nothing about what happened behind them."""
    verdict = classify(evidence(status=status, body=body, inference_id="gen9"))
    assert isinstance(verdict, InDoubt)
    assert verdict.generation_id == "gen9"


@pytest.mark.parametrize(("body", "sure"), [(API_ERROR, True), (PAGE, False), ("", False), ('{"message": 1}', False)])
def test_another_4xx_is_a_refusal_only_in_the_words_of_the_api(body: str, sure: bool) -> None:
    """A proxy's page may stand before a server that accepted."""
    verdict = classify(evidence(status=418, body=body))
    assert isinstance(verdict, Rejected if sure else InDoubt)


@pytest.mark.parametrize("status", [None, 301, 408, 500, 503, 418])
def test_fewer_bytes_than_declared_are_no_request(status: int | None) -> None:
    """Nobody can accept half a body: it may be sent again, whatever a proxy said meanwhile."""
    verdict = classify(evidence(status=status, body=PAGE, body_sent=999, broken="WriteError"))
    assert isinstance(verdict, Rejected)
    assert (verdict.failure, verdict.again, verdict.stop) == (FailureClass.NOT_SENT, True, False)


@pytest.mark.parametrize("status", [200, 201])
def test_an_acceptance_of_half_a_body_is_still_an_acceptance(status: int) -> None:
    """An id can be polled for nothing, so it is believed; without one it stays a doubt."""
    assert isinstance(classify(evidence(status=status, body_sent=10)), Accepted)
    assert isinstance(classify(evidence(status=status, body_sent=10, body="{}")), InDoubt)


def test_every_byte_and_no_answer_is_a_doubt() -> None:
    """Timeout, reset, end of file, cancellation: all the same."""
    verdict = classify(evidence(**NO_ANSWER, broken="ReadTimeout"))
    assert isinstance(verdict, InDoubt)
    assert "ReadTimeout" in verdict.message


def test_nothing_was_sent_before_the_intent() -> None:
    """A connection that never stood is safe to try again, but not where the certificate is wrong."""
    refused = classify(evidence(**NO_ANSWER, intended=False, body_sent=0, broken="ConnectError"))
    assert isinstance(refused, Rejected)
    assert (refused.failure, refused.again, refused.stop) == (FailureClass.NOT_SENT, True, False)
    forged = classify(evidence(**NO_ANSWER, intended=False, body_sent=0, broken="TLS", untrusted=True))
    assert isinstance(forged, Rejected)
    assert (forged.again, forged.stop) == (False, True)


@pytest.mark.parametrize("intended", [True, False])
def test_a_changed_input_is_planned_anew_and_not_sent_again(intended: bool) -> None:
    """The same request cannot be sent any more: its bytes are gone."""
    verdict = classify(evidence(**NO_ANSWER, intended=intended, body_sent=500, input_changed="fox.png changed"))
    assert isinstance(verdict, Rejected)
    assert (verdict.failure, verdict.again, verdict.message) == (
        FailureClass.INPUT_CHANGED,
        False,
        "fox.png changed",
    )


@given(
    st.builds(
        SubmitEvidence,
        intended=st.booleans(),
        body_sent=st.integers(0, 10),
        body_declared=st.just(10),
        status=st.none() | st.integers(100, 999),
        inference_id=st.none() | st.text(max_size=5),
        retry_after=st.none() | st.text(max_size=10),
        body=st.sampled_from(["", PAGE, API_ERROR, '{"id": "gen1"}']) | st.text(max_size=20),
        broken=st.none() | st.text(max_size=5),
        input_changed=st.none() | st.text(max_size=5),
        untrusted=st.booleans(),
    )
)
def test_no_complete_request_is_ever_sent_again_without_a_refusal(found: SubmitEvidence) -> None:
    """For any evidence: a complete request with no answer or a 5xx is never called unsent."""
    verdict = classify(found)
    complete = found.intended and found.body_sent >= found.body_declared
    if complete and (found.status is None or not 400 <= found.status < 500):
        assert not isinstance(verdict, Rejected)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("0", 1.0),
        ("-5", 1.0),
        ("1.5", 1.5),
        ("999999", 3600.0),
        ("inf", 3600.0),
        ("nan", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 1.0),
        ("Wed, 99 Foo 1970 00:00:05 GMT", None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(header: str | None, seconds: float | None) -> None:
    """Seconds or a date, between a second and an hour; the clock stands at 10 s."""
    assert retry_after_s(header, 10.0) == seconds


def test_a_rate_limit_carries_its_wait() -> None:
    """The wait comes from the header."""
    verdict = classify(evidence(status=429, body=API_ERROR, retry_after="12"))
    assert isinstance(verdict, Rejected)
    assert verdict.wait_s == 12


@pytest.mark.parametrize(
    ("name", "message", "refused"),
    [
        ("ContentPolicyViolation", "", True),
        ("Error", "Failure to pass the risk control system", True),
        ("NSFW", "x", True),
        ("UpstreamError", "Please try again later.", False),
        ("", "", False),
    ],
)
def test_a_refusal_of_content_is_recognised(name: str, message: str, refused: bool) -> None:
    """Such a request would be refused again."""
    assert is_content_refusal(name, message) is refused
