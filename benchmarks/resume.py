"""How long until the first batch, cold and at 90 % of an epoch of a million samples, and what the order costs.

    python benchmarks/resume.py [--samples 1000000] [--studies 300] [--repeats 5]

Real shards are packed from drawn studies and listed again and again under other names (hard links) until the index has
as many rows as asked for. Each figure is the median over fresh processes whose files were dropped from the page cache.
Beside it stands the skipping of plain webdataset: samples are read and thrown away up to the place.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from importlib.metadata import version
from itertools import islice
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from rich.console import Console
from rich.table import Table

BATCH = 128
SKIPPED = 10_000
"""Samples that webdataset skips; the rest is extrapolated, for it costs the same for each."""


def make(folder: Path, samples: int, studies: int) -> Path:
    """Packs drawn studies and lists their shards until there are as many samples."""
    from cxr_lightning.phantoms.archive import draw
    from cxr_lightning.shards.index import read_index, write_index
    from cxr_lightning.shards.packing import pack
    from cxr_lightning.shards.rows import ShardRows

    draw(folder / "studies", studies=studies, seed=1, size=256, workers=1)
    pack("table", folder / "studies", out=folder / "packed", size=256, samples_per_shard=100, workers=1)
    packed = read_index(folder / "packed")
    train, root = packed.split("train"), folder / "shards"
    root.mkdir()
    listed, number = [], 0
    while samples > 0:
        which = number % int((train.shard_lengths > 0).sum())
        rows = train.rows[train.shard == which][:samples]
        name, original = f"train-{number:06d}.tar", packed.shards[which]
        os.link(folder / "packed" / original["name"], root / name)
        listed.append(ShardRows(name, original["bytes"], original["sha256"], {"train": rows}))
        samples, number = samples - len(rows), number + 1
    write_index(root, listed, packed.image)
    return root


def forget(root: Path) -> None:
    """Drops the shards and their index from the page cache."""
    os.sync()
    for path in root.iterdir():
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def first_batch(root: Path, share: float, traced: bool) -> dict[str, float]:
    """Opens the data and reads the first batch at a share of the epoch, as `cxr fit` does."""
    from cxr_lightning.stream.order import RUN, WINDOW, Batches
    from cxr_lightning.stream.reader import ShardReader
    from cxr_lightning.stream.sets import ShardSets

    if traced:
        tracemalloc.start()
    before, begun = memory(), time.perf_counter()
    sets = ShardSets.open(str(root))
    batches = Batches(sets.order(0, RUN, WINDOW), BATCH)
    step = int(batches.steps(1) * share)
    numbers = batches.batch(step)
    opened = time.perf_counter() - begun
    grown = memory() - before
    reader = ShardReader(sets.samples("train"))
    samples = [reader[number] for number in numbers.tolist()]
    seconds = time.perf_counter() - begun
    assert len(samples) == BATCH
    for later in range(step + 1, step + 200):  # over the border of a window
        batches.batch(later % batches.steps(1))
    peak = tracemalloc.get_traced_memory()[1] if traced else 0
    return {
        "seconds": seconds, "opened": opened, "grown": grown, "grown_later": memory() - before, "traced": peak,
    }  # fmt: skip


def skipping(root: Path, shuffled: bool) -> dict[str, float]:
    """Reads samples by webdataset up to a place."""
    import webdataset as wds

    names = [str(path) for path in sorted(root.glob("*.tar"))]
    begun = time.perf_counter()
    data = wds.WebDataset(names, shardshuffle=False, empty_check=False)
    stream = iter(data.shuffle(1000) if shuffled else data)
    _ = list(islice(stream, BATCH))
    first = time.perf_counter() - begun
    skipped = sum(1 for _ in islice(stream, SKIPPED - BATCH))
    seconds = time.perf_counter() - begun
    return {"first": first, "each": (seconds - first) / max(1, skipped)}


def memory() -> int:
    """Returns the bytes of this process in memory that are its own: mapped files are the page cache's."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) * 1024


def child(root: Path, *what: object) -> dict[str, float]:
    """Measures in a fresh process."""
    forget(root)
    command = [sys.executable, __file__, "--child", str(root), *map(str, what)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(root: Path, samples: int, repeats: int) -> dict[str, float]:
    """Measures all, in turns, so that a slow minute of the machine slows all of it."""
    cold, late = [], []
    for _ in range(repeats):
        cold.append(child(root, "ours", 0.0, 0))
        late.append(child(root, "ours", 0.9, 0))
    traced = child(root, "ours", 0.9, 1)
    plain, shuffled = child(root, "webdataset", 0), child(root, "webdataset", 1)
    place = int(0.9 * samples)
    return {
        "cold_s": statistics.median(each["seconds"] for each in cold),
        "late_s": statistics.median(each["seconds"] for each in late),
        "opened_s": statistics.median(each["opened"] for each in late),
        "grown_mb": max(each["grown_later"] for each in late) / 1e6,
        "traced_mb": traced["traced"] / 1e6,
        "webdataset_cold_s": plain["first"],
        "webdataset_late_s": plain["first"] + place * plain["each"],
        "webdataset_shuffled_cold_s": shuffled["first"],
        "webdataset_shuffled_late_s": shuffled["first"] + place * shuffled["each"],
    }


def show(found: dict[str, float], samples: int) -> None:
    """Prints the table."""
    table = Table(title=f"First batch of {BATCH} out of {samples:,} samples, files not in the page cache")
    for name in ("", "cold", "at 90 % of an epoch", "ratio"):
        table.add_column(name, justify="left" if not name else "right")
    for name, kind in (
        ("ours", ""),
        ("webdataset, skipping", "webdataset_"),
        ("... with shuffle(1000)", "webdataset_shuffled_"),
    ):
        cold, late = found[f"{kind}cold_s"], found[f"{kind}late_s"]
        table.add_row(name, f"{cold:.3f} s", f"{late:,.3f} s", f"{late / cold:,.2f}")
    console = Console()
    console.print(table)
    console.print(
        f"Index and order: ready in {found['opened_s'] * 1e3:.0f} ms; memory grows by {found['grown_mb']:.1f} MB (RSS, "
        f"anonymous), Python and numpy by {found['traced_mb']:.1f} MB (tracemalloc, peak).\n"
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"webdataset {version('webdataset')}; webdataset's skipping timed over {SKIPPED:,} samples and extrapolated."
    )


def main() -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--studies", type=int, default=300, help="Different ones among the samples.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="Write the figures there as well.")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        root, what, *rest = args.child
        if what == "ours":
            print(json.dumps(first_batch(Path(root), float(rest[0]), rest[1] == "1")))
        else:
            print(json.dumps(skipping(Path(root), rest[0] == "1")))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(make(Path(folder), args.samples, args.studies), args.samples, args.repeats)
    show(found, args.samples)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
