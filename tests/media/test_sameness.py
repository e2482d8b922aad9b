"""Files with the same pictures and sound are told from files without, whatever their containers say."""

from __future__ import annotations

import os
from pathlib import Path

import av
from PIL import Image, PngImagePlugin

from kling_render.media.sameness import Decoder
from tests.media.makers import clip, picture


def remuxed(source: Path, target: Path, slower: int = 1, **options: str) -> Path:
    """The same coded pictures and sound in another container."""
    kind = target.suffix.removeprefix(".")
    with av.open(os.fspath(source)) as old, av.open(os.fspath(target), "w", format=kind, options=options) as new:
        new.metadata["comment"] = "retitled"
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                if packet.pts is not None:
                    packet.pts, packet.dts = packet.pts * slower, packet.dts * slower
                new.mux(packet)
    return target


def test_containers_and_metadata_make_no_difference(tmp_path: Path) -> None:
    """A moved index, a title, another container, another compression of the same pixels."""
    wave = clip(tmp_path / "wave.mp4", 1.0)
    fox = picture(tmp_path / "fox.png")
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "retitled")
    with Image.open(fox) as image:
        image.save(tmp_path / "fox2.png", pnginfo=info, compress_level=1)
        image.save(tmp_path / "fox.webp", lossless=True)
    with Decoder() as decoder:
        assert decoder.difference(wave, remuxed(wave, tmp_path / "front.mp4", movflags="faststart")) == ""
        assert decoder.difference(wave, remuxed(wave, tmp_path / "wave.mov")) == ""
        assert decoder.difference(fox, tmp_path / "fox2.png") == ""
        assert decoder.difference(fox, tmp_path / "fox.webp") == ""


def test_every_visible_or_audible_difference_is_told(tmp_path: Path) -> None:
    """Pixels, sound, timing, a turn, a colour profile; a broken file proves nothing."""
    wave = clip(tmp_path / "wave.mp4", 1.0)
    fox = picture(tmp_path / "fox.png")
    with Image.open(fox) as image:
        image.putpixel((0, 0), (229, 230, 235))
        image.save(tmp_path / "dot.png")
    picture(tmp_path / "profile.png", icc_profile=b"x" * 200)
    turned = Image.Exif()
    turned[0x0112] = 6
    picture(tmp_path / "turned.png", exif=turned)
    (tmp_path / "broken.mp4").write_bytes(wave.read_bytes()[:2000])
    with Decoder() as decoder:
        for name in ("dot.png", "profile.png", "turned.png"):
            assert decoder.difference(fox, tmp_path / name) == "its pixels differ", name
        assert decoder.difference(wave, clip(tmp_path / "mute.mp4", 1.0, sound=False)) == "its sound differs"
        assert decoder.difference(wave, clip(tmp_path / "turned.mp4", 1.0, rotate=90)) == "its pixels differ"
        silent = clip(tmp_path / "silent.mp4", 1.0, sound=False)
        assert decoder.difference(silent, remuxed(silent, tmp_path / "slow.mp4", slower=2)) == "its timing differs"
        assert "cannot be decoded" in decoder.difference(wave, tmp_path / "broken.mp4")
        assert decoder.difference(fox, wave) == "one is an image, the other a clip"
