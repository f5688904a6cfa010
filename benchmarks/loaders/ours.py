"""What `cxr fit` reads with: shards by number, one channel, four images a resize, threads ahead, floats at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import timing
import torch
from transformers import CLIPImageProcessor

from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.ahead import Ahead
from cxr_lightning.stream.order import Batches, Order
from cxr_lightning.stream.pixels import Decode, Pixels
from cxr_lightning.stream.reader import ShardReader


def read(data: Path, workers: int, decode: Decode) -> Iterator[torch.Tensor]:
    """Yields one epoch."""
    split = read_index(data).split("train")
    reader, pixels = ShardReader(split), Pixels(CLIPImageProcessor(), decode)
    order = Batches(Order(split.shard_lengths, 0), timing.BATCH)

    def make(step: int) -> torch.Tensor:
        samples = (reader[int(number)] for number in order.batch(step))
        return pixels.resize([pixels.decode(next(iter(sample.images.values()))) for sample in samples])

    return map(pixels.normalise, Ahead(make, range(order.steps(1)), workers, 2))


if __name__ == "__main__":
    scaled = "--scaled" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--scaled"]
    timing.run(None, partial(read, decode="scaled" if scaled else "exact"))
