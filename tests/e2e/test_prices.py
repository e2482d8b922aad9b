"""What a plan says of money and time, and where it has it from: the real tool against a catalogue that changes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from kling_render.providers.aimlapi.catalogue import ask
from tests.e2e.harness import Studio
from tests.media.makers import clip

NOWHERE = "http://127.0.0.1:9"
MODEL = "klingai/video-v2-6-pro-motion-control"


def lines(studio: Studio, *words: str, url: str = "") -> list[str]:
    """The lines of a plan, of another catalogue if there is a URL."""
    ended = studio.run("plan", *words, AIMLAPI_BASE_URL=url or studio.sandbox.url)
    assert ended.code == 0, ended.text
    return ended.out.splitlines()


def said(found: list[str], word: str) -> list[str]:
    return [line for line in found if line.startswith(f"{word}: ")]


def test_an_unchanged_catalogue_is_not_sent_again_and_the_last_known_price_has_its_date(studio: Studio) -> None:
    """The second look-up is a 304; offline the plan says how old its price is."""
    first = studio.run("plan", "--json").json
    again = studio.run("plan", "--json").json
    assert [p["usd_per_second"] for p in (*first["prices"], *again["prices"])] == ["0.112", "0.112"]
    assert again["prices"][0]["source"] == "catalogue"
    (price,) = said(lines(studio, "--offline"), "price")
    assert "(last known, price of " in price
    studio.sandbox.faults("catalogue:status,status=503")
    assert studio.run("plan", "--json").json["prices"][0]["source"] == "cached"


def test_without_any_answer_the_price_is_unknown_and_the_plan_says_why(studio: Studio) -> None:
    """No figure is made up: not offline, not without a server, not for a variable price."""
    offline = lines(studio, "--offline")
    assert "cost: about $?, up to $?" in offline
    assert said(offline, "note") == [
        f"note: price of {MODEL} unknown: it was never looked up, and --offline says not to"
    ]
    (note,) = said(lines(studio, url=NOWHERE), "note")
    assert f"{NOWHERE} does not tell" in note
    studio.sandbox.config(price_kind="variable")
    document = studio.run("plan", "--json").json
    assert (document["prices"], document["totals"]["estimate_usd"]) == ([], None)
    assert [note["code"] for note in document["notes"]] == ["price-unknown"]
    assert "variable" in document["notes"][0]["text"]


def test_a_changed_price_is_said_once(studio: Studio) -> None:
    """In one line, old and new, by the plan that saw it first."""
    studio.run("plan")
    studio.sandbox.config(price_per_s="0.14")
    (note,) = said(lines(studio), "note")
    assert "$0.112 per second → $0.14 per second (the former one of " in note
    assert said(lines(studio), "note") == []


def test_a_run_without_work_asks_for_nothing(studio: Studio) -> None:
    """Neither prices nor durations are looked up when nothing is to be rendered."""
    assert studio.render().code == 0
    before = studio.book()["requests"]
    assert said(lines(studio), "time") == []
    assert studio.render().code == 0
    assert studio.book()["requests"] == before


def test_own_renders_teach_rounding_and_time(studio: Studio) -> None:
    """Six renders at exact seconds: the plan's “up to” comes down to it, and the time is their own."""
    clip(studio.project / "wave.mp4", 3.25, fps=12, size=(344, 344), sound=False)
    studio.write_list(shots=[{"id": "sc010", "prompt": "on a roof", "takes": 3}])
    before = studio.run("plan", "--json").json
    assert (before["totals"]["estimate_usd"], before["totals"]["up_to_usd"]) == ("2.184", "2.688")
    assert before["eta"] is None  # nobody rendered in the last minutes
    assert studio.render().code == 0
    studio.write_list(shots=[{"id": "sc010", "prompt": "in a street", "takes": 3}])
    after = studio.run("plan", "--json").json
    assert (after["totals"]["estimate_usd"], after["totals"]["up_to_usd"]) == ("2.184", "2.184")
    assert [note["code"] for note in after["notes"]] == ["rounding-learnt"]
    assert (after["eta"]["source"], after["eta"]["renders"], after["eta"]["at_once"]) == ("history", 6, 6)
    (time,) = said(lines(studio), "time")
    assert " at -j 6 " in time
    elsewhere = studio.run("--store", str(studio.folder / "other"), "plan", "--json").json
    assert elsewhere["eta"]["source"] == "metrics"


def test_charges_above_the_catalogue_are_warned_of_and_held(studio: Studio) -> None:
    """The catalogue says less than what is charged: the plan warns, and a cap counts with what is charged."""
    studio.write_list(shots=[{"id": "sc010", "prompt": "on a roof", "takes": 3}])
    studio.sandbox.faults("generation:overcharge,factor=1.5")
    assert studio.render().code == 0
    studio.sandbox.faults()
    studio.write_list(shots=[{"id": "sc010", "prompt": "in a street", "takes": 3}])
    document = studio.run("plan", "--json").json
    assert (document["totals"]["estimate_usd"], document["totals"]["up_to_usd"]) == ("2.016", "3.024")
    (warning,) = said(lines(studio), "warning")
    assert "was charged $0.168 per second, the catalogue says $0.112" in warning
    ended = studio.run("render", "--yes", "--max-usd", "0.5")  # an estimate of $0.336 would fit, a hold of $0.504 not
    assert (ended.code, studio.accepted()) == (5, 6), ended.text
    assert warning in ended.err  # in a pipe, too, where no plan is shown before


@contextmanager
def listening(answer: bytes) -> Iterator[str]:
    """A server that takes every connection, says its part, and then nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            held = []
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.sendall(answer)
                    held.append(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


SILENT = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "half a body": b'HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{"data": [',
    "another protocol": b"220 mail ESMTP\r\n",
    "a page": b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>",
    "a redirect": b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", SILENT.values(), ids=SILENT)
def test_a_server_that_does_not_get_on_is_not_waited_for(answer: bytes) -> None:
    """However it stops speaking, the look-up ends without a price."""
    with listening(answer) as url:
        assert ask(url, [MODEL], None, timed=[MODEL], within_s=0.3) == (None, {})
