"""What an image looks like, in 256 bits: the same picture keeps them when it is stored again, smaller or otherwise.

A perceptual hash (Zauner 2010): the signs of the 255 slowest waves of the image's cosine transform, against their
median, once plain borders are cut off and gray levels are replaced by their ranks, so that neither padding nor another
window is another film. A film can be known again, mirrored and inverted too; no film can be made of a look.
`docs/evaluation.md` has what was measured: which changes it survives, and how far apart different films are.
"""

# Shapes: N and M images.

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Look = tuple[int, int, int, int]
"""Four times 64 bits."""
Looks = NDArray[np.uint64]
"""(N, 4)."""

NOTHING: Look = (0, 0, 0, 0)
"""Of what has no image, or one that cannot be decoded. No image looks so, for half of its bits are ones."""

SAME = 16
"""Bits in which the looks of one film may differ; 8,000 drawn films differ in 20 or more, 235 real ones in 68."""

_SIDE, _WAVES = 64, 16
_COSINES = np.cos(np.pi * np.outer(np.arange(_WAVES), 2 * np.arange(_SIDE) + 1) / (2 * _SIDE))
_PLAIN = 6.0
"""Standard deviation of gray levels below which a row or column at the edge is border."""
_LEAST = 0.4
"""Of a side, what has to be left of it; a film in a corner of nothing is looked at as it is."""
_BLOCK = 1 << 22
"""Pairs compared at once: 128 MiB."""


def _word(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    return np.packbits(np.append(bits, False)).view(">u8").astype(np.uint64)


# Inverting gray levels turns every wave over; mirroring those that run an odd number of half waves across.
_INVERTED = _word(np.ones(_WAVES**2 - 1, dtype=np.bool_))
_MIRRORED = _word((np.arange(1, _WAVES**2) % _WAVES) % 2 == 1)


def look_of(data: bytes) -> Look:
    """Looks at an image; about a millisecond at 512 px.

    Args:
        data: A PNG or JPEG.

    Returns:
        Its look; `NOTHING` where it cannot be decoded, which is for others to tell.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            image.draft("L", (4 * _SIDE, 4 * _SIDE))  # smaller, its decoder would leave out what a resizer averages
            gray = _without_border(image.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return NOTHING
    waves = (_COSINES @ _ranks(gray) @ _COSINES.T).ravel()[1:]  # the first is the mean, which says nothing
    one, two, three, four = _word(waves > np.median(waves)).tolist()
    return one, two, three, four


def _without_border(image: Image.Image) -> NDArray[np.float64]:
    """Cuts plain borders off and shrinks what is left, as (64, 64)."""
    width = min(4 * _SIDE, image.width)
    small = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.BOX)
    gray = np.asarray(small, dtype=np.float32)
    rows, columns = (np.flatnonzero(gray.std(axis=axis) > _PLAIN) for axis in (1, 0))
    if len(rows) and len(columns):
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        if box[2] - box[0] >= _LEAST * small.width and box[3] - box[1] >= _LEAST * small.height:
            small = small.crop(box)
    return np.asarray(small.resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float64)


def _ranks(gray: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replaces each gray level by the mean rank of its pixels."""
    _, levels, counts = np.unique(gray, return_inverse=True, return_counts=True)
    after = np.cumsum(counts)
    return np.asarray((after - (counts + 1) / 2)[levels.ravel()].reshape(gray.shape))


def known_again(looks: Looks, among: Looks, within: int = SAME) -> NDArray[np.bool_]:
    """Tells which images are among others.

    Args:
        looks: Of the images, (N, 4).
        among: Of the others, (M, 4).
        within: In how many bits two looks of one film may differ.

    Returns:
        (N); false for what has no look.
    """
    found = np.zeros(len(looks), dtype=np.bool_)
    there = among[among.any(axis=1)]
    if not len(there):
        return found
    rows = max(1, _BLOCK // len(there))
    for start in range(0, len(looks), rows):
        part = looks[start : start + rows]
        for turned in (part, part ^ _INVERTED, part ^ _MIRRORED):
            words = (np.bitwise_count(turned[:, None, word] ^ there[None, :, word]) for word in range(4))
            apart = sum(each.astype(np.uint16) for each in words)
            found[start : start + rows] |= (np.asarray(apart) <= within).any(axis=1)
    return found & looks.any(axis=1)
