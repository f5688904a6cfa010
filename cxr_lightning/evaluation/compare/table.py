"""The comparison as a table in the terminal, and as plain numbers for comparison.json."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console
from rich.table import Table

from cxr_lightning.evaluation.compare.differences import FAMILIES, SURE, Comparison, Difference
from cxr_lightning.evaluation.compare.verdict import ranked, say_p, say_verdict
from cxr_lightning.evaluation.page.words import say, say_span
from cxr_lightning.scoring.registry import scorer_named

_MOST = 4
"""Findings, and observations, that the terminal shows of those that surely differ; the page has all."""


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints the scores of all models, the findings that surely differ, and the verdict.

    Args:
        comparison: What was found.
        console: Where to.
    """
    pairs = comparison.pairs
    for model in pairs.models:
        console.print(f"[bold]{model.letter}[/bold]  {model.name}  [dim]{model.folder}[/dim]", highlight=False)
    for rival in pairs.rivals:
        console.print(_table(comparison, rival.letter), highlight=False)
    if len(pairs.rivals) > 1:
        places = enumerate(ranked(comparison), start=1)
        order = ", ".join(f"{place}. {letter} {say(value)}" for place, (letter, _, value, _) in places)
        console.print(f"By {scorer_named(pairs.headline).title}: {order}.", highlight=False)
    console.print(say_verdict(comparison), highlight=False)


def plain(comparison: Comparison) -> dict[str, Any]:
    """Returns the comparison as plain numbers, ready for JSON.

    Args:
        comparison: What was found.
    """
    pairs = comparison.pairs
    return {
        "schema": 1,
        "models": [
            {"letter": model.letter, "name": model.name, "shards": model.metrics.get("shards")}
            for model in pairs.models
        ],
        "studies": len(pairs.keys),
        "patients": len(set(pairs.patients)),
        "left_out": pairs.left_out,
        "verdict": say_verdict(comparison),
        "ranking": [
            {"letter": letter, "name": name, "score": pairs.headline, "value": value}
            for letter, name, value, _ in ranked(comparison)
        ],
        **{family: [_plain(each) for each in comparison.of(family)] for family in FAMILIES},
        "needs": [
            {
                "model": need.letter,
                "name": need.name,
                "loss": need.loss.to_json(),
                "p": need.p,
                "corrected": need.corrected,
                "looks": need.looks,
            }
            for need in comparison.needs
        ],
        "method": method(comparison),
    }


def method(comparison: Comparison) -> dict[str, str]:
    """Says how the numbers came about.

    Args:
        comparison: What was found.
    """
    return {
        "difference": "the later model minus the first, on the same studies",
        "interval": f"95 % percentile bootstrap over patients, paired, {comparison.draws:,} draws",
        "p value": "two-sided permutation test: the answers of a patient are exchanged between two models; all ways "
        f"where they are few, else {comparison.permutations:,} drawn ones, p = (b + 1) / (m + 1)",
        "correction": "Holm over all scores and models, and over their need of the image; Benjamini-Hochberg over all "
        f"findings, all observations, and all scores within views. Sure means below {SURE} after correction",
        "need of the image": "the score with the own image minus the score with another patient's, same view",
        "seed": str(comparison.seed),
    }


def _table(comparison: Comparison, letter: str) -> Table:
    pairs = comparison.pairs
    first = pairs.first.letter
    title = f"{len(pairs.keys):,} studies of {len(set(pairs.patients)):,} patients"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, collapse_padding=True)
    table.add_column("score")
    for heading in (first, letter, f"{letter} − {first}", "p", "corr. p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for each in comparison.of("scores", letter):
        _add(table, each, first)
    table.add_row()
    for each in comparison.of("image", letter):
        if each.name == pairs.headline:
            _add(table, each, first, "micro F1 owed to the image")
    findings, observations = comparison.of("findings", letter), comparison.of("observations", letter)
    for words, family in (("findings", findings), ("observations", observations)):
        sure = sorted((each for each in family if each.sure), key=lambda each: -abs(each.gap.value))[:_MOST]
        if sure:
            table.add_row()
            table.add_row(f"[dim]{words} that differ most[/dim]")
        for each in sure:
            _add(table, each, first)
    return table


def _add(table: Table, each: Difference, first: str, title: str = "") -> None:
    winner = {"first": f"[bold]{first}[/bold]", "rival": f"[bold]{each.rival}[/bold]", "": "[dim]open[/dim]"}
    better = "" if each.better == "higher" else " [dim](less: better)[/dim]"
    span = say_span(each.gap.low, each.gap.high, sign=True)
    gap = say(each.gap.value, sign=True) + (f" [dim]({span})[/dim]" if span else "")
    table.add_row(
        (title or each.title) + better,
        say(each.first),
        say(each.second),
        gap,
        say_p(each.p),
        say_p(each.corrected),
        winner[each.winner],
    )


def _plain(each: Difference) -> dict[str, Any]:
    row = {
        "name": each.name,
        "first": _number(each.first),
        "second": _number(each.second),
        "rival": each.rival,
        "difference": each.gap.to_json(),
        "p": each.p,
        "exact": each.exact,
        "corrected": each.corrected,
        "winner": each.winner,
        "better": each.better,
    }
    if each.view:
        row["view"] = each.view
    if each.support is not None:
        row["support"] = each.support
    return row


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
