"""What a file is, by its first bytes. Pure."""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 4096
"""How much of a file `sniff` wants to see."""

IMAGES: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
CLIPS: Final = {"MP4": "video/mp4", "MOV": "video/quicktime"}

_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"8BPS", "PSD"),
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"%PDF", "PDF"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\x76\x2f\x31\x01", "EXR"),
    (b"FLV\x01", "FLV"),
    (b"OggS", "OGG"),
    (b"0&\xb2u\x8ef\xcf\x11", "WMV"),
    (b"\x00\x00\x01\xba", "MPEG"),
    (b"\x00\x00\x01\xb3", "MPEG"),
    (b"ID3", "MP3"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "GZIP"),
)
_RIFF: Final = {b"WEBP": "WEBP", b"AVI ": "AVI", b"WAVE": "WAV"}
_BRANDS: Final = {
    b"qt  ": "MOV",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"hevc": "HEIC",
    b"heim": "HEIC",
    b"mif1": "HEIC",
    b"msf1": "HEIC",
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"M4A ": "M4A",
    b"crx ": "CR3",
}
_BARE_MOV_BOXES: Final = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_TEXTS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"#extm3u", "HLS playlist"),
    (b"ffconcat", "concat playlist"),
    (b"version https://git-lfs", "Git-LFS pointer"),
    (b"v=0", "SDP description"),
    (b"<mpd", "DASH manifest"),
    (b"<svg", "SVG"),
    (b"<!doctype html", "HTML page"),
    (b"<html", "HTML page"),
    (b"{", "JSON text"),
    (b"[reference]", "QuickTime reference"),
    (b"rtsptext", "RTSP link"),
)


def sniff(head: bytes) -> str:
    """The type's usual name (`PNG`, `MP4`, `HLS playlist`, …); empty when it is not known."""
    known = next((name for magic, name in _MAGIC if head.startswith(magic)), "")
    return known or _sniff_container(head) or _sniff_text(head)


def _sniff_container(head: bytes) -> str:
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], "")
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "WEBM" if b"webm" in head[:64] else "MKV"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "MP4")
    if head[4:8] in _BARE_MOV_BOXES:
        return "MOV"
    mpeg_ts = len(head) > 376 and head[0] == head[188] == head[376] == 0x47
    return "MPEG-TS" if mpeg_ts else ""


def _sniff_text(head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for start, name in _TEXTS:
        if text.startswith(start):
            return name
    if text.startswith((b"<?xml", b"<!--", b"<!doctype")):
        # XML is told apart by its root element, which may follow a prologue.
        return next((name for start, name in _TEXTS if start[:1] == b"<" and start in text), "XML text")
    return "text file" if text and _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    if any(byte < 9 for byte in head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a character cut in two by the end of the head
    return True
