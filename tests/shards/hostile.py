"""Damaged and hostile image files, made from a seed: each is an image or an `ImageError`, in bounded time and memory.

`FILES` names them; a maker gives a file's content. Those that would take long to make are made small on disk and large
only to who believes them: that is what they are for.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from tests.shards.codecs import jpeg_lossless, jpeg_ls, segment
from tests.shards.pngs import chunk, png
from tests.shards.test_dicom import deflated, dicom
from tests.shards.test_syntaxes import VALUES, in_syntax, of_codestream, recompressed

Maker = Callable[[], bytes]

FILM = (np.add.outer(np.arange(96) * 2, np.arange(80)) % 251).astype(np.uint8)
HUGE = 0x7FFFFFFF
TAG = b"MM\0*\0\0\0\x08\0\1"
"""The head of an EXIF of one tag."""


def saved(kind: str, mode: str = "L", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(FILM).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def nothing_deflated() -> bytes:
    return zlib.compress(bytes(100_000_000), 9)


@cache
def wholes() -> dict[str, bytes]:
    """Good files of every kind, to be damaged."""
    small = VALUES[:, :40]
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "film"
    return {
        "png": saved("PNG"),
        "png16": png(80, 96, b"".join(b"\0" + row.tobytes() for row in FILM.astype(">u2") * 200), depth=16),
        "jpg": saved("JPEG", exif=exif),
        "progressive": saved("JPEG", progressive=True),
        "dicom": dicom(small, WindowCenter=2048, WindowWidth=4096, SpecificCharacterSet="ISO_IR 192"),
        "lossless": of_codestream(uid.JPEGLosslessSV1, jpeg_lossless(small, 12), Columns=40),
        "ls": of_codestream(uid.JPEGLSLossless, jpeg_ls(small, 12), Columns=40),
        "j2k": recompressed(uid.JPEG2000Lossless, dicom(small)),
        "rle": recompressed(uid.RLELossless, dicom(small)),
    }  # fmt: skip


def cut(name: str, share: float) -> Maker:
    return lambda: wholes()[name][: int(len(wholes()[name]) * share)]


def flipped(name: str, seed: int, *, head: int | None = None) -> Maker:
    """Some bytes become others; within the first `head`, or anywhere behind what says what kind of file it is."""

    def make() -> bytes:
        random = np.random.default_rng(seed)
        data = bytearray(wholes()[name])
        for place in random.integers(132 if data[128:132] == b"DICM" else 4, head or len(data), 1 + seed % 7):
            data[min(int(place), len(data) - 1)] = int(random.choice([0, 1, 127, 128, 255, int(random.integers(256))]))
        return bytes(data)

    return make


def moved(name: str, seed: int) -> Maker:
    """A stretch is taken out, doubled, or swapped with another."""

    def make() -> bytes:
        random = np.random.default_rng(1000 + seed)
        data = wholes()[name]
        a, b = sorted(random.integers(4, len(data), 2).tolist())
        return [data[:a] + data[b:], data[:b] + data[a:], data[:4] + data[a:b] + data[4:a] + data[b:]][seed % 3]

    return make


def nested(depth: int) -> bytes:
    """A DICOM file whose sequences lie in each other, of undefined lengths."""
    item = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    at = dicom().index(b"\x28\x00\x02\x00")
    return dicom()[:at] + item * depth + dicom()[at:]


def sized(codestream: bytes, marker: bytes, rows: int, columns: int) -> bytes:
    """A JPEG whose frame header tells another size."""
    at = codestream.index(marker) + 5
    return codestream[:at] + struct.pack(">HH", rows, columns) + codestream[at + 4 :]


def wide(size: int) -> dict[str, Any]:
    return {"Rows": size, "Columns": size}


def j2k_head(
    size: int, *, tile: int = 0, components: int = 1, layers: int = 1, precinct: int = 0xFF, block: int = 4
) -> bytes:
    """The head of a JPEG 2000 codestream that announces a lot, and a tile with nothing in it."""
    siz = struct.pack(">H8IH", 0, size, size, 0, 0, tile or size, tile or size, 0, 0, components)
    cod = bytes([1, 0]) + layers.to_bytes(2) + bytes([0, 5, block - 2, block - 2, 0, 1]) + bytes([precinct] * 6)
    qcd = bytes([0x40, *[8 * 11] * 16])
    head = b"\xff\x4f" + segment(0x51, siz + b"\x0b\x01\x01" * components) + segment(0x52, cod) + segment(0x5C, qcd)
    return head + segment(0x90, struct.pack(">HIBB", 0, 14, 0, 1)) + b"\xff\x93\xff\xd9"


def in_j2k(size: int, **more: Any) -> Maker:
    return lambda: of_codestream(uid.JPEG2000, j2k_head(size, **more), **wide(size))


def scans(count: int) -> bytes:
    data = wholes()["progressive"]
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + data[-2:]


def with_element(after: bytes, element: bytes) -> bytes:
    data = dicom()
    at = data.index(after)
    return data[:at] + element + data[at:]


def animated() -> bytes:
    frames = [Image.fromarray(np.roll(FILM, shift)) for shift in range(5)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def exif_jpeg(tiff: bytes) -> bytes:
    data = saved("JPEG")
    return data[:2] + segment(0xE1, b"Exif\0\0" + tiff) + data[2:]


def loop() -> bytes:
    """An EXIF directory that names itself as the next."""
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<I", 8)


def runs(size: int, length: int) -> bytes:
    """An RLE frame whose only runs are the longest there are."""
    half = b"\x81\0" * length
    frame = struct.pack("<16L", 2, 64, 64 + len(half), *[0] * 13) + half * 2
    return of_codestream(uid.RLELossless, frame, **wide(size))


def table(told: list[int], entries: bytes) -> list[Any]:
    one = Dataset()
    one.add_new("LUTDescriptor", "US", told)
    one.add_new("LUTData", "OW", entries)
    return [one]


OTHERS: dict[str, Maker] = {
    "empty": lambda: b"",
    "one byte": lambda: b"\xff",
    "zeros": lambda: bytes(10_000),
    "text": lambda: b"no image here\n" * 100,
    "html": lambda: b"<!DOCTYPE html><title>404 Not Found</title>",
    "gif": lambda: saved("GIF"),
    "tiff": lambda: saved("TIFF"),
    "bmp": lambda: saved("BMP"),
    "webp": lambda: saved("WEBP"),
    "bare jpeg 2000": lambda: saved("JPEG2000"),
    "postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n",
    "zip": lambda: b"PK\x03\x04" + bytes(300),
    "png signature alone": lambda: b"\x89PNG\r\n\x1a\n",
    "jpeg marker alone": lambda: b"\xff\xd8\xff",
    "dicom prefix alone": lambda: bytes(128) + b"DICM",
    "fill bytes without end": lambda: b"\xff\xd8" + b"\xff" * 200_000,
    "cmyk jpeg": lambda: saved("JPEG", "CMYK"),
    "rgb jpeg": lambda: saved("JPEG", "RGB"),
    "palette png": lambda: saved("PNG", "P"),
    "palette png, transparent": lambda: saved("PNG", "P", transparency=3),
    "bilevel png": lambda: saved("PNG", "1"),
    "png with alpha": lambda: saved("PNG", "RGBA"),
    "animated png": animated,
    "interlaced png": lambda: png(8, 8, bytes(79), lace=1),
    "png of 16 bits and 4 channels": lambda: png(9, 9, bytes(9 * 73), depth=16, colour=6),
    "png of 2 bits": lambda: png(9, 9, bytes(36), depth=2),
    "png of 3 bits": lambda: png(9, 9, bytes(90), depth=3),
    "png of a palette without palette": lambda: png(9, 9, bytes(90), colour=3),
    "png of no size": lambda: png(0, 0, b""),
    "png of no height": lambda: png(9, 0, b""),
    "png that is a line": lambda: png(1_000_000, 1, bytes(1_000_001)),
    "png of 2^31 pixels a side": lambda: png(HUGE, HUGE, b""),
    "png of 8000 pixels a side and nothing": lambda: png(8000, 8000, b""),
    "png of 9000 pixels a side": lambda: png(9000, 9000, b""),
    "png with more pixels than told": lambda: png(8, 8, bytes(5_000_000)),
    "zlib bomb in zTXt": lambda: png(8, 8, bytes(72), more=chunk(b"zTXt", b"a\0\0" + nothing_deflated())),
    "zlib bomb in iTXt": lambda: png(8, 8, bytes(72), more=chunk(b"iTXt", b"a\0\1\0\0\0" + nothing_deflated())),
    "zlib bomb in iCCP": lambda: png(8, 8, bytes(72), more=chunk(b"iCCP", b"a\0\0" + nothing_deflated())),
    "200,000 chunks": lambda: png(8, 8, bytes(72), more=chunk(b"abCd", b"") * 200_000),
    "chunk of 2 GiB": lambda: png(8, 8, bytes(72), more=struct.pack(">I", HUGE) + b"tEXt"),
    "png with damaged exif": lambda: png(8, 8, bytes(72), more=chunk(b"eXIf", b"II*\0\xff\xff\xff\xff")),
    "exif that names itself": lambda: exif_jpeg(loop()),
    "exif with 65,535 tags": lambda: exif_jpeg(b"II*\0\x08\0\0\0\xff\xff" + bytes(60_000)),
    "exif with a tag of 4 GiB": lambda: exif_jpeg(TAG + struct.pack(">HHII", 0x112, 5, 0xFFFFFFFF, 8)),
    "exif of noise": lambda: exif_jpeg(np.random.default_rng(5).bytes(900)),
    "exif turned by a text": lambda: exif_jpeg(TAG + struct.pack(">HHI4s", 0x112, 2, 4, b"six\0") + bytes(4)),
    "jpeg of 65,500 pixels a side": lambda: sized(saved("JPEG"), b"\xff\xc0", 65500, 65500),
    "jpeg of 8000 pixels a side and little": lambda: sized(saved("JPEG"), b"\xff\xc0", 8000, 8000),
    "jpeg of no height": lambda: sized(saved("JPEG"), b"\xff\xc0", 0, 80),
    "jpeg of 5000 scans": lambda: scans(5000),
    "jpeg in jpeg's comment": lambda: saved("JPEG", comment=saved("JPEG")),
    "arithmetic jpeg": lambda: saved("JPEG").replace(b"\xff\xc0", b"\xff\xc9"),
    "two jpegs": lambda: saved("JPEG") * 2,
    "dicom behind a png": lambda: saved("PNG")[:128].ljust(128, b"\0") + dicom()[128:],
    "sequences 300 deep": lambda: nested(300),
    "sequences 5,000 deep": lambda: nested(5_000),
    "sequences 100,000 deep": lambda: nested(100_000),
    "element of 4 GiB": lambda: with_element(b"\x28\x00\x02\x00", b"\x09\x00\x01\x00OB\0\0\xfe\xff\xff\xff"),
    "sequence of 4 GiB": lambda: with_element(b"\x28\x00\x02\x00", b"\x08\x00\x40\x11SQ\0\0\xfe\xff\xff\xff"),
    "element without end": lambda: with_element(b"\x28\x00\x02\x00", b"\x09\x00\x01\x00UN\0\0\xff\xff\xff\xff"),
    "200,000 elements": lambda: with_element(b"\x10\x00\x10\x00", b"\x09\x00\x01\x00LO\0\0" * 200_000),
    "rows of 60,000 numbers": lambda: dicom(Rows=[4] * 30_000),
    "no rows": lambda: dicom(Rows=0),
    "rows missing": lambda: dicom(Rows=None),
    "rows and columns of 65,535": lambda: dicom(Rows=65535, Columns=65535),
    "8000 pixels a side and none there": lambda: dicom(**wide(8000)),
    "a billion frames": lambda: dicom(NumberOfFrames=1_000_000_000),
    "frames below nought": lambda: dicom(NumberOfFrames=-1),
    "64 bits": lambda: dicom(BitsAllocated=64, BitsStored=64),
    "255 bits stored": lambda: dicom(BitsStored=255),
    "3 bits allocated": lambda: dicom(BitsAllocated=3, BitsStored=3),
    "1 bit": lambda: dicom(BitsAllocated=1, BitsStored=1, HighBit=0),
    "7,777 high bit": lambda: dicom(HighBit=7777),
    "a sign of 7": lambda: dicom(PixelRepresentation=7),
    "samples below nought": lambda: dicom(SamplesPerPixel=0),
    "slope that is huge": lambda: dicom(RescaleSlope="1e308", RescaleIntercept="1e308"),
    "slope of nought": lambda: dicom(RescaleSlope="0", RescaleIntercept="0"),
    "window that is huge": lambda: dicom(WindowCenter="1e38", WindowWidth="1e300"),
    "window below nought": lambda: dicom(WindowCenter="5", WindowWidth="-7"),
    "window without numbers": lambda: dicom().replace(b"US\x02\0\x0b\0", b"US\x02\0\xff\xff"),
    "padding beyond 16 bits": lambda: dicom(PixelPaddingValue=65535, PixelPaddingRangeLimit=0),
    "table of noughts in 255 bits": lambda: dicom(VOILUTSequence=table([4, 0, 255], bytes(8))),
    "table without entries": lambda: dicom(VOILUTSequence=table([4096, 0, 12], b"")),
    "table of fewer entries than told": lambda: dicom(VOILUTSequence=table([0, 0, 16], b"\1\2")),
    "table of odd bytes": lambda: dicom(VOILUTSequence=table([2, 0, 16], b"\1\2\3")),
    "table of 255 bits": lambda: dicom(ModalityLUTSequence=table([4, 65535, 255], bytes(8))),
    "table told by two numbers": lambda: dicom(ModalityLUTSequence=table([4, 0], bytes(8))),
    "deflate bomb": lambda: deflated_of(700),
    "deflated noise": lambda: deflated()[:300] + b"\xde\xad" * 400,
    "the largest radiograph": lambda: deflated_of(123, **wide(8000)),
    "png of 16 bits and colours, interlaced": lambda: png(8, 8, bytes(8 * 8 * 6 + 15), depth=16, colour=2, lace=1),
    "png of 16 bits and alpha, and little": lambda: png(8000, 8000, b"", depth=16, colour=4),
    "the largest png of 16 bits": lambda: png(8000, 8000, bytes(16001 * 8000), depth=16),
    "the largest png with alpha": lambda: png(8000, 8000, bytes(32001 * 8000), colour=6),
    "the largest png of 16 bits and 4 channels": lambda: png(8000, 8000, bytes(64001 * 8000), depth=16, colour=6),
    "jpeg of 65,500 in dicom": lambda: of_codestream(
        uid.JPEGBaseline8Bit, sized(saved("JPEG"), b"\xff\xc0", 65500, 65500)
    ),
    "jpeg of 8000 in dicom": lambda: of_codestream(
        uid.JPEGBaseline8Bit, sized(saved("JPEG"), b"\xff\xc0", 8000, 8000), **wide(8000)
    ),
    "jpeg of 5000 scans in dicom": lambda: of_codestream(uid.JPEGBaseline8Bit, scans(5000), Rows=96, Columns=80),
    "lossless of 8000": lambda: of_codestream(
        uid.JPEGLosslessSV1, sized(jpeg_lossless(VALUES, 12), b"\xff\xc3", 8000, 8000), **wide(8000)
    ),
    "jpeg-ls of 3000": lambda: of_codestream(
        uid.JPEGLSLossless, sized(jpeg_ls(VALUES, 12), b"\xff\xf7", 3000, 3000), **wide(3000)
    ),
    "jpeg-ls of no height": lambda: of_codestream(uid.JPEGLSLossless, sized(jpeg_ls(VALUES, 12), b"\xff\xf7", 0, 48)),
    "jpeg in jpeg 2000's syntax": lambda: of_codestream(uid.JPEG2000, saved("JPEG")),
    "jpeg 2000 in jpeg's syntax": lambda: of_codestream(uid.JPEGLosslessSV1, j2k_head(64)),
    "jpeg 2000 of 8000 and nothing": in_j2k(8000),
    "jpeg 2000 of 2^31": lambda: of_codestream(uid.JPEG2000, j2k_head(HUGE)),
    "jpeg 2000 of 16,384 components": in_j2k(64, components=16384),
    "jpeg 2000 in a million tiles": in_j2k(8000, tile=8),
    "jpeg 2000 in 64 million tiles": in_j2k(8000, tile=1),
    "jpeg 2000 of 65,535 layers": in_j2k(8000, layers=65535),
    "jpeg 2000 in precincts of a pixel": in_j2k(8000, precinct=0x00),
    "jpeg 2000 in precincts of 4 pixels": in_j2k(8000, precinct=0x22),
    "jpeg 2000 in blocks of 4 pixels": in_j2k(8000, block=2),
    "jp2 boxes without a codestream": lambda: of_codestream(uid.JPEG2000, b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40)),
    "rle bomb": lambda: runs(64, 200_000),
    "rle bomb of 8000 pixels a side": lambda: runs(8000, 1_000_000),
    "rle of 15 segments": lambda: of_codestream(uid.RLELossless, struct.pack("<16L", 15, *range(64, 79)) + bytes(60)),
    "rle of segments far away": lambda: of_codestream(
        uid.RLELossless, struct.pack("<16L", 2, 64, HUGE, *[0] * 13) + bytes(9)
    ),
    "rle that is not": lambda: dicom().replace(b"\x001.2.840.10008.1.2.1\0", b"\x001.2.840.10008.1.2.5\0"),
    "no fragments": lambda: in_syntax(uid.JPEG2000, PixelData=b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"),
    "empty offset table alone": lambda: of_codestream(uid.JPEG2000, encapsulate([b"\xff\x4f"])),
}  # fmt: skip
"""Each made for a weakness of its own."""


def deflated_of(mebibytes: int, **elements: Any) -> bytes:
    """A deflated file whose pixels are so many MiB of zeros, for which no room is made here."""
    head, body = deflated(**elements), dicom(PixelData=b"\0\0", **elements)
    coder = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = 144 + int.from_bytes(body[140:144], "little")
    parts = [coder.compress(body[start:-6] + struct.pack("<I", mebibytes << 20))]
    parts += [coder.compress(bytes(1 << 20)) for _ in range(mebibytes)]
    return head[: 144 + int.from_bytes(head[140:144], "little")] + b"".join(parts) + coder.flush()


KINDS = ("png", "png16", "jpg", "progressive", "dicom", "lossless", "ls", "j2k", "rle")
FILES: dict[str, Maker] = {
    **OTHERS,
    **{f"{name} cut at {share}": cut(name, share) for name in KINDS for share in (0.1, 0.5, 0.9, 0.98)},
    **{f"{name} with other bytes, {seed}": flipped(name, seed) for name in KINDS for seed in range(6)},
    **{f"{name} with another head, {seed}": flipped(name, seed + 50, head=600) for name in KINDS for seed in range(6)},
    **{f"{name} with parts moved, {seed}": moved(name, seed) for name in KINDS for seed in range(3)},
}
