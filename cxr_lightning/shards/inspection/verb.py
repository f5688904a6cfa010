"""`cxr inspect`: a folder of shards enters; a table, a page, and a list of all that is wrong leave.

Each tar is read once, by as many processes as wished; what only all tars together show (keys, patients, films that
stand twice) is looked at when the last one is read. Nothing that is found ends it early.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from cxr_lightning.parallel import in_order
from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.inspection.checks import CHECKS, Findings
from cxr_lightning.shards.inspection.crossing import Samples, cross, gathered
from cxr_lightning.shards.inspection.opening import Opened, open_set
from cxr_lightning.shards.inspection.output import Output
from cxr_lightning.shards.inspection.result import Looked, Result
from cxr_lightning.shards.inspection.sample import How
from cxr_lightning.shards.inspection.shard import Inspected, Job, Shown, inspect_shard
from cxr_lightning.shards.inspection.tally import Tally
from cxr_lightning.shards.inspection.telling import listed, tell
from cxr_lightning.shards.telling import course
from cxr_lightning.site import shown
from cxr_lightning.study import SPLITS


class WrongShardsError(ValueError):
    """An inspection found errors; the message lists them."""


class NotInspectedError(ValueError):
    """Nothing was inspected, so that nothing is known of the shards; the message says why, and what helps.

    Attributes:
        exit_status: By which machines tell it from shards that are wrong.
    """

    exit_status = 3


def inspect(
    shards: str,
    *,
    out: Path | None = None,
    page: bool = True,
    films: int = 24,
    texts: bool = False,
    decode: bool = True,
    sample: int | None = None,
    warn: str = "",
    strict: bool = False,
    json: str | None = None,
    workers: int | None = None,
) -> None:
    """Look for all that is wrong with shards, and show what they hold.

    Args:
        shards: The folder that holds index.json, by path or URL.
        out: Folder for the page. If not given, SHARDS.inspection beside the folder; a remote one has no page then.
        page: Write the page.
        films: Films on the page's contact sheet, drawn by the hash of their keys.
        texts: Show the films' summaries on the page too; else it holds no word of a report.
        decode: Decode every image; without it films that stand twice or cannot be decoded are not found.
        sample: Look at so many samples alone, drawn by the hash of their keys: quick, but blind to the rest of it.
        warn: Checks whose errors are told and do not fail, with commas between: duplicates,identifiers.
        strict: Fail for warnings too.
        json: Write the result for machines to this file; - is standard output.
        workers: Processes, each reading a shard; as many as there are cores and shards if not given.
    """
    console = Console(stderr=True)
    start, findings = time.monotonic(), Findings()
    output = Output(_folder(shards, out) if page else None, json, texts)
    try:
        lenient = _lenient(warn)
        if films < 0 or (sample is not None and sample < 1):
            raise ValueError("--films must be 0 or more, and --sample 1 or more")
        opened = open_set(shards, findings)
        jobs = _jobs(opened, How(opened.members, opened.size, decode), films if output.folder else 0, texts, sample)
        processes = _workers(workers, len(jobs))
        output.prepare()
        done = _all(jobs, processes, console)
    except (ValueError, OSError) as error:
        raise NotInspectedError(str(error)) from error
    tally, samples = _put_together(opened, findings, done)
    far = _how_far(opened, tally, samples, done)
    looked = Looked(**far, seconds=time.monotonic() - start, decoded=decode, sampled=sample is not None)
    result = Result(opened, findings, tally, looked, lenient, strict)
    tell(result, console)
    if page and output.folder is None:
        console.print("No page was written, for SHARDS is remote; say where it goes: --out DIR")
    try:
        output.write(result, _drawn(done, films), console)
    except OSError as error:  # the disk filled up: what is wrong with the shards is told all the same
        if result.good:
            raise NotInspectedError(f"nothing is wrong with the shards, but: {error}") from error
        console.print(f"not written: {error}", markup=False, soft_wrap=True)
    if not result.good:
        raise WrongShardsError(listed(result))


def _lenient(words: str) -> frozenset[str]:
    names = frozenset(filter(None, (word.strip() for word in words.split(","))))
    if unknown := sorted(names - CHECKS.keys()):
        raise ValueError(f"--warn {unknown[0]}: no such check; there is {', '.join(CHECKS)}")
    return names


def _folder(shards: str, out: Path | None) -> Path | None:
    if out is not None:
        return out
    if storage.is_remote(shards):
        return None
    path = storage.local_path(shards).resolve()
    return path.with_name(f"{path.name}.inspection")


def _workers(wanted: int | None, tars: int) -> int:
    if wanted is not None and wanted < 1:
        raise ValueError(f"--workers {wanted}: must be at least 1")
    return max(1, min(tars, len(os.sched_getaffinity(0)) if wanted is None else wanted))


def _jobs(opened: Opened, how: How, films: int, texts: bool, sample: int | None) -> list[Job]:
    if sample is None:
        return [Job(tar, how, films, texts) for tar in opened.tars]
    if any(tar.rows is None for tar in opened.tars):
        raise ShardError(f"{shown(opened.root)}: --sample needs an index whose rows can be read; leave it away")
    chosen = _chosen([tar.rows["key"] for tar in opened.tars if tar.rows is not None], sample)
    return [Job(tar, how, films, texts, mine) for tar, mine in zip(opened.tars, chosen, strict=True)]


def _chosen(keys: Sequence[NDArray[np.bytes_]], number: int) -> list[NDArray[np.int64]]:
    """Choose the samples whose keys have the lowest hashes: the same ones each time."""
    digests = [[hashlib.blake2b(key, digest_size=8).digest() for key in each.tolist()] for each in keys]
    every = sorted(digest for each in digests for digest in each)
    bound = every[min(number, len(every)) - 1] if every else b""
    return [np.array([n for n, digest in enumerate(each) if digest <= bound], dtype=np.int64) for each in digests]


def _all(jobs: Sequence[Job], workers: int, console: Console) -> list[Inspected]:
    done: list[Inspected] = []
    with course(console, "inspecting", sum(_weight(job) for job in jobs), "bytes") as progress:
        for job, each in zip(jobs, in_order(inspect_shard, jobs, workers), strict=True):
            done.append(each)
            progress.advance(_weight(job))
    return done


def _weight(job: Job) -> int:
    if job.chosen is not None and job.tar.rows is not None:
        return int(job.tar.rows["size"][job.chosen].sum(dtype=np.int64))
    return job.tar.bytes or 1


def _put_together(opened: Opened, findings: Findings, done: Sequence[Inspected]) -> tuple[Tally, Samples | None]:
    """Add up what all shards came to, and look at what only all of them show.

    Returns:
        What samples hold, and all of them side by side; None where there is none.
    """
    tally = Tally()
    for each in done:
        findings.extend(each.findings)
        tally.extend(each.tally)
    samples: Samples | None = gathered(done) if done else None
    if samples is None or not len(samples.keys):
        return tally, None
    cross(samples, findings, packed=opened.members is None)
    return tally, samples


def _how_far(opened: Opened, tally: Tally, samples: Samples | None, done: Sequence[Inspected]) -> dict[str, Any]:
    record = opened.record
    return {
        "samples": 0 if samples is None else len(samples.keys),
        "listed": None if record is None else sum(record["splits"][name]["samples"] for name in SPLITS),
        "bytes": sum(each.bytes for each in done),
        "patients": 0 if samples is None else len(np.unique(samples.patients)),
        "packed": opened.members is None,
        "rows": any(tar.rows is not None for tar in opened.tars),
        "films": sum(tally.sizes.values()),
        "looks": samples is not None and bool(samples.looks.any()),
    }


def _drawn(done: Sequence[Inspected], films: int) -> list[Shown]:
    return sorted((each for one in done for each in one.shown), key=lambda each: each.order)[:films]
