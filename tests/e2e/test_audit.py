"""The account's books three ways, against the sandbox's: what differs is named, and the exit code says so."""

from __future__ import annotations

import shutil

import httpx

from tests.e2e.harness import Studio, valid

MODEL = "klingai/video-v2-6-pro-motion-control"


def someone_else_renders(studio: Studio) -> str:
    """Another tool uses the account; returns its generation, finished and charged."""
    media = {"image_url": "https://example.com/a.png", "video_url": "https://example.com/a.mp4"}
    answer = httpx.post(
        f"{studio.sandbox.url}/v2/video/generations",
        json={"model": MODEL, "character_orientation": "image", **media},
        headers={"Authorization": f"Bearer {studio.key}"},
        trust_env=False,
    )
    studio.sandbox.advance(60)
    return str(answer.json()["id"])


def test_books_that_agree_are_exit_0_and_the_money_is_told_by_facet(studio: Studio) -> None:
    """Exact sums by character and day; without a key the store's own side, which differs from nothing."""
    assert studio.render().code == 0
    ended = studio.run("audit", "--by", "character", "--json")
    assert ended.code == 0, ended.text
    valid(ended.json, "audit")
    told = ended.json
    assert [one["kind"] for one in told["generations"]] == ["equal", "equal"]
    assert told["totals"]["booked_usd"] == told["totals"]["reported_usd"] == told["totals"]["estimated_usd"] == "0.672"
    assert [(one["value"], one["booked_usd"]) for one in told["by"]["rows"]] == [("cat", "0.336"), ("fox", "0.336")]
    assert studio.book()["requests"].get("log", 0) == 1  # the render's own: no charge was unknown
    shown = studio.run("audit", "--by", "day")
    assert (shown.code, "by day (UTC)" in shown.out, "the books agree" in shown.out) == (0, True, True), shown.text
    alone = studio.run("audit", "--json", AIMLAPI_KEY="")
    assert (alone.code, alone.json["provider_asked"], alone.json["totals"]["booked_usd"]) == (0, False, None)
    valid(alone.json, "audit")
    assert "the provider was not asked" in studio.run("audit", "--offline").out


def test_what_differs_is_named_line_by_line(studio: Studio) -> None:
    """A charge of another tool, and results that a lost store does not know; each with what helps."""
    assert studio.render().code == 0
    stranger = someone_else_renders(studio)
    ended = studio.run("audit")
    assert ended.code == 4, ended.text
    assert "charged, and not ours (1)" in ended.out
    assert stranger in ended.out
    shutil.rmtree(studio.store)
    studio.sandbox.faults("log:status,status=503")
    untold = studio.run("audit", "--json")
    assert untold.code == 4
    assert [one["kind"] for one in untold.json["generations"]] == ["untold"] * 3
    valid(untold.json, "audit")
    assert "not ours" not in studio.run("audit").text
    studio.sandbox.faults()
    lost = studio.run("audit", "--json")
    assert lost.code == 4
    assert sorted(one["kind"] for one in lost.json["generations"]) == ["lost", "lost", "unexplained"]
    valid(lost.json, "audit")
    pulled = studio.run("pull", "--lost")
    assert (pulled.code, "1 charge ($0.56) for requests that are not ours" in pulled.out) == (0, True), pulled.text
    assert [one["kind"] for one in studio.run("audit", "--json").json["generations"] if one["differs"]] == [
        "unexplained"
    ]


def test_running_late_and_unread_are_told_apart(studio: Studio) -> None:
    """A result left at the server differs; a charge that lags does not at first; an unreadable ledger is exit 4."""
    studio.write_list(characters={"fox": {"image": "fox.png"}})
    assert studio.render("--detach").code == 0
    studio.sandbox.advance(60)
    left = studio.run("audit", "--json")
    assert (left.code, left.json["generations"][0]["kind"]) == (4, "not-fetched"), left.text
    studio.sandbox.config(charge_lag_s=5000)
    assert studio.run("pull").code == 0
    late = studio.run("audit", "--json")
    assert (late.code, late.json["generations"][0]["kind"]) == (0, "late"), late.text
    studio.sandbox.advance(4000)
    assert studio.run("audit", "--json").json["generations"][0]["kind"] == "not-booked"
    studio.sandbox.faults("billing:status,status=503")
    unread = studio.run("audit")
    assert (unread.code, "charges cannot be read" in unread.err or "server's time" in unread.err) == (4, True)


def test_a_charge_that_no_answer_told_is_taken_from_the_books(studio: Studio) -> None:
    """Until then the estimate is held; afterwards status, explain and budgets know what it cost."""
    studio.write_list(characters={"fox": {"image": "fox.png"}})
    studio.sandbox.faults("generation:no-usage", "generation:overcharge,factor=1.5")
    assert studio.render().code == 0
    assert "cost $?" in studio.run("explain", "sc010/fox").out
    first = studio.run("audit", "--json")
    assert first.code == 0, first.text
    valid(first.json, "audit")
    assert first.json["recorded"] == {"charges": 1, "usd": "0.504"}
    assert "cost $0.504" in studio.run("explain", "sc010/fox").out
    (spent, *_) = studio.run("status", "--json").json["money"]
    assert (spent["charged_usd"], spent["held_usd"]) == ("0.504", "0")
    again = studio.run("audit")
    assert (again.code, "recorded" in again.out) == (0, False), again.text
