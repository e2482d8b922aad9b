"""What is charged, when, and what log and billing say about it."""

from __future__ import annotations

import pytest

from tests.sandbox.client import CLIENT_ID, DESCRIPTION, FINGERPRINT, Caller, described


def test_the_same_request_twice_is_charged_twice(caller: Caller) -> None:
    first, second = caller.accepted(CLIENT_ID), caller.accepted(CLIENT_ID)
    caller.sandbox.advance(61)
    books = caller.sandbox.books()
    assert first != second
    assert books["paid"] == {FINGERPRINT: 2}
    assert books["charged_usd"] == "0.896"


def test_the_charge_comes_with_completion_even_when_nobody_polls(caller: Caller) -> None:
    caller.accepted()
    assert caller.get("/v2/billing")["current_balance"] == 100
    caller.sandbox.advance(61)
    assert caller.get("/v2/billing")["current_balance"] == 99.552


def test_a_failed_generation_is_not_charged(caller: Caller) -> None:
    caller.sandbox.faults("generation:upstream")
    generation_id = caller.accepted()
    caller.sandbox.advance(61)
    assert caller.poll(generation_id).json()["status"] == "error"
    assert caller.get("/v2/billing")["current_balance"] == 100
    row = caller.get("/v2/logs")["data"][0]
    assert (row["status"], row["cost"]) == ("failed", {"usd": 0, "credits": 0})


def test_a_charge_may_appear_late(caller: Caller) -> None:
    caller.sandbox.config(charge_lag_s=100)
    caller.finished()
    assert caller.get("/v2/billing")["current_balance"] == 100
    assert len(caller.get("/v2/billing/transactions")["data"]) == 1
    caller.sandbox.advance(100)
    assert caller.get("/v2/billing")["current_balance"] == 99.552
    assert len(caller.get("/v2/billing/transactions")["data"]) == 2


def test_the_price_follows_the_model_and_its_mode(caller: Caller) -> None:
    model = "klingai/video-v3-motion-control"
    usage = [caller.finished(model=model, mode=mode)["meta"]["usage"]["usd_spent"] for mode in ("std", "pro")]
    assert usage == [0.336, 0.448]


def test_movements_are_paged_by_an_opaque_cursor_newest_first(caller: Caller) -> None:
    ids = []
    for _ in range(5):
        ids.append(caller.accepted())
        caller.sandbox.advance(1)
    caller.sandbox.advance(61)
    seen: list[str] = []
    query = {"type": "MODEL_USAGE", "direction": "CHARGE", "limit": "2"}
    pages = 0
    while True:
        answer = caller.http.get("/v2/billing/transactions", params=query)
        described(answer)
        page = answer.json()
        seen += [row["reference_id"] for row in page["data"]]
        pages += 1
        if not page["pagination"]["has_more"]:
            break
        query["cursor"] = page["pagination"]["next_cursor"]
    assert page["pagination"]["next_cursor"] is None
    assert (seen, pages) == (ids[::-1], 3)


@pytest.mark.parametrize("change", ["={}", "{}=", "{}A", "bm90IG9uZQ"])
def test_a_cursor_counts_only_in_the_form_it_was_issued(caller: Caller, change: str) -> None:
    for _ in range(2):
        caller.accepted()
    caller.sandbox.advance(61)
    cursor = caller.get("/v2/billing/transactions", limit=1)["pagination"]["next_cursor"]
    answer = caller.http.get("/v2/billing/transactions", params={"cursor": change.format(cursor)})
    assert answer.status_code == 400
    described(answer)


@pytest.mark.parametrize(
    "query",
    ["direction=UP", "type=X", "limit=0", "limit=101", "limit=x", "from=yesterday", "from=2026-01-02&to=2026-01-01"],
)
def test_bad_filters_of_movements_are_refused(caller: Caller, query: str) -> None:
    assert caller.http.get(f"/v2/billing/transactions?{query}").status_code == 400


def test_the_balance_has_the_documented_shape(caller: Caller) -> None:
    described(caller.http.get("/v2/billing"))


def test_log_rows_are_newest_first_and_paged_by_offset(caller: Caller) -> None:
    ids = [caller.accepted(f"kr1:{n}") for n in range(5)]
    answer = caller.http.get("/v2/logs", params={"limit": 2, "offset": 1})
    described(answer)
    page = answer.json()
    assert [row["inference_id"] for row in page["data"]] == ids[::-1][1:3]
    assert [row["client_request_id"] for row in page["data"]] == ["kr1:3", "kr1:2"]
    assert page["pagination"] == {"limit": 2, "offset": 1, "total": 5, "has_more": True}
    assert not caller.get("/v2/logs", offset=4)["pagination"]["has_more"]


def test_the_log_lists_only_the_requests_of_the_asking_key(caller: Caller) -> None:
    caller.accepted()
    other = caller.http.get("/v2/logs", headers={"Authorization": "Bearer another"})
    assert other.json()["data"] == []


def test_the_log_filters_by_model_status_and_window(caller: Caller) -> None:
    caller.accepted()
    model = caller.body["model"]
    assert len(caller.get("/v2/logs", model=[model, "x/y"])["data"]) == 1
    assert len(caller.get("/v2/logs", model=model.rpartition("/")[2])["data"]) == 1
    assert caller.get("/v2/logs", model=f"{model},x/y")["data"] == []
    assert caller.get("/v2/logs", status="failed")["data"] == []
    assert len(caller.get("/v2/logs", status=["failed", "succeeded"])["data"]) == 1
    assert len(caller.get("/v2/logs", period="7d")["data"]) == 1
    assert caller.get("/v2/logs", start="2026-01-01T00:00:00Z", end="2026-01-02T00:00:00")["data"] == []
    caller.sandbox.advance(7200)
    assert caller.get("/v2/logs", period="1h")["data"] == []


@pytest.mark.parametrize(
    "query",
    [
        "period=soon",
        "period=0h",
        "period=93d",
        "period=1h&start=2026-01-01&end=2026-01-02",
        "start=2026-01-01",
        "start=2026-01-02&end=2026-01-01",
        "start=2026-01-01&end=2026-06-01",
        "status=succeeded,failed",
        "limit=101",
        "offset=-1",
        "key_prefix=other",
        "&".join(f"model={n}" for n in range(51)),
    ],
)
def test_bad_log_queries_are_refused(caller: Caller, query: str) -> None:
    answer = caller.http.get(f"/v2/logs?{query}")
    assert answer.status_code == 400
    described(answer)


def test_log_rows_may_appear_late(caller: Caller) -> None:
    caller.sandbox.config(log_lag_s=30)
    caller.accepted()
    assert caller.get("/v2/logs")["data"] == []
    caller.sandbox.advance(31)
    assert len(caller.get("/v2/logs")["data"]) == 1


def test_running_requests_may_be_absent_from_the_log(caller: Caller) -> None:
    caller.sandbox.config(log_running=False, log_lag_s=30)
    caller.accepted()
    caller.sandbox.advance(61)
    assert caller.get("/v2/logs")["data"] == []
    caller.sandbox.advance(30)
    assert caller.get("/v2/logs")["data"][0]["cost"] == {"usd": 0.448, "credits": 896_000}


def test_a_running_request_is_listed_without_cost(caller: Caller) -> None:
    caller.accepted()
    row = caller.get("/v2/logs")["data"][0]
    assert (row["status"], row["cost"]["credits"]) == ("succeeded", 0)


def test_refused_requests_are_listed_on_request(caller: Caller) -> None:
    caller.sandbox.config(log_refused=True)
    caller.submit(CLIENT_ID, keep_audio=1)
    row = caller.get("/v2/logs")["data"][0]
    assert (row["status"], row["client_request_id"], row["cost"]["credits"]) == ("failed", CLIENT_ID, 0)


def test_the_log_is_read_at_most_so_often_a_minute(caller: Caller) -> None:
    caller.sandbox.config(log_reads_per_minute=2)
    codes = [caller.http.get("/v2/logs").status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    caller.sandbox.advance(61)
    assert caller.http.get("/v2/logs").status_code == 200


def test_the_catalogue_quotes_by_id_and_by_alias_and_needs_no_key(caller: Caller) -> None:
    model = caller.body["model"]
    for name in (model, model.rpartition("/")[2], f"other,{model}"):
        answer = caller.http.get("/v1/models", params={"id": name, "include": "pricing"}, headers={"Authorization": ""})
        described(answer)
        (entry,) = answer.json()["data"]
        assert entry["pricing"]["units"] == [{"name": "second", "measure": "output", "price": 0.112, "per": 1}]


def test_the_catalogue_names_other_kinds_of_prices(caller: Caller) -> None:
    listed = caller.get("/v1/models", include="all")["data"]
    assert [entry["pricing"]["kind"] for entry in listed] == ["fixed", "variants", "variants", "variable"]
    caller.sandbox.config(price_kind="variable")
    described(caller.http.get("/v1/models?include=pricing"))
    assert {entry["pricing"]["kind"] for entry in caller.get("/v1/models", include="all")["data"]} == {"variable"}


def test_a_price_may_hold_for_several_seconds(caller: Caller) -> None:
    caller.sandbox.config(price_per=5, price_per_s="0.1")
    (entry,) = caller.get("/v1/models", include="pricing", id=caller.body["model"])["data"]
    assert (entry["pricing"]["units"][0]["price"], entry["pricing"]["units"][0]["per"]) == (0.5, 5)
    assert caller.finished()["meta"]["usage"]["usd_spent"] == 0.4


def test_an_unchanged_catalogue_is_not_sent_again(caller: Caller) -> None:
    first = caller.http.get("/v1/models?include=pricing")
    again = caller.http.get("/v1/models?include=pricing", headers={"If-None-Match": f'"x", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    caller.sandbox.config(price_per_s="0.2")
    changed = caller.http.get("/v1/models?include=pricing", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200


def test_metrics_know_only_models_with_recent_traffic(caller: Caller) -> None:
    assert caller.get("/models/metrics")["models"] == []
    caller.finished()
    model = caller.body["model"]
    answer = caller.http.get("/models/metrics", params={"aliases": [model, "x"]})
    described(answer)
    assert answer.json()["models"][0]["metrics"]["duration_ms"]["p50"] == 60_000
    assert caller.get("/models/metrics", aliases=f"{model},x")["models"] == []
    assert caller.http.get("/models/metrics?model=x").status_code == 400
    caller.sandbox.advance(400)
    assert caller.get("/models/metrics")["models"] == []


def test_the_description_names_every_endpoint_that_answers(caller: Caller) -> None:
    for path, methods in DESCRIPTION["paths"].items():
        for method in methods:
            answer = caller.http.request(method, path)
            assert "Cannot" not in answer.text, (method, path)
