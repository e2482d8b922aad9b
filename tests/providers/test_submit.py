"""A submit over a real connection: what leaves, what is believed, what is never repeated."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from kling_render.errors import StoreFault
from kling_render.lifecycle.answers import Accepted, FailureClass, InDoubt, Rejected
from kling_render.lifecycle.classify import classify
from tests.providers.caller import CLIENT_ID, Caller, upload


def test_the_bytes_arrive_unchanged_with_our_id(caller: Caller) -> None:
    """Media, prompt and every optional field; the answer names the generation."""
    found = caller.submit()
    (sent,) = caller.sandbox.books()["submits"]
    assert (sent["image_sha256"], sent["video_sha256"]) == (caller.image.sha256, caller.video.sha256)
    assert sent["client_request_id"] == CLIENT_ID
    assert sent["fields"]["prompt"] == "on a roof – “quoted”"
    assert sent["fields"]["character_orientation"] == "image"
    assert sent["fields"]["keep_audio"] is False
    assert found.intended
    assert found.body_sent == found.body_declared
    assert classify(found) == Accepted(generation_id=sent["generation_id"], raw=found.body)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 196_607, 196_608, 196_609, 600_001])
def test_the_declared_length_is_exact_for_every_size(caller: Caller, tmp_path: Path, size: int) -> None:
    """Base64 pads at the very end only, wherever the pieces are cut."""
    path = tmp_path / "odd.png"
    path.write_bytes(bytes(range(256)) * (size // 256) + bytes(size % 256))
    odd = upload(path, "image/png")
    found = caller.submit(image=odd)
    assert found.status is not None
    assert found.body_sent == found.body_declared
    if size:
        assert caller.sandbox.books()["submits"][0]["image_sha256"] == odd.sha256


def test_urls_are_sent_as_they_are(caller: Caller) -> None:
    """Nothing is fetched or inlined."""
    caller.accepted(image="https://example.com/fox.png", video="https://example.com/wave.mp4")
    fields = caller.sandbox.books()["submits"][0]["fields"]
    assert (fields["image_url"], fields["video_url"]) == (
        "https://example.com/fox.png",
        "https://example.com/wave.mp4",
    )


def test_not_one_byte_leaves_when_the_intent_cannot_be_written(caller: Caller) -> None:
    """The hook runs once the connection stands; its fault comes out and the server saw no request."""

    async def full() -> None:
        raise StoreFault("the disk is full")

    with _Listener() as listener:
        aimed = replace(caller, base_url=listener.url)
        with pytest.raises(StoreFault):
            aimed.submit(full)
        assert listener.heard() == [b""]


def test_an_input_that_changed_is_cut_before_the_last_byte(caller: Caller, tmp_path: Path) -> None:
    """Bytes of the same length but other content: nothing is accepted, and the evidence says why."""
    path = tmp_path / "wave.mp4"
    path.write_bytes(caller.video.path.read_bytes())
    planned = upload(path, "video/mp4")
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    found = caller.submit(video=planned)
    assert found.body_sent < found.body_declared
    verdict = classify(found)
    assert isinstance(verdict, Rejected)
    assert verdict.failure is FailureClass.INPUT_CHANGED
    assert caller.sandbox.books()["generations"] == []


@pytest.mark.parametrize("change", ["grown", "shrunk", "gone"])
def test_an_input_of_another_size_is_never_accepted(caller: Caller, tmp_path: Path, change: str) -> None:
    """Whatever happened to the file after it was planned."""
    path = tmp_path / "fox.png"
    path.write_bytes(caller.image.path.read_bytes())
    planned = upload(path, "image/png")
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"x" * 10 if change == "grown" else path.read_bytes()[:-10])
    verdict = classify(caller.submit(image=planned))
    assert isinstance(verdict, Rejected)
    assert verdict.failure is FailureClass.INPUT_CHANGED
    assert caller.sandbox.books()["generations"] == []


@pytest.mark.parametrize(
    ("fault", "verdict", "accepted"),
    [
        ("submit:status,status=400", Rejected, 0),
        ("submit:status,status=401", Rejected, 0),
        ("submit:status,status=403", Rejected, 0),
        ("submit:status,status=413", Rejected, 0),
        ("submit:status,status=429,retry_after=3", Rejected, 0),
        ("submit:status,status=418", Rejected, 0),
        ("submit:status,status=418,html=true", InDoubt, 0),
        ("submit:status,status=408", InDoubt, 0),
        ("submit:status,status=409", InDoubt, 0),
        ("submit:status,status=425", InDoubt, 0),
        ("submit:status,status=500", InDoubt, 0),
        ("submit:status,status=503,html=true", InDoubt, 0),
        ("submit:drop", InDoubt, 0),
        ("submit:drop,reset=true", InDoubt, 0),
        ("submit:status-after,status=500", InDoubt, 1),
        ("submit:status-after,status=502,html=true", InDoubt, 1),
        ("submit:lost", InDoubt, 1),
        ("submit:lost,reset=true", InDoubt, 1),
        ("submit:no-id", InDoubt, 1),
        ("submit:html", InDoubt, 1),
        ("submit:cut,bytes=3,inference_id=false", InDoubt, 1),
        ("submit:cut,bytes=3", Accepted, 1),
        ("submit:delay,seconds=0.2", Accepted, 1),
        ("upload:status,status=429", Rejected, 0),
        ("upload:cut,bytes=100", Rejected, 0),
    ],
)
def test_each_fault_gives_the_right_verdict_after_a_single_request(
    caller: Caller, tmp_path: Path, fault: str, verdict: type, accepted: int
) -> None:
    """The library never repeats a submit; the evidence is enough to tell refusal, acceptance and doubt apart."""
    large = tmp_path / "large.mp4"
    large.write_bytes(caller.video.path.read_bytes() + bytes(6_000_000))  # more than socket buffers hold
    caller.sandbox.faults(fault)
    found = caller.submit(video=upload(large, "video/mp4"))
    books = caller.sandbox.books()
    assert isinstance(classify(found), verdict), found
    assert (len(books["submits"]), len(books["generations"])) == (1, accepted)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_doubt_and_is_never_followed(caller: Caller, status: int) -> None:
    """Neither key nor body goes anywhere else."""
    with _Listener() as other:
        caller.sandbox.faults(f"submit:status,status={status},location={other.url}/steal")
        found = caller.submit()
        assert isinstance(classify(found), InDoubt)
        assert other.heard() == []
    assert len(caller.sandbox.books()["submits"]) == 1


def test_a_refused_connection_is_not_sent(caller: Caller) -> None:
    """Nothing listens there: safe to try again."""
    with socket.create_server(("127.0.0.1", 0)) as freed:
        port = freed.getsockname()[1]
    found = replace(caller, base_url=f"http://127.0.0.1:{port}").submit()
    assert not found.intended
    verdict = classify(found)
    assert isinstance(verdict, Rejected)
    assert verdict.again


def test_retry_after_reaches_the_verdict(caller: Caller) -> None:
    """In seconds here; the forms are the classifier's."""
    caller.sandbox.faults("submit:status,status=429,retry_after=17")
    verdict = classify(caller.submit())
    assert isinstance(verdict, Rejected)
    assert verdict.wait_s == 17


def test_the_key_is_no_part_of_any_evidence(caller: Caller) -> None:
    """What is stored and shown of an answer never holds it."""
    caller.sandbox.faults("submit:status,status=401")
    assert caller.key not in repr(caller.submit())


class _Listener:
    """Accepts connections and keeps what they say, without ever answering."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._heard: list[bytes] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()

    def heard(self) -> list[bytes]:
        """What each connection said until it was closed."""
        self._socket.settimeout(0.2)
        self._thread.join(2)
        return self._heard

    def _listen(self) -> None:
        self._socket.settimeout(1)
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                said = b""
                try:
                    while piece := connection.recv(1 << 16):
                        said += piece
                except OSError:
                    pass
                self._heard.append(said)
