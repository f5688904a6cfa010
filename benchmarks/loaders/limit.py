"""No loader at all: bytes that are in memory, decoded by libjpeg-turbo and resized, one channel; and ours by stage."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timing
import torch
from transformers import CLIPImageProcessor

from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.pixels import Pixels
from cxr_lightning.stream.reader import ShardReader


def bare(files: list[bytes]) -> torch.Tensor:
    """Decodes at full size and resizes, four images at a time."""
    import simplejpeg

    views = [torch.from_numpy(simplejpeg.decode_jpeg(file, "GRAY"))[..., 0] for file in files]
    side = (timing.SIDE, timing.SIDE)
    fours = [torch.stack(views[first : first + 4])[None] for first in range(0, len(views), 4)]
    return torch.cat([torch.nn.functional.interpolate(four, side, mode="bicubic", antialias=True)[0] for four in fours])


def stages(data: Path) -> dict[str, float]:
    """Returns milliseconds an image by stage, exact and scaled, and of the bare work; batch by batch, as it is read."""
    reader = ShardReader(read_index(data).split("train"))
    spent: defaultdict[str, float] = defaultdict(float)

    def clock(stage: str, work: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        made = work()
        spent[stage] += (time.perf_counter() - begun) * 1e3
        return made

    both = {kind: Pixels(CLIPImageProcessor(), kind) for kind in ("exact", "scaled")}
    count = min(len(reader), 256) // timing.BATCH * timing.BATCH
    for first in range(0, count, timing.BATCH):
        if first == timing.BATCH:
            spent.clear()  # the first batch asks the system for memory and loads code
        numbers = range(first, first + timing.BATCH)
        samples = clock("read", lambda numbers=numbers: [reader[number] for number in numbers])
        files = [next(iter(sample.images.values())) for sample in samples]
        for kind, pixels in both.items():
            views = clock(f"decode {kind}", lambda pixels=pixels, files=files: [pixels.decode(file) for file in files])
            small = clock(f"resize {kind}", lambda pixels=pixels, views=views: pixels.resize(views))
            clock(f"normalise {kind}", lambda pixels=pixels, small=small: pixels.normalise(small))
        clock("turbo decode + resize alone", lambda files=files: bare(files))
    return {stage: milliseconds / (count - timing.BATCH) for stage, milliseconds in spent.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(stages(Path(sys.argv[2]))))
