"""What an image looks like, in 256 bits: the same picture keeps them when it is stored again, smaller or otherwise.

A perceptual hash (Zauner 2010): the signs of the 255 slowest waves of the image's cosine transform, against their
median, once plain borders are cut off and gray levels are replaced by their ranks, so that neither padding nor another
window is another film. A film can be known again, mirrored and inverted too; no film can be made of a look.
`docs/evaluation.md` has what was measured: which changes it survives, and how far apart different films are.
"""

# Shapes: N and M images.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_lightning.shards.images import Gray, opened

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


def look_of(image: bytes | Gray) -> Look:
    """Looks at an image; half a millisecond at 512 px, beside decoding it.

    Args:
        image: A PNG or JPEG; or the gray levels that a PNG holds, where they are at hand.

    Returns:
        Its look; `NOTHING` where it cannot be decoded, which is for others to tell.
    """
    if not isinstance(image, bytes):
        return _look_of(Image.fromarray(image))
    try:
        with opened(image) as file:
            file.draft("L", (4 * _SIDE, 4 * _SIDE))  # smaller, its decoder would leave out what a resizer averages
            return _look_of(file.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return NOTHING


def _look_of(image: Image.Image) -> Look:
    waves = (_COSINES @ _ranks(_without_border(image)) @ _COSINES.T).ravel()[1:]  # the first, the mean, says nothing
    one, two, three, four = _word(waves > np.partition(waves, len(waves) // 2)[len(waves) // 2]).tolist()
    return one, two, three, four


def _without_border(image: Image.Image) -> Gray:
    """Cuts plain borders off and shrinks what is left, as (64, 64)."""
    width = min(4 * _SIDE, image.width)
    small = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.BOX)
    gray = np.asarray(small)
    rows, columns = (np.flatnonzero(_varied(gray, axis)) for axis in (1, 0))
    if len(rows) and len(columns):
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        if box[2] - box[0] >= _LEAST * small.width and box[3] - box[1] >= _LEAST * small.height:
            small = small.crop(box)
    return np.asarray(small.resize((_SIDE, _SIDE), Image.Resampling.BOX))


def _varied(gray: Gray, axis: int) -> NDArray[np.bool_]:
    """Tells which rows or columns are no border: n times the sum of squares less the sum squared, in whole numbers."""
    n = gray.shape[axis]
    sums = gray.sum(axis=axis, dtype=np.int64)
    squares = np.square(gray, dtype=np.uint16).sum(axis=axis, dtype=np.int64)
    return np.asarray(n * squares - sums * sums > (_PLAIN * n) ** 2)


def _ranks(gray: Gray) -> NDArray[np.float64]:
    """Replaces each gray level by the mean rank of its pixels."""
    counts = np.bincount(gray.ravel(), minlength=256)
    return np.asarray((np.cumsum(counts) - (counts + 1) / 2)[gray])


def turned(looks: Looks) -> tuple[Looks, Looks, Looks]:
    """Gives the looks of images as they are, inverted, and mirrored.

    Args:
        looks: (N, 4).
    """
    return looks, looks ^ _INVERTED, looks ^ _MIRRORED


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
        for way in turned(part):
            words = (np.bitwise_count(way[:, None, word] ^ there[None, :, word]) for word in range(4))
            apart = sum(each.astype(np.uint16) for each in words)
            found[start : start + rows] |= (np.asarray(apart) <= within).any(axis=1)
    return found & looks.any(axis=1)
