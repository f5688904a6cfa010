"""Shards as one node sees them: the index opens, and samples drawn from anywhere are what it lists."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from cxr_lightning.cluster.preflight.finding import Finding
from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.stream.datamodule import ShardDataModule
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.sets import ShardSet

CHECK = "shards"
_ENOUGH = 5.0
"""Seconds of reading after which fewer samples will do."""
_REMEDY = "see that the disk is mounted on this node; else copy the shards again"


def open_data(given: Mapping[str, Any]) -> ShardDataModule:
    """Opens the data as a fit does, with all that it refuses.

    Args:
        given: The configuration's `data`, as plain values.
    """
    shards = given["shards"]
    if isinstance(shards, list):
        shards = [ShardSet(**each) if isinstance(each, Mapping) else each for each in shards]
    return ShardDataModule(**{**given, "shards": shards})


def look(data: ShardDataModule, samples: int, seed: int) -> Finding:
    """Reads samples of training and validation.

    Args:
        data: The opened data.
        samples: How many.
        seed: Another one on each node, so that nodes together see more.
    """
    drawn, times, wrong = random.Random(seed), [], []
    splits = [ShardReader(data.sets.samples("train"))]
    if data.validates:
        splits.append(ShardReader(data.sets.samples(data.validate_split)))
    end = time.monotonic() + _ENOUGH
    for number in range(samples):
        reader = splits[number % len(splits)]
        chosen, begin = drawn.randrange(len(reader)), time.monotonic()
        try:
            reader[chosen]
        except (StorageError, ShardError, OSError) as error:
            wrong.append(str(error).partition(" Remedy: ")[0])
        times.append(time.monotonic() - begin)
        if time.monotonic() > end:
            break
    shards = sum(len(index.shards) for index in data.sets.indexes)
    median = 1000 * sorted(times)[len(times) // 2]
    figures = {
        "fingerprint": data.sets.fingerprint,
        "samples": sum(len(reader) for reader in splits),
        "shards": shards,
        "read": len(times),
        "milliseconds": round(median, 2),
    }
    if wrong:
        where = storage.shown(data.sets.sets[0].path)
        why = f"{len(wrong)} of {len(times)} samples of {where} cannot be used, the first: {wrong[0]}"
        return Finding(CHECK, f"{len(wrong)} of {len(times)} bad", "failed", why, _REMEDY, figures)
    told = f"{figures['samples']:,} samples, {shards} shards; {len(times)} read, {median:.1f} ms each"
    return Finding(CHECK, told, figures=figures, value=-median)
