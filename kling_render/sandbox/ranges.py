"""Byte ranges as a CDN serves them (RFC 9110, sections 13.1.5 and 14)."""

from __future__ import annotations

import re

_SINGLE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def part_of(header: str | None, if_range: str | None, etag: str, size: int) -> tuple[int, int] | bool | None:
    """The first byte and the end (exclusive) to send; None: all of it; False: the range cannot be satisfied.

    Several ranges at once, or a range for another version (`If-Range`), get the whole.
    """
    if header is None or (if_range is not None and if_range != etag):
        return None
    match = _SINGLE.fullmatch(header.replace(" ", ""))
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        length = int(match[2])
        return (max(0, size - length), size) if length and size else False
    first = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    if match[2] and int(match[2]) < first:
        return None
    return (first, end) if first < size else False
