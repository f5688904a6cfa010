"""A stored image enters, sixteen bytes leave that only the same pixels have: how a film that stands twice is found.

Taken of the gray levels that a reader of the shard decodes, not of the encoded bytes: the same PNG compressed harder or
a JPEG with other metadata is the same film still. So packing, which has just encoded an image, and inspection, which
has just decoded one, come to the same digest. Films that only look alike are for `looks.py`.
"""

from __future__ import annotations

import hashlib

import numpy as np

from cxr_lightning.shards.images import Gray, load_gray


def pixels_digest(image: bytes | Gray) -> bytes:
    """Take the digest of an image's pixels.

    Args:
        image: A JPEG or PNG out of a shard, or what `load_gray` makes of it. A PNG has the digest of the gray levels
            it was encoded from, so these serve where they are at hand; a JPEG has not, for it changes them.

    Returns:
        16 bytes of BLAKE2b over height, width and gray levels.

    Raises:
        ImageError: The bytes cannot be decoded.
    """
    gray = load_gray(image) if isinstance(image, bytes) else image
    height, width = gray.shape
    digest = hashlib.blake2b(f"{height} {width}\n".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(gray).data)
    return digest.digest()
