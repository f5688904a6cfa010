"""The head of a JPEG 2000 codestream enters, what it would decode to leaves: size, components, tiles, packets.

A decoder makes a record for each tile, precinct and block of code that the head announces, and walks all packets;
a head of a hundred bytes can announce billions. HTJ2K has the same head. Markers: ISO 15444-1, annex A.
"""

from __future__ import annotations

import struct

from cxr_lightning.shards.markers import JpegFrame

MOST_TILES = 4096
MOST_PACKETS = 500_000
MOST_BLOCKS = 2_000_000
"""Blocks of code; 8000 x 8000 pixels in blocks of 32 x 32 have 62,500."""

_START, _SIZE, _STYLE, _TILE = b"\xff\x4f\xff\x51", 0xFF51, (0xFF52, 0xFF53), 0xFF90
_BOX = b"\0\0\0\x0cjP  "


def jpeg2000_codestream(data: bytes) -> JpegFrame | None:
    """Read the main header of a codestream, and the tiles' where they have their own styles.

    Args:
        data: The codestream, bare or in JP2 boxes.

    Returns:
        What it says; None if it is damaged before its pixels begin.
    """
    try:
        if data.startswith(_BOX):
            data = _unboxed(data)
        if not data.startswith(_START):
            return None
        right, low, left, top, wide, high, *_ = struct.unpack_from(">8I", data, 8)
        components = int.from_bytes(data[40:42])
        width, height = right - left, low - top
        if min(width, height, wide, high) < 1:
            return None
        tiles = -(-right // wide) * -(-low // high)
        excess = f"{tiles} tiles" if tiles > MOST_TILES else _excess(data, width, height, tiles)
        return JpegFrame(width, height, components, excess)
    except (struct.error, IndexError):
        return None


def _unboxed(data: bytes) -> bytes:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"jp2c":
            return data[at + (16 if length == 1 else 8) :]
        if length < 8:
            break
        at += length
    return b""


def _excess(data: bytes, width: int, height: int, tiles: int) -> str:
    """Says what there is too much of in any coding style, of the image or of a tile."""
    at, end, found = 2, len(data), ""
    tile_end = 0
    for _ in range(4 * MOST_TILES):
        if found or at + 4 > end:
            break
        marker, length = struct.unpack_from(">2H", data, at)
        if marker == _TILE:
            part = int.from_bytes(data[at + 6 : at + 10])
            tile_end = at + part if part else end
            if tile_end > end:
                return "tiles that are cut off"
        elif marker in _STYLE:
            found = _style(data[at + 4 : at + 2 + length], marker == _STYLE[1], width, height, tiles)
        elif marker == 0xFF93:  # the coded pixels of a tile: on to the next
            at = tile_end
            continue
        at += 2 + length
    else:
        return f"more than {4 * MOST_TILES} segments"
    return found


def _style(body: bytes, of_component: bool, width: int, height: int, tiles: int) -> str:
    """Counts packets and blocks of a coding style (A.6.1, A.6.2)."""
    listed = body[0 if not of_component else 1] & 1
    layers = 1 if of_component else int.from_bytes(body[2:4])
    levels, across, down = body[2:5] if of_component else body[5:8]
    sizes = body[7 if of_component else 10 :] if listed else b"\xff" * (levels + 1)
    if levels > 32 or len(sizes) < levels + 1:
        return f"{levels} levels"
    packets = blocks = 0
    for level in range(levels + 1):
        wide, high = sizes[level] & 15, sizes[level] >> 4
        columns, rows = width >> (levels - level), height >> (levels - level)
        precincts = ((columns >> wide) + tiles) * ((rows >> high) + tiles) if tiles == 1 else 0
        if tiles > 1:  # each tile begins precincts of its own
            precincts = (columns * rows >> (wide + high)) + 4 * tiles
        packets += layers * (precincts + 1)
        blocks += (columns * rows >> (min(across + 2, wide) + min(down + 2, high))) + 4 * tiles
    if packets > MOST_PACKETS:
        return f"{packets} packets"
    return f"{blocks} blocks of code" if blocks > MOST_BLOCKS else ""
