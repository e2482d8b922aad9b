"""Ids, URLs and files of a shot list."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kling_render.disk.project_files import DiskFiles
from kling_render.shotlist.names import is_slug, slug
from kling_render.shotlist.urls import is_url, masked, refusal

SLUGS = {
    "fox": "fox",
    "A Fox!": "A-Fox",
    "  on a  roof, at dusk ": "on-a-roof-at-dusk",
    "Café Straße": "Cafe-Strasse",
    "1.5": "1-5",
    "-5": "-5",
    "a/b\\c": "a-b-c",
    "日本": "",
    "": "",
    "ﬁne": "fine",
}


@pytest.mark.parametrize("text", SLUGS)
def test_the_slug_of_a_text_is_an_id(text: str) -> None:
    """Slugs are ids, stay what they are, and are empty when nothing of the text can stand in one."""
    assert slug(text) == SLUGS[text]
    assert slug(slug(text)) == slug(text)
    assert is_slug(slug(text)) or not slug(text)


def test_an_id_has_no_line_end() -> None:
    """A trailing newline does not slip through."""
    assert not is_slug("fox\n")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.png",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "https://user@example.com/a",
        "https://user:pass@example.com/a",
        "https://",
        "https:///a.png",
        "https://localhost/a",
        "https://LOCALHOST./a",
        "https://a.localhost/a",
        "https://intranet/a",
        "https://printer.local/a",
        "https://metadata.google.internal/a",
        "https://127.0.0.1/a",
        "https://127.1/a",
        "https://2130706433/a",
        "https://0x7f000001/a",
        "https://0177.0.0.1/a",
        "https://127.0.0.1./a",
        "https://１２７.0.0.1/a",
        "https://10.0.0.5/a",
        "https://169.254.169.254/latest",
        "https://192.168.1.1/a",
        "https://100.64.0.1/a",
        "https://0.0.0.0/a",
        "https://224.0.0.1/a",
        "https://[::1]/a",
        "https://[::ffff:127.0.0.1]/a",
        "https://[::ffff:7f00:1]/a",
        "https://[2002:7f00:1::]/a",
        "https://[fd00::1]/a",
        "https://[fe80::1%25eth0]/a",
        "https://256.256.256.256/a",
        "https://1.2.3.4.5/a",
        "https://example.com:99999/a",
        "https://exa mple.com/a",
        "https://example.com\\@127.0.0.1/a",
        "https://exam\tple.com/a",
        "https://%31%32%37.0.0.1/a",
    ],
)
def test_a_url_that_could_leak_or_reach_inside_is_refused(url: str) -> None:
    """Only https to a public host without credentials may be used, however the address is written."""
    assert is_url(url)
    assert refusal(url) is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png?x=1&y=2",
        "HTTPS://cdn.example.co.uk:8443/a",
        "https://93.184.216.34/a",
        "https://bücher.example.org/a",
    ],
)
def test_a_public_https_url_is_accepted(url: str) -> None:
    """Ordinary links pass."""
    assert is_url(url)
    assert refusal(url) is None


def test_paths_are_not_taken_for_urls() -> None:
    """A colon or a drive letter alone makes no URL."""
    assert not any(map(is_url, ["fox.png", "a:b.png", "C:/x.png", "./https/x", "characters/fox.png"]))


def test_credentials_are_masked_without_moving_anything() -> None:
    """The mask is as long as what it hides."""
    assert masked("see https://me:pw@a.b/c") == "see https://*****@a.b/c"


def test_a_glob_finds_files_in_order(tmp_path: Path) -> None:
    """`*` stays in a folder, `**` goes down, dot files and folders are left out, the order is the paths'."""
    for name in ("b.png", "a.png", ".hidden.png", "sub/c.png", "sub/deep/d.png", "A.PNG", "x.txt", ".git/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")

    def found(pattern: str) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in DiskFiles().glob(tmp_path, pattern)]

    assert found("*.png") == ["a.png", "b.png"]
    assert found("**/*.png") == ["a.png", "b.png", "sub/c.png", "sub/deep/d.png"]
    assert found("s?b/[cd].png") == ["sub/c.png"]
    assert found("sub/**") == ["sub/c.png", "sub/deep/d.png"]
    assert found("a.png") == ["a.png"]
    assert found("nothing/*.png") == []


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """Folders, pipes and devices are refused at once; at most one byte more than asked for is read."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "loop").symlink_to("loop")
    disk = DiskFiles()
    assert disk.read_text_bytes(tmp_path / "file", 3) == b"1234"
    for name in ("pipe", ".", "missing", "/dev/zero"):
        with pytest.raises(OSError, match=r".+"):
            disk.read_text_bytes(tmp_path / name, 3)
    kinds = {name: disk.kind(tmp_path / name) for name in ("file", ".", "pipe", "missing", "file/x", "loop", "a\0b")}
    assert list(kinds.values()) == ["file", "folder", "other", "missing", "missing", "circle", "missing"]
