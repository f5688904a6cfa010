"""Radiographs small enough to stand inside a page, whatever they were before."""

from __future__ import annotations

import base64
import io

from PIL import Image

FILM = ((640, 80), (448, 76), (320, 70), (200, 60))
"""Longest side in pixels and JPEG quality, tried in this order until a film is small enough."""
THUMB = ((224, 74), (160, 66), (112, 60))

_MOST_BYTES = {FILM: 110_000, THUMB: 20_000}


def data_uri(data: bytes, sizes: tuple[tuple[int, int], ...]) -> str:
    """Shrinks a radiograph and writes it as a data URI.

    Args:
        data: The encoded image.
        sizes: `FILM` or `THUMB`.
    """
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
        gray = image.convert("L")
    encoded = b""
    for side, quality in sizes:
        small = gray.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=quality, optimize=True)
        encoded = buffer.getvalue()
        if len(encoded) <= _MOST_BYTES[sizes]:
            break
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()
