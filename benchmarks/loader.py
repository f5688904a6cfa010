"""Images a second, from stored JPEGs to normalised 224 px float batches: ours beside four others, on the same images.

    CXR_REAL_DATA=... python benchmarks/loader.py [--images 1024] [--large 256] [--repeats 5] [--only ours folder]

Each alternative runs in an environment of its own under benchmarks/.envs, made on demand, which sees the packages of
this one (torch is not installed again). Each measurement is a process of its own; rounds are interleaved; medians are
told, with the lowest and the highest.
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
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from environments import python_of
from loaders import corpus

HERE = Path(__file__).parent


class Way(NamedTuple):
    """A way of reading.

    Attributes:
        script: In benchmarks/loaders.
        data: Which folder of the corpus it reads, or prepares.
        package: What its environment needs beside ours.
        options: Of its script.
    """

    script: str
    data: str
    package: str = ""
    options: tuple[str, ...] = ()


SMALL = {
    "ours, exact": Way("ours", "shards-512"),
    "ours, scaled": Way("ours", "shards-512", options=("--scaled",)),
    "litData": Way("lit_data", "litdata", "litdata"),
    "webdataset": Way("plain_webdataset", "shards-512"),
    "MosaicML streaming": Way("mosaic_streaming", "mds", "mosaicml-streaming"),
    "folder": Way("folder", "files"),
}
LARGE = {
    "ours, exact, of 2,500 px": Way("ours", "shards-2500"),
    "ours, scaled, of 2,500 px": Way("ours", "shards-2500", options=("--scaled",)),
    "ours, packed at 512 px": Way("ours", "shards-512"),
    "folder of 2,500 px": Way("folder", "files"),
}
WORKERS = (0, 2)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1024, help="512 px images")
    parser.add_argument("--large", type=int, default=256, help="2,500 px images; 0 leaves them out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="ways whose names begin so")
    parser.add_argument("--data", type=Path, help="keeps the corpus here, and uses it again")
    parser.add_argument("--json", type=Path, help="writes all figures here")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = asked.data or Path(temporary)
        figures = {
            "512": _compare(root / "512", asked.images, 512, (512,), _chosen(SMALL, asked.only), asked.repeats),
        }
        if asked.large:
            ways = _chosen(LARGE, asked.only)
            for name, grain in (("2500", 0), ("2500 with grain", 2)):
                figures[name] = _compare(root / name, asked.large, 2500, (2500, 512), ways, asked.repeats, grain)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))


def _chosen(ways: dict[str, Way], only: list[str] | None) -> dict[str, Way]:
    return {name: way for name, way in ways.items() if not only or name.startswith(tuple(only))}


def _compare(
    folder: Path,
    images: int,
    side: int,
    packed: tuple[int, ...],
    ways: dict[str, Way],
    repeats: int,
    grain: float = 0,
) -> dict[str, list[dict[str, float]]]:
    if not (folder / "source.txt").exists():
        source = corpus.make(folder, images, side, packed, grain)
        (folder / "source.txt").write_text(source)
    for way in ways.values():
        if not (folder / way.data).exists():
            _run(way, "prepare", folder / "files", folder / way.data)
    found: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for _ in range(repeats):
        for workers in WORKERS:
            for name, way in ways.items():
                answer = json.loads(_run(way, "measure", folder / way.data, "--workers", str(workers)))
                found[f"{name}|{workers}"].append(answer)
    megabytes = sum(path.stat().st_size for path in (folder / "files").iterdir()) / images / 1e6
    source = (folder / "source.txt").read_text()
    _print(f"{images} JPEGs of {side} px, {megabytes:.2f} MB each, from {source}; grain {grain}", ways, found)
    shards = folder / f"shards-{packed[0]}"
    spent = [json.loads(_run(Way("limit", ""), "measure", shards)) for _ in range(repeats)]
    table = Table("stage, one thread", "ms an image", title=f"by stage, {side} px")
    for stage in spent[0]:
        table.add_row(stage, f"{statistics.median(each[stage] for each in spent):.3f}")
    Console(width=120).print(table)
    return {**found, "stages": spent}


def _print(title: str, ways: dict[str, Way], found: dict[str, list[dict[str, float]]]) -> None:
    table = Table(
        "", *(f"{workers} workers, images/s" for workers in WORKERS), "CPU ms an image (0 workers)", title=title
    )
    for name in ways:
        cells = []
        for workers in WORKERS:
            rates = [each["rate"] for each in found[f"{name}|{workers}"]]
            cells.append(f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})")
        cpu = statistics.median(each["cpu"] / each["images"] for each in found[f"{name}|0"]) * 1e3
        table.add_row(name, *cells, f"{cpu:.2f}")
    Console(width=120).print(table)
    Console(width=120).print(
        f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}"
    )


def _run(way: Way, task: str, *arguments: object) -> str:
    script = HERE / "loaders" / f"{way.script}.py"
    command = [python_of(way.package), script, task, *arguments, *way.options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=_environment())
    if done.returncode:
        raise SystemExit(f"{way.script} failed:\n{done.stderr[-3000:]}")
    return done.stdout.strip().splitlines()[-1] if task == "measure" else ""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE.parent), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


if __name__ == "__main__":
    main()
