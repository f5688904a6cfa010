"""A shard's tar headers: those of any tar, and what is wrong with them told as of a shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cxr_lightning import tar
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.tar import BLOCK, Entry, padded

__all__ = ["BLOCK", "Entry", "entries", "padded"]


def entries(read: Callable[[int, int], bytes], length: int) -> Iterator[Entry]:
    """List the members of a tar or of a stretch of one.

    Args:
        read: Gives the bytes from an offset on, by offset and size; the offsets only grow.
        length: Bytes that there are.

    Yields:
        The members up to the archive's end mark, or to the end of the bytes.

    Raises:
        ShardError: The bytes are no tar, or end inside a member.
    """
    try:
        yield from tar.entries(read, length)
    except tar.TarError as error:
        raise ShardError(str(error)) from None
