"""Samples that cannot be trained on: what is known of each, how many a split may have, and short reasons for them.

A bad sample is left out of its batch and told of. The loss is a mean over supervised tokens: the rest counts as ever.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from PIL import Image

from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.splitindex import ChecksumError
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.stream.encode import AnswerLostError
from cxr_lightning.stream.features import FeatureRecordError
from cxr_lightning.study import Split

UNREADABLE = (ShardError, StorageError, OSError)
"""What reading a bad sample raises."""
UNUSABLE = (
    *UNREADABLE, ValueError, LookupError, TypeError, AttributeError, SyntaxError, ArithmeticError, EOFError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What decoding and encoding a bad sample raises: image libraries keep to no one class (Pillow's PNG: SyntaxError)."""


class Skipped(NamedTuple):
    """A sample left out of a batch. A named tuple, which Lightning can carry to a device.

    Attributes:
        split: The split.
        number: The sample's number there.
        key: Its key, hashed where it is not ours.
        shard: Path or URL of its shard.
        reason: Why, in a few words and none of a report.
    """

    split: Split
    number: int
    key: str
    shard: str
    reason: str


def reason(error: Exception) -> str:
    """Returns why a sample was skipped; a fixed text, since messages of libraries may quote data."""
    name = type(error).__name__
    if isinstance(error, StorageError):
        return "shard missing" if error.missing else "shard cannot be read"
    for kind, text in _REASONS.items():
        if isinstance(error, kind):
            return text
    if isinstance(error, (LookupError, TypeError, AttributeError)):
        return f"record is malformed ({name})"
    return f"image cannot be decoded ({name})"


_REASONS: dict[type[Exception], str] = {
    ChecksumError: "checksum differs from the index",
    AnswerLostError: "prompt and image alone fill --data.max_tokens",
    FeatureRecordError: "its features are damaged or blank",
    ShardError: "no sample of the contract",
    FileNotFoundError: "shard missing",
}


def allowed(samples: int, share: float) -> int:
    """Returns how many bad samples a split may have.

    Args:
        samples: Samples of the split.
        share: Share of them; 0 allows none. Otherwise one is allowed however small the split is, for one damaged file
            is no reason to stop, but never all.
    """
    return max(0, min(max(1, int(samples * share)), samples - 1)) if share > 0 else 0
