"""What is told in words: the verdict, remarks on the answers as texts, and how the numbers came about.

Enters `verdict`, `health` and `method` of metrics.json, any of which may be absent; leaves plain lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cxr_lightning.evaluation.page.words import known
from cxr_lightning.scoring.health import MEASURES

_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")


def health_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Returns remarks, and the figures that stand behind them.

    Args:
        metrics: What stands in metrics.json.

    Returns:
        `remarks`, and rows of `figures`: what is measured, of the answers, and of the references.
    """
    found = metrics.get("health") or {}
    answers, references = found.get("answers") or {}, found.get("references") or {}
    return {
        "measured": bool(found),
        "remarks": [str(remark) for remark in found.get("remarks") or ()],
        "figures": [
            (words, _figure(name, answers[name]), _figure(name, references.get(name)))
            for name, words in MEASURES.items()
            if known(answers.get(name))
        ],
    }


def verdict_of(metrics: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the verdict: its first sentence, and the others.

    Args:
        metrics: What stands in metrics.json.
    """
    told = str(metrics.get("verdict") or "No verdict was reached.")
    first, *rest = _SENTENCE_END.split(told, maxsplit=1)
    return first, " ".join(rest)


def method_of(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns how the numbers came about, name and words.

    Args:
        metrics: What stands in metrics.json.
    """
    return [(_words(name), _plain(value)) for name, value in (metrics.get("method") or {}).items()]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _figure(name: str, value: Any) -> str:
    if not known(value):
        return "–"
    return f"{value:.1f}" if name == "words" else f"{value:.2f}" if name == "alike" else f"{100 * value:.1f} %"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{_words(str(name))}: {_plain(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return str(value)
