"""`cxr evaluate reading`: one file in which radiologists read reports without knowing who wrote them.

Enters folders that `cxr evaluate` wrote; leaves a page that asks nothing of the network, and beside it the key that
says which report is whose. What readers save is read back by `cxr evaluate experts`.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cxr_lightning.evaluation.experts.blinding import SCHEMA, Blinded, Plan, blind
from cxr_lightning.evaluation.experts.material import (
    RADIOLOGIST,
    ReadingError,
    Study,
    System,
    choose_studies,
    open_shards,
    places,
    read_study,
    read_systems,
)
from cxr_lightning.evaluation.experts.sheet import write_json, write_reading
from cxr_lightning.shards.index import ShardIndex

_SMALL = 512
"""Films smaller than this, on their longest side, hide small findings from any reader."""


def reading(
    *folders: str,
    out: Path,
    shards: str | None = None,
    studies: int = 50,
    size: int = 1024,
    truth: bool = True,
    readers: int = 2,
    overlap: int | None = None,
    repeats: int = 3,
    seed: int | None = None,
) -> None:
    """Make one page on which radiologists judge reports without knowing who wrote them.

    Args:
        *folders: Folders that `cxr evaluate` wrote on the same shards, one a system.
        out: The page to write, reading.html. Beside it stands the key, reading.key.json, which readers must not see.
        shards: The shards, if they are not where the evaluation found them.
        studies: At most so many studies, the same ones every time.
        size: Longest side of a film in pixels; none is enlarged.
        truth: Hide the radiologist's report among the systems.
        readers: How many readers there will be.
        overlap: Studies that all of them read, the others are dealt out; all if not given.
        repeats: Studies that each reader is shown twice, unannounced.
        seed: Seed of the shuffle; a secret is drawn if not given. Who knows the seed knows the order.
    """
    for name, value, least in (("studies", studies, 1), ("size", size, 64), ("readers", readers, 1)):
        if value < least:
            raise ValueError(f"--{name} {value}: must be {least} or more.")
    for name, value in (("overlap", overlap or 0), ("repeats", repeats)):
        if value < 0:
            raise ValueError(f"--{name} {value}: must not be negative.")
    key_file = _key_of(out)
    systems = read_systems([Path(folder) for folder in folders])
    keys = choose_studies(systems, studies)
    index = open_shards(systems, shards)
    read = _read(index, systems, keys, truth=truth, size=size)
    secret = secrets.randbits(64) if seed is None else seed
    blinded = blind(read, Plan(readers, overlap, repeats), secret)
    out.parent.mkdir(parents=True, exist_ok=True)
    # The key first: a page without one could never be evaluated.
    _write_key(key_file, blinded, systems, index, secret, truth=truth)
    try:
        write_reading(out, read, blinded)
    except BaseException:
        key_file.unlink(missing_ok=True)  # of no page: it would only bar the next attempt
        raise
    _tell(out, key_file, read, systems, blinded)


def _key_of(out: Path) -> Path:
    """Names the key, and refuses to replace one: readers may be at work with its page."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise ReadingError(f"--out {out}: the page is one file. Remedy: a name that ends in .html")
    key = out.with_suffix(".key.json")
    for file in (key, out):
        if file.exists():
            raise ReadingError(
                f"{file} is there, and without it nothing that was read with its page could be evaluated. "
                "Remedy: another --out, or remove page and key together."
            )
    return key


def _read(index: ShardIndex, systems: Sequence[System], keys: Sequence[str], *, truth: bool, size: int) -> list[Study]:
    split = index.split(systems[0].metrics["split"])
    columns = (TextColumn("Reading films"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        return [
            read_study(split, number, systems, truth=truth, size=size)
            for number in progress.track(places(split, keys), description="")
        ]


def _write_key(
    file: Path, blinded: Blinded, systems: Sequence[System], index: ShardIndex, secret: int, *, truth: bool
) -> None:
    key = {
        "schema": SCHEMA,
        "kind": "cxr reading key",
        "page": blinded.fingerprint,
        "seed": secret,
        "shards": index.fingerprint,
        "split": systems[0].metrics["split"],
        "systems": [*(system.name for system in systems), *([RADIOLOGIST] if truth else [])],
        "seats": [[blinded.items[number]["id"] for number in seat] for seat in blinded.seats],
        "items": blinded.key,
    }
    write_json(file, key)
    os.chmod(file, stat.S_IRUSR | stat.S_IWUSR)


def _tell(out: Path, key: Path, studies: Sequence[Study], systems: Sequence[System], blinded: Blinded) -> None:
    console = Console()
    megabytes = out.stat().st_size / 2**20
    each = " and ".join(sorted({str(len(seat)) for seat in blinded.seats}))
    console.print(
        f"{out}: {len(studies)} studies, {each} for each of {len(blinded.seats)} reader(s), repeats among them; "
        f"{megabytes:.1f} MiB. It holds patients' films: send it only where those may go."
    )
    console.print(f"{key}: which report is whose. Keep it to yourself until all have read.")
    largest = [max(film.width, film.height) for study in studies for film in study.films]
    if min(largest) < _SMALL:
        few = sum(side < _SMALL for side in largest)
        console.print(
            f"Note: {few} of {len(largest)} films are smaller than {_SMALL} pixels, which is little to read from; "
            "shards packed with a larger --size would show more."
        )
    for system in systems:
        name = re.compile(rf"\b{re.escape(system.name)}\b", re.IGNORECASE)
        betrayed = sum(bool(name.search(study.reports[system.name])) for study in studies)
        if betrayed:
            console.print(f"Note: {betrayed} reports of {system.name} hold its name, which unblinds the reader.")
