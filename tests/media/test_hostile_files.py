"""Claim: a file that is not what it should be is named, opens nothing else and never harms the parent."""

from __future__ import annotations

import http.server
import os
import random
import struct
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_render.media.facts import Unreadable
from kling_render.media.probe import Prober
from kling_render.media.refusals import Expected
from tests.media import makers


def refusal(prober: Prober, path: Path, expected: Expected) -> Unreadable:
    facts = prober.probe(path, expected)
    assert isinstance(facts, Unreadable), facts
    assert facts.message
    assert facts.help
    return facts


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<svg/>", "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "EPS"),
        (b"GIF89a" + bytes(40), "GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        (b"\0\0\0\x18ftypavif" + bytes(40), "AVIF"),
        (b"BM" + bytes(60), "BMP"),
        (b"II*\0" + bytes(60), "TIFF"),
        (b"%PDF-1.7\n", "PDF"),
    ],
)
def test_an_unsupported_image_type_is_named(content: bytes, name: str, tmp_path: Path, prober: Prober) -> None:
    path = tmp_path / "hero.png"
    path.write_bytes(content)
    found = refusal(prober, path, "image")
    assert found.code == "KR0206"
    assert found.message == f"image type '{name}' not supported (PNG, JPEG, WebP)"


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (b"#EXTM3U\n#EXTINF:1,\nhttp://{server}/a.ts\n", "an HLS playlist"),
        (b"ffconcat version 1.0\nfile '{secret}'\n", "a concat playlist"),
        (b"v=0\no=- 0 0 IN IP4 {server}\n", "an SDP description"),
        (b"<?xml version='1.0'?><MPD><BaseURL>http://{server}/</BaseURL></MPD>", "a DASH manifest"),
        (
            b"<?xml version='1.0'?><playlist><track><location>http://{server}/</location></track></playlist>",
            "an XML text",
        ),
        (b"<smil><body><video src='http://{server}/a.mp4'/></body></smil>", "a text file"),
        (b"[Reference]\nRef1=http://{server}/a.mp4\n", "a QuickTime reference"),
        (b"RTSPtextrtsp://{server}/a\n", "an RTSP link"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", "a WEBM"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", "an MKV"),
        (b"RIFF\0\0\0\0AVI LIST", "an AVI"),
        (b"GIF89a", "a GIF"),
        (b"\x89PNG\r\n\x1a\n", "a PNG"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"\0\1\2\3" * 40, ""),
    ],
)
def test_a_playlist_or_other_type_in_an_mp4_is_named_and_opens_nothing(
    content: bytes, looks: str, tmp_path: Path, prober: Prober, server: tuple[str, list[str]]
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    os.utime(secret, (1, 1))
    path = tmp_path / "clip.mp4"
    path.write_bytes(content.replace(b"{server}", server[0].encode()).replace(b"{secret}", os.fsencode(secret)))
    found = refusal(prober, path, "clip")
    assert found.code == "KR0208"
    assert found.message == "not an MP4/MOV file" + (f" (looks like {looks})" if looks else "")
    assert server[1] == []
    assert secret.stat().st_atime == 1


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{listening.server_port}", asked
        listening.shutdown()


@pytest.mark.parametrize("expected", ["image", "clip"])
def test_an_empty_file_a_folder_and_a_missing_file_have_their_own_words(
    expected: Expected, tmp_path: Path, prober: Prober
) -> None:
    (tmp_path / "empty").touch()
    assert "empty (0 bytes)" in refusal(prober, tmp_path / "empty", expected).message
    assert refusal(prober, tmp_path / "empty", expected).code == "KR0204"
    assert refusal(prober, tmp_path, expected).code == "KR0202"
    assert refusal(prober, tmp_path / "missing", expected).code == "KR0201"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system here")
def test_a_pipe_or_a_device_is_refused_without_waiting(tmp_path: Path, prober: Prober) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert refusal(prober, tmp_path / "pipe.png", "image").code == "KR0202"
    assert refusal(prober, Path("/dev/zero"), "clip").code == "KR0202"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_image_is_damaged(kind: str, share: float, tmp_path: Path, prober: Prober) -> None:
    path = makers.picture(tmp_path / "a", kind=kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert refusal(prober, path, "image").code == "KR0204"


def test_damage_is_told_in_plain_words(tmp_path: Path, prober: Prober) -> None:
    """Neither control characters of the file nor the words of a library."""
    webp, png = makers.picture(tmp_path / "a.webp", kind="WEBP"), tmp_path / "a.png"
    webp.write_bytes(webp.read_bytes()[:-10])
    assert "missing at the end" in refusal(prober, webp, "image").message
    png.write_bytes(_with_profile(makers.picture(png).read_bytes(), bytes(8 << 20)))
    assert "unpacks to far too much" in refusal(prober, png, "image").message

    whole = makers.clip(tmp_path / "a.mp4").read_bytes()
    odd, huge = tmp_path / "odd.mp4", tmp_path / "huge.mp4"
    odd.write_bytes(whole[:32] + b"#EXT\n\x1bM3" + bytes(40))
    assert "the box '??M3' ends" in refusal(prober, odd, "clip").message
    at = whole.index(b"stts") + 8
    huge.write_bytes(whole[:at] + b"\xff" * 4 + whole[at + 4 :])
    assert "its index asks for too much memory" in refusal(prober, huge, "clip").message


def _with_profile(png: bytes, profile: bytes) -> bytes:
    body = b"iCCPa\0\0" + zlib.compress(profile)
    return png[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + png[33:]


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_clip_is_damaged(share: float, tmp_path: Path, prober: Prober) -> None:
    path = makers.clip(tmp_path / "a.mp4")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    found = refusal(prober, path, "clip")
    assert found.code == "KR0204"
    assert "truncated or damaged" in found.message


def test_an_image_bomb_is_refused_by_its_header(tmp_path: Path, prober: Prober) -> None:
    found = refusal(prober, makers.png_claiming(tmp_path / "a.png", 65_000, 65_000), "image")
    assert found.code == "KR0207"
    assert found.message == "65000 × 65000 are 4,225 Mpx, limit 50"


def test_a_clip_without_a_picture_is_refused(tmp_path: Path, prober: Prober) -> None:
    found = refusal(prober, makers.sound_only(tmp_path / "a.mp4"), "clip")
    assert (found.code, found.message) == ("KR0209", "no video stream")


def test_a_clip_for_an_image_and_the_reverse_are_told(tmp_path: Path, prober: Prober) -> None:
    assert "a video (MP4), not an image" in refusal(prober, makers.clip(tmp_path / "a.mp4", 0.2), "image").message
    assert "looks like a PNG" in refusal(prober, makers.picture(tmp_path / "a.png"), "clip").message


def test_a_git_lfs_pointer_names_the_command(tmp_path: Path, prober: Prober) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "git lfs pull" in refusal(prober, path, "clip").help


def test_damaged_bytes_anywhere_always_give_an_answer(tmp_path: Path, prober: Prober) -> None:
    chance = random.Random(5)
    originals = [
        (makers.clip(tmp_path / "a.mp4", 0.3).read_bytes(), "clip"),
        (makers.picture(tmp_path / "a.png").read_bytes(), "image"),
        (makers.picture(tmp_path / "a.jpg", kind="JPEG").read_bytes(), "image"),
    ]
    for number in range(60):
        whole, expected = originals[number % 3]
        broken = bytearray(whole)
        for _ in range(chance.randint(1, 30)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        path = tmp_path / "broken"
        path.write_bytes(broken)
        prober.probe(path, expected)  # type: ignore[arg-type]
        prober.verify_result(path, 0.3)
    assert not isinstance(prober.probe(tmp_path / "a.mp4", "clip"), Unreadable)


CHILD = """
import json, os, sys, time
for line in sys.stdin:
    name = json.loads(line)["path"]
    if "crash" in name:
        os._exit(9)
    if "hang" in name:
        time.sleep(60)
    if "babble" in name:
        print("not json", flush=True)
        continue
    print(json.dumps({"is": "unreadable", "code": "fine", "message": "m", "help": "h"}), flush=True)
"""


def test_a_reader_that_dies_or_hangs_costs_its_file_only(tmp_path: Path) -> None:
    program = tmp_path / "child.py"
    program.write_text(CHILD)
    with Prober(1, wall_s=0.3, command=[sys.executable, str(program)]) as unreliable:
        names = ["fine", "crash", "fine", "babble", "fine", "hang", "fine"]
        answers = [unreliable.probe(Path(name), "clip") for name in names[:5]]
        # The first file of a fresh reader gets time for its start, so warm it up before the hang.
        answers += [unreliable.probe(Path(name), "clip") for name in names[5:]]
        bad = unreliable.verify_result(Path("crash"), None)
    codes = [a.code for a in answers if isinstance(a, Unreadable)]
    assert codes == ["fine", "KR0204", "fine", "KR0204", "fine", "KR0204", "fine"]
    assert [isinstance(a, Unreadable) and a.passing for a in answers] == [False, True] * 3 + [False]
    hung = answers[5]
    assert isinstance(hung, Unreadable)
    assert "longer than 0.3 s" in hung.message
    assert not bad.ok


def test_a_playlist_behind_a_whole_mp4_header_opens_nothing(
    tmp_path: Path, prober: Prober, server: tuple[str, list[str]]
) -> None:
    """The demuxer is named and every protocol forbidden, whatever the bytes after the first box say."""
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    os.utime(secret, (1, 1))
    lines = f"\nffconcat version 1.0\nfile '{secret}'\nfile 'http://{server[0]}/a.mp4'\n".encode()
    ftyp = b"\0\0\0\x18ftypisom\0\0\x02\0isommp41"
    path = tmp_path / "clip.mp4"
    for content in (ftyp + lines, ftyp + b"\0\0\0\x08moov" + lines, makers.clip(path, 0.3).read_bytes() + lines):
        path.write_bytes(content)
        assert refusal(prober, path, "clip").code == "KR0204"
    assert server[1] == []
    assert secret.stat().st_atime == 1


def test_references_of_a_movie_to_other_files_are_not_followed(
    tmp_path: Path, prober: Prober, server: tuple[str, list[str]]
) -> None:
    """A `dref` may name a URL; the samples it points to are not fetched."""
    path = makers.clip(tmp_path / "clip.mov", 0.3, sound=False, container="mov")
    data = path.read_bytes()
    target = f"http://{server[0]}/a.mp4".encode()
    at = data.index(b"dref")
    entry = data[at + 12 : at + 24]
    assert entry[4:8] in (b"url ", b"alis")
    away = data[: at + 12] + entry[:4] + b"url " + b"\0\0\0\0" + data[at + 24 :]
    path.write_bytes(away + b"\0\0\0\x40free" + target.ljust(56, b"\0"))
    prober.probe(path, "clip")
    prober.verify_result(path, 0.3)
    assert server[1] == []


def test_the_reader_sees_no_secret(tmp_path: Path) -> None:
    from kling_render.media import limits

    assert set(limits.environment()) - {"TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH", "SYSTEMROOT"} == {
        "PYTHONPATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONUTF8",
    }  # fmt: skip
