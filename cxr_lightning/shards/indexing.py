"""`cxr index`: tars enter, wherever they lie and whoever wrote them; the index that training needs leaves.

The tars stay as they are and where they are. Each is read once, from end to end, for the index holds a checksum of
every sample. What cannot be used is left out, counted and listed; nothing is left out in silence.
"""

from __future__ import annotations

import functools
import json
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cxr_lightning.parallel import in_order
from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import INDEX_NAME, Format, ImageRecord, IndexRecord, MembersRecord, ShardError
from cxr_lightning.shards.gathering import Wish, gather
from cxr_lightning.shards.identity import DEFAULT_KEY
from cxr_lightning.shards.index import write_index
from cxr_lightning.shards.places import tars_of
from cxr_lightning.shards.scanning import How, Scanned, looks_packed, scan
from cxr_lightning.shards.splits import Fractions
from cxr_lightning.study import SPLITS

IMAGES = ("jpg", "jpeg", "png")
TEXT = "txt"
NO_IMAGE = "none"
UNUSED_NAME = f"{INDEX_NAME}.unused.jsonl"
_MOST_TOLD = 10
_AT_ONCE = 16


def index(
    *tars: str,
    out: Path | None = None,
    image: str | None = None,
    text: str | None = None,
    patient: str | None = None,
    split: Wish = "auto",
    fractions: Fractions = Fractions(),  # noqa: B008  (frozen)
    patient_key: str = DEFAULT_KEY,
    workers: int | None = None,
) -> None:
    """Make the index of tars that are there, so that they can be trained on.

    Args:
        tars: Paths, folders, globs, brace ranges ('train-{000..012}.tar') or URLs (s3://, https://) of tars.
        out: Folder for the index. If not given, the folder of the tars, where they lie in one on this machine.
        image: Suffix of the member with the image; jpg, jpeg or png, whichever is there, if not given. none: read
            the text alone.
        text: Member with the text (txt), or field of a JSON member (json.caption). If not given, tars of `cxr pack` are
            known by their own JSON, and others have it in txt.
        patient: Member or JSON field that names the patient (json.patient_id); it is hashed. Without it each sample
            counts as a patient of its own.
        split: auto: as `cxr pack` wrote it, else what a tar's file name says (train, val, test), else by the patient's
            hash. train, validate, test: all samples. hash: by the patient's hash.
        fractions: Shares of patients where hashes decide.
        patient_key: Key of the patients' hashes; give a secret one for patients of yours.
        workers: Processes, each reading a tar; as many as there are cores and tars if not given.
    """
    console = Console(stderr=True)
    locations = tars_of(tars)
    folder = _folder(out, locations)
    how = _how(locations[0], image, text, patient, patient_key)
    sizes = _sizes(locations)
    scanned = _scan_all(locations, sizes, how, _workers(workers, len(locations)), console)
    _require_some(scanned, how)
    gathered = gather(scanned, folder, split=split, fractions=fractions, packed=how.members is None, secret=patient_key)
    size = max(each.longest for each in scanned)
    record = write_index(folder, gathered.shards, ImageRecord(size=size, format=_format(scanned)), how.members)
    _list_unused(folder, scanned)
    _tell(console, folder, record, scanned)
    if how.members is not None:
        _tell_choices(console, record, how, gathered.decided)


def _folder(out: Path | None, locations: Sequence[str]) -> Path:
    if out is not None:
        if storage.is_remote(out):
            raise ValueError(f"--out {out}: give a folder on this machine; the index may be copied beside the tars")
        return out.resolve()
    parents = {None if storage.is_remote(tar) else Path(tar).parent for tar in locations}
    parent = parents.pop()
    if parents or parent is None:
        raise ValueError("the tars do not lie in one folder on this machine; say where the index goes: --out DIR")
    return parent


def _how(first: str, image: str | None, text: str | None, patient: str | None, secret: str) -> How:
    if (image, text, patient) == (None, None, None) and looks_packed(first):
        return How(None, None, secret)
    images = list(IMAGES) if image is None else [] if image == NO_IMAGE else [image.lower().removeprefix(".")]
    return How(MembersRecord(image=images, text=TEXT if text is None else text), patient, secret)


def _sizes(locations: Sequence[str]) -> list[int]:
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(storage.size_of, locations))


def _workers(wanted: int | None, tars: int) -> int:
    if wanted is not None and wanted < 1:
        raise ValueError(f"--workers {wanted}: must be at least 1")
    return min(tars, len(os.sched_getaffinity(0)) if wanted is None else wanted)


def _scan_all(
    locations: Sequence[str], sizes: Sequence[int], how: How, workers: int, console: Console
) -> list[Scanned]:
    scanned: list[Scanned] = []
    wrong: list[str] = []
    columns = (TextColumn("indexing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("indexing", total=sum(sizes))
        results = in_order(functools.partial(scan, how=how), locations, workers)
        for size, result in zip(sizes, results, strict=True):
            progress.advance(task, size)
            if isinstance(result, str):
                wrong.append(result)
            else:
                scanned.append(result)
    if wrong:
        more = f"\n  and {len(wrong) - _MOST_TOLD} more" if len(wrong) > _MOST_TOLD else ""
        told = "".join(f"\n  {each}" for each in wrong[:_MOST_TOLD])
        raise ShardError(
            f"{len(wrong)} of {len(locations)} tars cannot be read; no index was written. Mend them, or leave them "
            f"out:{told}{more}"
        )
    return scanned


def _require_some(scanned: Sequence[Scanned], how: How) -> None:
    if any(len(each.rows) for each in scanned):
        return
    unused = [each for tar in scanned for each in tar.unused]
    kinds = Counter(each.kind for each in unused)
    told = "".join(
        f"\n  {kind} ({count}), first: {next(each.reason for each in unused if each.kind == kind)}"
        for kind, count in kinds.most_common(_MOST_TOLD)
    )
    suffixes = sum((tar.suffixes for tar in scanned), Counter[str]())
    there = ", ".join(f"{suffix} ({count})" for suffix, count in suffixes.most_common(_MOST_TOLD))
    raise ShardError(
        f"no sample can be used; no index was written. The tars hold members {there or 'of no sample'}. Say which "
        f"holds image and text: --image jpg --text json.caption{told}"
    )


def _format(scanned: Sequence[Scanned]) -> Format:
    formats = sum((each.formats for each in scanned), Counter[str]())
    return "png" if formats["png"] > formats["jpg"] else "jpg"


def _list_unused(folder: Path, scanned: Sequence[Scanned]) -> None:
    path = folder / UNUSED_NAME
    if not any(tar.unused for tar in scanned):
        path.unlink(missing_ok=True)
        return
    partial = folder / f"{UNUSED_NAME}.partial"
    with partial.open("w", encoding="utf-8") as file:
        for tar in scanned:
            for each in tar.unused:
                line = {"tar": tar.location, "name": each.name, "kind": each.kind, "reason": each.reason}
                file.write(json.dumps(line) + "\n")
    partial.replace(path)


def _tell(console: Console, folder: Path, record: IndexRecord, scanned: Sequence[Scanned]) -> None:
    title = f"{escape(str(folder))}  fingerprint {record['fingerprint'][:12]}"
    table = Table("split", "samples", "patients", "tars", title=title)
    for split in SPLITS:
        counts = record["splits"][split]
        tars = sum(split in shard["samples"] for shard in record["shards"])
        table.add_row(split, str(counts["samples"]), str(counts["patients"]), str(tars))
    console.print(table)
    unused = [(tar.location, each) for tar in scanned for each in tar.unused]
    if not unused:
        return
    left = Table("left out", "number", "first", "reason", title=f"all of them: {escape(str(folder / UNUSED_NAME))}")
    for kind, count in Counter(each.kind for _, each in unused).most_common():
        location, first = next(pair for pair in unused if pair[1].kind == kind)
        where = f"{location.rpartition('/')[2]}: {first.name}" if first.name else location.rpartition("/")[2]
        left.add_row(kind, str(count), escape(where), escape(first.reason))
    console.print(left)


def _tell_choices(console: Console, record: IndexRecord, how: How, decided: Counter[str]) -> None:
    if how.patient is None:
        console.print(
            "No --patient was given: each sample counts as a patient of its own. Where a patient has several, they may "
            "be in different splits, and what is learned from is tested on."
        )
    by = ", ".join(f"{count} by {reason}" for reason, count in decided.most_common())
    console.print(f"Splits: {by}.")
