"""What the terminal shows of an evaluation: the scores that matter most, the verdict, and where the rest is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cxr_lightning.evaluation.metrics import VARIANTS, score_in
from cxr_lightning.evaluation.page.words import say, say_span
from cxr_lightning.scoring.registry import SCORERS

_WORDS = {"own": "own image", "swapped": "another patient's", "blank": "blank image", "commonest": "commonest report"}
_SHOWN = (
    "findings_micro_f1", "findings_macro_f1", "observations_micro_f1", "observations_5_micro_f1", "rouge_l", "bleu_4",
)  # fmt: skip


def print_summary(metrics: Mapping[str, Any], out: Path, *, carded: bool) -> None:
    """Prints the table of scores, the sentences, and where the files are.

    Args:
        metrics: What stands in metrics.json.
        out: The folder.
        carded: Whether the scores went into the model's card.
    """
    console = Console()
    table = Table(title=f"{metrics['studies']} {metrics['split']} studies of {metrics['patients']} patients")
    table.add_column("score")
    for variant in VARIANTS:
        table.add_column(_WORDS[variant], justify="right", min_width=12)
    for scorer in SCORERS:
        if scorer.name in _SHOWN:
            scores = [score_in(metrics, scorer.name + ending) for ending in VARIANTS.values()]
            cells = [f"{say(each.value)}\n[dim]{say_span(each.low, each.high) or '–'}[/dim]" for each in scores]
            table.add_row(scorer.title, *cells)
    console.print(table)
    console.print(metrics["verdict"], highlight=False, markup=False)
    for remark in metrics["health"]["remarks"]:
        console.print(f"[yellow]![/yellow] {escape(remark)}", highlight=False)
    console.print(f"All scores, answers and a page to look at: {out}", highlight=False, markup=False, soft_wrap=True)
    if carded:
        console.print("The scores stand in the model's card, too (README.md).")
