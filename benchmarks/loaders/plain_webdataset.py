"""Plain webdataset over the very tars that ours are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import timing
import torch
import webdataset
from folder import TRANSFORM


def read(data: Path, workers: int) -> Iterator[torch.Tensor]:
    """Yields one epoch, shuffled in a buffer."""
    shards = [str(shard) for shard in sorted(data.glob("train-*.tar"))]
    images = webdataset.WebDataset(shards, shardshuffle=len(shards), empty_check=False).shuffle(256).decode("pilrgb")
    batches = images.to_tuple("jpg").map_tuple(TRANSFORM).batched(timing.BATCH, partial=False)
    loader = webdataset.WebLoader(batches, batch_size=None, num_workers=workers)
    return (batch[0] for batch in loader)


if __name__ == "__main__":
    timing.run(None, read)
