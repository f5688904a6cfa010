"""No loader at all: bytes that are in memory, decoded by libjpeg-turbo and resized, one channel; and ours by stage."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timing
import torch
from transformers import CLIPImageProcessor

from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.pixels import Pixels
from cxr_lightning.stream.reader import ShardReader


def clock(work: Callable[[], Any], images: int) -> tuple[float, Any]:
    """Returns milliseconds an image, and what the work made."""
    begun = time.perf_counter()
    made = work()
    return (time.perf_counter() - begun) * 1e3 / images, made


def bare(files: list[bytes]) -> torch.Tensor:
    """Decodes and resizes."""
    import simplejpeg

    views = [torch.from_numpy(simplejpeg.decode_jpeg(file, "GRAY"))[None, None, ..., 0] for file in files]
    side = (timing.SIDE, timing.SIDE)
    return torch.cat([torch.nn.functional.interpolate(view, side, mode="bicubic", antialias=True) for view in views])


def stages(data: Path) -> dict[str, float]:
    """Returns milliseconds an image by stage, exact and scaled, and of the bare work."""
    reader = ShardReader(read_index(data).split("train"))
    count = min(len(reader), 256)
    spent: dict[str, float] = {}
    numbers = range(count)
    spent["read"], samples = clock(lambda: [reader[number] for number in numbers], count)
    files = [next(iter(sample.images.values())) for sample in samples]
    groups = [slice(first, first + timing.BATCH) for first in range(0, count, timing.BATCH)]
    for kind in ("exact", "scaled"):
        pixels = Pixels(CLIPImageProcessor(), kind)
        spent[f"decode {kind}"], views = clock(lambda pixels=pixels: [pixels.decode(file) for file in files], count)
        resize = lambda pixels=pixels, views=views: [pixels.resize(views[group]) for group in groups]  # noqa: E731
        spent[f"resize {kind}"], small = clock(resize, count)
        for _ in range(2):  # the first pass also asks the system for memory
            for_all = lambda pixels=pixels, small=small: [len(pixels.normalise(each)) for each in small]  # noqa: E731
            spent["normalise"], _ = clock(for_all, count)
    spent["turbo decode + resize alone"], _ = clock(lambda: [bare(files[group]) for group in groups], count)
    return spent


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(stages(Path(sys.argv[2]))))
