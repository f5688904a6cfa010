"""The page of results: experts.html, which shows each system's scores, its errors, and how far readers agree.

Enters what experts.json holds and the judgements behind it; leaves one file that asks nothing of the network. It names
the systems, and repeats reports and comments: it belongs to the study's owner, as the key does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr_lightning.durable import write_text
from cxr_lightning.evaluation.experts.agreement import disagreements
from cxr_lightning.evaluation.experts.answers import Judgement
from cxr_lightning.evaluation.experts.rubric import ANCHORS, ERRORS
from cxr_lightning.evaluation.experts.sheet import FOLDER
from cxr_lightning.template import environment

_MOST_DISAGREEMENTS = 12
_SURE = 0.05
_MOST_COMMENTS = 60


def write_results(out: Path, found: Mapping[str, Any], judgements: Sequence[Judgement]) -> None:
    """Writes experts.html, whole or not at all.

    Args:
        out: The file.
        found: What experts.json holds.
        judgements: What readers said.
    """
    numbers = {study: number for number, study in enumerate(dict.fromkeys(each.study for each in judgements), 1)}
    first = [each for each in judgements if not each.again]
    comments = [each for each in judgements if each.comment]
    template = environment(FOLDER).get_template("results.html")
    html = template.render(
        found=found,
        lead=sentence(found),
        errors=ERRORS,
        anchors=ANCHORS,
        spread=spread,
        across=_across,
        apart=disagreements(first, _MOST_DISAGREEMENTS),
        comments=comments[:_MOST_COMMENTS],
        more=max(0, len(comments) - _MOST_COMMENTS),
        numbers=numbers,
        kind={error.name: error.words for error in ERRORS},
    )
    write_text(out, html)


def sentence(found: Mapping[str, Any]) -> str:
    """Says in a sentence what readers found.

    Args:
        found: What experts.json holds.
    """
    ranked = sorted(found["systems"].items(), key=lambda pair: -pair[1]["score"]["value"])
    parts = [f"{row['accurate']['value']:.0%} of {system}’s" for system, row in ranked]
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    readers = len(found["readers"])
    who = {1: "One reader", 2: "Two readers", 3: "Three readers"}.get(readers, f"{readers} readers")
    patients = max(row["patients"] for row in found["systems"].values())
    sure = any(row["p_holm"] < _SURE for row in found["differences"])
    rest = "" if sure or len(parts) < 2 else " No difference between them is sure."
    return f"{who} found {listed} reports accurate, on films of {patients} patient{'s' * (patients > 1)}.{rest}"


def spread(score: Mapping[str, Any], *, percent: bool = False) -> str:
    """Words a number with its interval.

    Args:
        score: `value`, `low`, `high`; None where there is none.
        percent: Whether it is a share.
    """
    if score["value"] is None:
        return "not defined"
    plain = "{:.0%}" if percent else "{:.2f}"
    value = plain.format(score["value"])
    if score["low"] is None:
        return value
    return f"{value} ({plain.format(score['low'])} to {plain.format(score['high'])})"


def _across(value: float | None, low: float, high: float) -> str:
    """Places a value on a track from `low` to `high`, in percent."""
    return f"{100 * (min(max(low if value is None else value, low), high) - low) / (high - low):.2f}%"
