"""The head of a JPEG enters, what it would decode to leaves: JPEG and JPEG-LS alike, no decoder asked.

Marker segments stand one after the other until the coded pixels begin (ITU-T T.81, annex B; T.87, annex C). Scans are
counted, for a progressive file repeats its pixels scan after scan, at a cost for each and a few bytes a scan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MOST_SCANS = 64
"""Of a JPEG; libjpeg's own progressive script has 6 for gray and 10 for colour."""

MOST_SEGMENTS = 10_000
"""Before the pixels; fill bytes count."""

_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xF7}
"""Baseline, extended, progressive, lossless, and JPEG-LS; hierarchical and arithmetic ones are none."""
_OTHER_FRAMES = {*range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}
_SCAN = 0xDA
_ALONE = {0x00, 0x01, *range(0xD0, 0xD9)}


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """What a codestream says of itself.

    Attributes:
        width: Columns.
        height: Rows.
        components: Values a pixel.
        excess: What it has too much of, in words; or empty.
    """

    width: int
    height: int
    components: int
    excess: str = ""


def jpeg_frame(data: bytes) -> JpegFrame | None:
    """Read the frame header of a JPEG or JPEG-LS.

    Args:
        data: The codestream.

    Returns:
        What it says; None if it is damaged before its pixels begin, or of a kind that is not decoded.
    """
    at, found = 2, None
    for _ in range(MOST_SEGMENTS):
        at = data.find(b"\xff", at)  # decoders skip what stands between segments
        if at < 0 or at + 10 > len(data) or not data.startswith(b"\xff\xd8"):
            return None
        marker = data[at + 1]
        if marker in _OTHER_FRAMES:
            return None
        if marker in _FRAMES:
            rows, columns = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            found = JpegFrame(columns, rows, data[at + 9])
        elif marker == _SCAN:
            return found and replace(found, excess=_excess(data, at))
        at += 1 if marker == 0xFF else 2 if marker in _ALONE else 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def _excess(data: bytes, start: int) -> str:
    # In coded pixels FF is never followed by DA; in a thumbnail it is, and there are few of these.
    scans = data.count(b"\xff\xda", start)
    return f"{scans} scans" if scans > MOST_SCANS else ""
