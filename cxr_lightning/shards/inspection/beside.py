"""A PNG or JPEG enters, what its file carries beside the picture leaves: words, and bytes behind the end.

All parts of the file are walked, for text may stand behind the pixels, under any keyword, in parts that no decoder
shows. No part is decoded. PNG (ISO 15948, 5.3); JPEG (ITU-T T.81, annex B).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_PICTURE = frozenset(
    (
        *(b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"hIST", b"pHYs"),
        *(b"sPLT", b"cICP", b"mDCV", b"cLLI", b"acTL", b"fcTL", b"fdAT"),
    )
)
"""Chunks of a PNG that say how it looks, and nothing else."""

_END = 0xD9
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_WORDS = frozenset((0xFE, *range(0xE0, 0xF0)))
"""Comments, and what applications keep."""
_OF_PICTURES = re.compile(rb"\xe0..(JFIF|JFXX)\0|\xe2..ICC_PROFILE\0|\xee..Adobe", re.DOTALL)
"""What applications keep, and say how the picture looks by."""
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""In coded pixels the end of them."""

MOST_SEGMENTS = 10_000
"""Of a JPEG; films have a dozen."""


class Beside(NamedTuple):
    """What a file carries beside its picture.

    Attributes:
        words: Whether it has a comment, EXIF, XMP, text, or a part of which nobody knows what it is.
        behind: Whether bytes stand behind the picture's end, or there is none; zeros, with which some writers fill a
            JPEG up, count as nothing.
    """

    words: bool
    behind: bool


def beside(data: bytes) -> Beside:
    """Look through all parts of a file.

    Args:
        data: A PNG or JPEG.
    """
    return _of_jpeg(data) if data.startswith(b"\xff\xd8") else _of_png(data)


def _of_png(data: bytes) -> Beside:
    at, words = 8, False
    while at + 12 <= len(data):
        kind, size = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4])
        at += 12 + size
        if kind == b"IEND":
            return Beside(words or size > 0, at != len(data))
        words = words or kind not in _PICTURE
    return Beside(words, behind=True)


def _of_jpeg(data: bytes) -> Beside:
    at, words = 2, False
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None:
            break
        at, marker = found.end(), data[found.start() + 1]
        if marker == _END:
            return Beside(words, bool(data[at:].strip(b"\0")))
        if marker in _ALONE:
            continue
        words = words or (marker in _WORDS and not _OF_PICTURES.match(data, at - 1))
        at += int.from_bytes(data[at : at + 2])
    return Beside(words, behind=True)
