"""`cxr evaluate`: from an exported model and shards to scores that doubt themselves, and a page to look at.

Enters an exported folder and a folder of shards; leaves predictions.jsonl, metrics.json and index.html. Every study is
answered three times (own image, another patient's, blank), because a score that survives a wrong image is no sign of
sight.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cxr_lightning.evaluation.card import note_in_card
from cxr_lightning.evaluation.cases import Case, commonest_reference, read_cases
from cxr_lightning.evaluation.curves import read_curves
from cxr_lightning.evaluation.metrics import VARIANTS, measure, score_in, verdict
from cxr_lightning.evaluation.page import StudyCard, write_page
from cxr_lightning.evaluation.predictions import record_answers
from cxr_lightning.scoring.registry import SCORERS
from cxr_lightning.shards.index import ShardIndex, read_index
from cxr_lightning.study import Split

if TYPE_CHECKING:
    from cxr_lightning.evaluation.generate import Answer

_WORDS = {"own": "own image", "swapped": "another patient's", "blank": "blank image", "commonest": "commonest report"}


def evaluate(
    model: Path,
    shards: str | Path,
    *,
    out: Path,
    split: Split = "test",
    limit: int | None = None,
    batch: int = 16,
    workers: int = 2,
    seed: int = 0,
    max_tokens: int = 160,
    draws: int = 1000,
    runs: list[Path] | None = None,
) -> None:
    """Score an exported model on studies it has not seen, with their images, with others and with none.

    Args:
        model: Folder that `cxr export` wrote.
        shards: Folder or URL that holds the shards' index.
        out: Folder for predictions.jsonl, metrics.json and index.html.
        split: Which studies to ask about.
        limit: At most so many studies; all if not given.
        batch: Studies answered at once. It does not change the scores beyond rounding.
        workers: Processes that generate, one thread each. A GPU is used by one.
        seed: Seed of the swapped images and of the bootstrap.
        max_tokens: Longest answer in tokens.
        draws: Draws of the bootstrap.
        runs: Run directories whose loss curves the page shows.
    """
    # Here, not above: asking for --help must not wait for torch.
    from cxr_lightning.evaluation.generate import generate, plan_tasks, require_model

    _require_positive(limit=limit, batch=batch, workers=workers, max_tokens=max_tokens, draws=draws)
    require_model(model)
    index = read_index(shards)
    cases = read_cases(index, split, limit=limit)
    curves = read_curves(runs or [])
    commonest = commonest_reference(index, split)
    tasks = plan_tasks(cases, seed=seed)
    answers = generate(model, tasks, batch=batch, workers=workers, max_tokens=max_tokens)
    texts = _collect(out, cases, _with_progress(answers, len(tasks)))
    texts["commonest"] = [commonest] * len(cases)
    metrics = {
        "schema": 1,
        "model": model.name,
        "split": split,
        "shards": index.fingerprint,
        **measure(cases, texts, draws=draws, seed=seed),
    }
    seen = (
        "These studies were trained on: it is memory that is scored, not skill. " if _seen(model, index, split) else ""
    )
    metrics["verdict"] = seen + verdict(metrics)
    _write_json(out / "metrics.json", metrics)
    write_page(out, _studies(cases, texts), metrics, curves)
    _print(metrics, out, carded=note_in_card(model, metrics))


def _seen(model: Path, index: ShardIndex, split: Split) -> bool:
    """Returns whether a model's provenance says that it was trained on a split of these shards."""
    try:
        trained_on = json.loads((model / "provenance.json").read_text())["data"]["fingerprint"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return split == "train" and trained_on == index.fingerprint


def _require_positive(**options: int | None) -> None:
    for name, value in options.items():
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value}: must be 1 or more.")


def _collect(out: Path, cases: Sequence[Case], answers: Iterable[Answer]) -> dict[str, list[str]]:
    """Writes answers to disk and sorts them by condition, in the order of the studies."""
    by_key = {case.key: case for case in cases}
    said: dict[str, dict[str, str]] = {}
    for answer in record_answers(out, by_key, answers):
        said.setdefault(answer.condition, {})[answer.key] = answer.text
    return {condition: [texts[key] for key in by_key] for condition, texts in said.items()}


def _with_progress(answers: Iterable[Answer], total: int) -> Iterable[Answer]:
    columns = (TextColumn("Answering"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        for answer in answers:
            progress.advance(task)
            yield answer


def _studies(cases: Sequence[Case], texts: dict[str, list[str]]) -> list[StudyCard]:
    return [
        StudyCard(case.key, case.images[0], case.reference, texts["own"][number], case.truth, texts["swapped"][number])
        for number, case in enumerate(cases)
    ]


def _write_json(path: Path, value: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _print(metrics: dict[str, Any], out: Path, *, carded: bool) -> None:
    """Prints the table of scores, the sentence, and where the files are."""
    console = Console()
    table = Table(title=f"{metrics['studies']} {metrics['split']} studies of {metrics['patients']} patients")
    table.add_column("score")
    for variant in VARIANTS:
        table.add_column(_WORDS[variant], justify="right", min_width=12)
    for scorer in SCORERS:
        scores = [score_in(metrics, scorer.name + ending) for ending in VARIANTS.values()]
        table.add_row(scorer.title, *(f"{s.value:.2f}\n[dim]{s.low:.2f} to {s.high:.2f}[/dim]" for s in scores))
    console.print(table)
    console.print(metrics["verdict"])
    console.print(f"Scores, answers and a page to look at: {out}")
    if carded:
        console.print("The scores stand in the model's card, too (README.md).")
