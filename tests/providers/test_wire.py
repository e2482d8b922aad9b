"""The wire against servers of a few lines: what is kept, what is believed, and what breaks in words."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from kling_render.providers.aimlapi.wire import Place, Wire, WireError, message, place_of, trusted

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
IDNA = "xn--bcher-kva.example"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def against(
    serve: Serve, work: Callable[[str], Awaitable[object]], tls: ssl.SSLContext | None = None
) -> tuple[object, int]:
    """What `work` found at the server's URL, and how many connections it made."""

    async def whole() -> tuple[object, int]:
        count = 0

        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            count += 1
            try:
                await serve(reader, writer)
            except ConnectionError:
                return
            finally:
                writer.close()

        async with await asyncio.start_server(counted, "127.0.0.1", 0, ssl=tls) as server:
            port = server.sockets[0].getsockname()[1]
            return await work(f"{'https' if tls else 'http'}://127.0.0.1:{port}"), count

    return asyncio.run(whole())


def answering(*answers: bytes) -> Serve:
    """A server that says one thing to each request of a connection, then closes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    return serve


async def text(wire: Wire, url: str, cap: int = 1000) -> str:
    """The body of one GET."""
    async with wire.get(place_of(url), {}) as answer:
        return await answer.text(cap)


def got(answer: bytes, cap: int = 1000) -> object:
    """What one GET makes of an answer."""
    return against(answering(answer), lambda url: text(Wire(), url, cap))[0]


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK, "hi"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, "hi"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", "hi"),
        (b"HTTP/1.0 200 OK\r\n\r\nhi", "hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\xff\xfeA", "\ufffd\ufffdA"),
    ],
)
def test_a_body_is_read_however_it_is_framed(answer: bytes, body: str) -> None:
    """By length, in chunks, to the end of the connection, or not there at all."""
    assert got(answer) == body


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", "received 2 bytes, expected 3"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nh", "incomplete chunked"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "illegal"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000, "too"),
    ],
)
def test_what_is_no_whole_answer_breaks(answer: bytes, words: str) -> None:
    """Half a body is never taken for a body, and a head has an end."""
    with pytest.raises(WireError, match=words):
        got(answer)


@pytest.mark.parametrize("cap", [10, 100_000])
def test_a_packed_answer_is_unpacked_up_to_the_cap(cap: int) -> None:
    """Nobody asked for it, and a bomb stays small."""
    packed = gzip.compress(b"a" * 1_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    assert got(head + packed, 100_000) == "a" * 100_000
    assert len(str(got(head + packed, cap))) <= cap


def test_a_connection_is_used_again_after_a_whole_answer() -> None:
    """Three exchanges, one connection."""

    async def thrice(url: str) -> list[str]:
        wire = Wire()
        found = [await text(wire, url) for _ in range(3)]
        wire.close()
        return found

    assert against(answering(OK, OK, OK), thrice) == (["hi"] * 3, 1)


@pytest.mark.parametrize(
    "first",
    [
        OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"),
        OK + b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,
    ],
)
def test_a_connection_in_doubt_is_not_used_again(first: bytes) -> None:
    """Closed by the other side, answered unasked, or not read to the end."""

    async def twice(url: str) -> None:
        wire = Wire()
        await text(wire, url)
        await asyncio.sleep(0.05)
        await text(wire, url)

    assert against(answering(first), twice)[1] == 2


def test_the_refusal_of_a_server_that_reads_no_further_is_heard() -> None:
    """It answers after the head and closes while the body still comes: the answer counts, and the body stops."""
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(64):
            sent += 1 << 20
            yield bytes(1 << 20)

    async def refused(url: str) -> int:
        place = place_of(url)
        connection = await Wire().connect(place)
        head = message("POST", place, {"Content-Length": str(64 << 20)})
        await connection.ask(head, body())
        assert await connection.text(100) == "no"
        connection.abort()
        return connection.status

    answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    assert against(answering(answer), refused) == (413, 1)
    assert sent < 64 << 20


def test_a_connection_that_ended_takes_no_byte_of_a_request() -> None:
    """Nothing of the body is handed over, so the evidence says that nothing left."""

    async def late(url: str) -> list[bytes]:
        place, handed = place_of(url), []

        async def body() -> AsyncIterator[bytes]:
            handed.append(b"x")
            yield b"x"

        connection = await Wire().connect(place)
        await asyncio.sleep(0.05)
        with pytest.raises(WireError):
            await connection.ask(message("POST", place, {"Content-Length": "1"}), body())
        return handed

    assert against(answering(), late)[0] == []


@pytest.mark.parametrize("value", ["a\nX-Evil: 1", "a\0b", "ключ"])
def test_a_header_cannot_carry_another_one(value: str) -> None:
    """It is refused before anything is connected."""
    with pytest.raises(WireError):
        message("GET", place_of("https://example.com/"), {"Authorization": value})


@pytest.mark.parametrize(
    ("url", "query", "expected"),
    [
        ("https://example.com", "", Place(True, "example.com", 443, "example.com", "example.com", "/")),
        ("http://h:8/a?b=%2F&c", "d=1", Place(False, "h", 8, "h", "h:8", "/a?b=%2F&c&d=1")),
        ("https://h/s?sig=a/b+c==&x[]=~'\"", "", Place(True, "h", 443, "h", "h", "/s?sig=a/b+c==&x[]=~'\"")),
        ("https://h/a b/ü", "", Place(True, "h", 443, "h", "h", "/a%20b/%C3%BC")),
        ("https://[::1]:8443/", "", Place(True, "::1", 8443, "::1", "[::1]:8443", "/")),
        (
            "https://bücher.example/",
            "",
            Place(True, IDNA, 443, IDNA, IDNA, "/"),
        ),
    ],
)
def test_a_link_is_asked_for_as_it_was_signed(url: str, query: str, expected: Place) -> None:
    """Only what a request's first line cannot hold is quoted."""
    assert place_of(url, query) == expected


@pytest.mark.parametrize("url", ["", "ftp://h/", "https://", "http://h:99999/", "//h/", "https://[broken/"])
def test_what_is_no_url_is_said_to_be_none(url: str) -> None:
    """Before anything is connected."""
    with pytest.raises(WireError, match="URL"):
        place_of(url)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody signed, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl program")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    key = file.with_name("key.pem")
    subprocess.run([*command, *names, "-keyout", str(key), "-out", str(file)], check=True, capture_output=True)
    file.write_text(file.read_text() + key.read_text())
    return file


def test_a_certificate_that_proves_nothing_is_told_apart(certificate: Path) -> None:
    """Not trusted: no request goes there. Trusted, but for another host: neither."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    known = trusted()
    known.load_verify_locations(certificate)

    async def all_three(url: str) -> list[object]:
        found: list[object] = [await text(Wire(known), url)]
        for wire, place in (
            (Wire(), place_of(url)),
            (Wire(known), place_of(url.replace("127.0.0.1", "localhost"), address="127.0.0.1")),
        ):
            with pytest.raises(WireError) as refused:
                await wire.connect(place)
            found.append(refused.value.untrusted)
        return found

    assert against(answering(OK), all_three, server)[0] == ["hi", True, True]
