"""Shards as one node sees them: the index opens, and samples drawn from anywhere are what it lists."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from cxr_lightning.cluster.preflight.finding import Finding
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.site import shown
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


@contextmanager
def warnings_of() -> Iterator[list[str]]:
    """Collects what this thread warns of meanwhile: on a rank that does not speak, nobody would see it."""
    told: list[str] = []
    handler, thread, logger = (
        logging.Handler(logging.WARNING),
        threading.get_ident(),
        logging.getLogger("cxr_lightning"),
    )
    handler.emit = lambda record: told.append(record.getMessage()) if record.thread == thread else None  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)


def look(data: ShardDataModule, samples: int, seed: int, warned: Sequence[str] = ()) -> Finding:
    """Reads samples of training and validation.

    Args:
        data: The opened data.
        samples: How many.
        seed: Another one on each node, so that nodes together see more.
        warned: What was warned of while it was opened.
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
        where = shown(data.sets.sets[0].path)
        why = f"{len(wrong)} of {len(times)} samples of {where} cannot be used, the first: {wrong[0]}"
        return Finding(CHECK, f"{len(wrong)} of {len(times)} bad", "failed", why, _REMEDY, figures)
    told = f"{figures['samples']:,} samples, {shards} shards; {len(times)} read, {median:.1f} ms each"
    finding = Finding(CHECK, told, figures=figures, value=-median)
    if warned:
        more = f" (and {len(warned) - 1} more)" if len(warned) > 1 else ""
        return finding.but("warning", f"{warned[0]}{more}", "copy the shards again, unless that is meant")
    return finding
