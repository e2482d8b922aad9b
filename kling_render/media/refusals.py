"""The texts for files that cannot be used at all: one code per kind of trouble. Pure."""

from __future__ import annotations

from typing import Final, Literal

from kling_render.media.facts import FIX, Unreadable
from kling_render.media.sniff import CLIPS, IMAGES

Expected = Literal["image", "clip"]

MISSING: Final = "KR0201"
NOT_A_FILE: Final = "KR0202"
DAMAGED: Final = "KR0204"
IMAGE_TYPE: Final = "KR0206"
TOO_MANY_PIXELS: Final = "KR0207"
CLIP_TYPE: Final = "KR0208"
NO_PICTURE: Final = "KR0209"
ENCRYPTED: Final = "KR0210"
LFS_POINTER: Final = "KR0212"

_NOUN: Final = {"image": "image", "clip": "clip"}
_POINTING: Final = (
    "HLS playlist",
    "concat playlist",
    "SDP description",
    "DASH manifest",
    "QuickTime reference",
    "RTSP link",
)
_TEXTS: Final = ("HTML page", "JSON text", "XML text", "text file")
_AGAIN: Final = "copy or export it again"
_ONCE_MORE: Final = "run the command again; if that changes nothing, copy or export the file again"
_CONVERTED: Final = frozenset({"GIF", "BMP", "TIFF", "AVIF"})
"""Types of which `fix` writes a copy that the model takes."""


def missing(expected: Expected) -> Unreadable:
    """Nothing stands at the path."""
    return Unreadable(MISSING, f"no such {_NOUN[expected]} file", "check the path", passing=True)


def not_a_file(expected: Expected) -> Unreadable:
    """A folder, pipe, device or socket."""
    return Unreadable(
        NOT_A_FILE, "not a regular file", f"name an {'image' if expected == 'image' else 'MP4 or MOV'} file"
    )


def forbidden(reason: str) -> Unreadable:
    """The system refuses to open it."""
    return Unreadable(NOT_A_FILE, f"cannot be read: {reason}", "check the file's permissions", passing=True)


def empty(expected: Expected) -> Unreadable:
    """No bytes at all."""
    return Unreadable(DAMAGED, f"the {_NOUN[expected]} file is empty (0 bytes)", _AGAIN)


def damaged(expected: Expected, reason: str) -> Unreadable:
    """Cut off or broken inside."""
    return Unreadable(DAMAGED, f"the {_NOUN[expected]} is truncated or damaged: {reason}", _AGAIN)


def encrypted() -> Unreadable:
    """Copy protection: only the shop's own player can show it."""
    return Unreadable(ENCRYPTED, "the clip is encrypted (copy protection)", "use a copy without protection")


def gave_up(expected: Expected, seconds: float) -> Unreadable:
    """The reader did not answer in time."""
    message = f"reading the {_NOUN[expected]} took longer than {seconds:g} s"
    return Unreadable(DAMAGED, message, _ONCE_MORE, passing=True)


def crashed(expected: Expected) -> Unreadable:
    """The reader died over it."""
    return Unreadable(DAMAGED, f"the reader of the {_NOUN[expected]} broke down", _ONCE_MORE, passing=True)


def changing(expected: Expected) -> Unreadable:
    """Its bytes were others before and after it was looked at."""
    message = f"the {_NOUN[expected]} changed while it was looked at"
    return Unreadable(DAMAGED, message, "wait until it is written, then run the command again", passing=True)


def lfs_pointer() -> Unreadable:
    """The repository's large file was not fetched."""
    return Unreadable(LFS_POINTER, "a Git-LFS pointer stands in place of the file", "run 'git lfs pull'")


def wrong_type(expected: Expected, found: str) -> Unreadable | None:
    """The refusal for a file of type `found` (a name of `sniff`); None when it is one of the expected types."""
    if found in (IMAGES if expected == "image" else CLIPS):
        return None
    if found == "Git-LFS pointer":
        return lfs_pointer()
    if expected == "image":
        return _wrong_image(found)
    looks = f" (looks like {article(found)})" if found else ""
    return Unreadable(CLIP_TYPE, f"not an MP4/MOV file{looks}", _instead(found))


def _instead(found: str) -> str:
    if found in IMAGES:
        return "a motion needs a clip, not a picture"
    if found in _POINTING:
        return "it only points to videos: use the video itself, as an MP4 (H.264) file"
    if found in _TEXTS:
        return "download the clip once more; this is no video"
    return "export the clip as an MP4 (H.264) file"


def _wrong_image(found: str) -> Unreadable:
    if found in CLIPS:
        return Unreadable(
            IMAGE_TYPE, f"a video ({found}), not an image", "a character needs a picture (PNG, JPEG, WebP)"
        )
    if not found:
        return Unreadable(IMAGE_TYPE, "not an image of a known type (PNG, JPEG, WebP)", "export it as PNG or JPEG")
    if found in _TEXTS:
        message = f"not an image (looks like {article(found)}); expected PNG, JPEG or WebP"
        return Unreadable(IMAGE_TYPE, message, "download or export the picture once more")
    message, help_ = f"image type '{found}' not supported (PNG, JPEG, WebP)", "export it as PNG or JPEG"
    by_fix = f"{help_}, for instance with {FIX}" if found in _CONVERTED else ""
    return Unreadable(IMAGE_TYPE, message, help_, by_fix)


def article(name: str) -> str:
    """The name of a type of file after `a` or `an`."""
    # Spelled initials such as HLS, MKV or SVG are said with a vowel.
    vowel = name[0] in "AEIOaeio" or (name[:2].isupper() and name[0] in "FHLMNRSX")
    return f"{'an' if vowel else 'a'} {name}"
