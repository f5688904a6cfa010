"""`cxr compare`: from evaluations of two or more models to what surely differs, and a page of where."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cxr_lightning.durable import write_text
from cxr_lightning.evaluation.compare.differences import compare_models
from cxr_lightning.evaluation.compare.images import read_images
from cxr_lightning.evaluation.compare.page import write_page
from cxr_lightning.evaluation.compare.pairs import read_pairs
from cxr_lightning.evaluation.compare.questions import Reading
from cxr_lightning.evaluation.compare.studies import most_different
from cxr_lightning.evaluation.compare.table import plain, print_comparison
from cxr_lightning.evaluation.extra import Radeval, extra_scorers
from cxr_lightning.scoring.registry import SCORERS


def compare(
    first: Path,
    *others: str,
    out: Path,
    shared: bool = False,
    shards: str | None = None,
    bertscore: Path | None = None,
    radeval: Radeval | None = None,
    studies: int = 40,
    draws: int = 1000,
    permutations: int = 10_000,
    seed: int = 0,
) -> None:
    """Compare evaluations of the same studies: which model is better, by how much, and how sure that is.

    Every other model is compared with the first: by score, by finding, by view, and by how much of the score needs the
    image.

    Args:
        first: Folder that `cxr evaluate` wrote.
        others: Folders of the models to compare it with.
        out: Folder for comparison.json and index.html.
        shared: Compare the studies in common where the evaluations are not of the same ones.
        shards: Where the evaluated shards are now, for the films on the page; if not given, where they were.
        bertscore: Folder of a text encoder, to compare BERTScore by it too.
        radeval: Scores of the radeval package to compare too, with weights that lie on this machine.
        studies: How many of the studies that differ most the page shows.
        draws: Draws of the bootstrap.
        permutations: Most exchanges of a permutation test; where there are fewer, all are tried.
        seed: Seed of both.
    """
    for name, value in {"studies": studies + 1, "draws": draws, "permutations": permutations}.items():
        if value < 1:
            raise ValueError(f"--{name}: must be {0 if name == 'studies' else 1} or more. Remedy: leave it out.")
    pairs = read_pairs([first, *map(Path, others)], shared=shared)
    reading = Reading(pairs, [*SCORERS, *extra_scorers(bertscore, radeval)])
    comparison = compare_models(reading, draws=draws, permutations=permutations, seed=seed, watched=_watched)
    contrasts = most_different(reading, studies)
    images, remark = read_images(pairs, [pairs.keys[each.place] for each in contrasts], shards)
    out.mkdir(parents=True, exist_ok=True)
    found = {**plain(comparison), "differ_most": [pairs.keys[each.place] for each in contrasts]}
    write_text(out / "comparison.json", json.dumps(found, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
    write_page(out, comparison, contrasts, images, remark)
    console = Console()
    print_comparison(comparison, console)
    for told in (remark, f"{pairs.left_out:,} studies that are not shared are left out." if pairs.left_out else ""):
        if told:
            console.print(told, highlight=False)
    console.print(f"Numbers and a page to look at: {out}", highlight=False)


def _watched(questions: Sequence[Any]) -> Iterator[Any]:
    columns = (TextColumn("Comparing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(questions)
