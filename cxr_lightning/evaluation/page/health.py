"""What is told in words: remarks on the answers as texts, and how the numbers came about.

Enters `health` and `method` of metrics.json, whose parts may change with the scores; leaves plain lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxr_lightning.evaluation.page.words import known


def health_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Returns remarks, and the figures that stand behind them.

    Args:
        metrics: What stands in metrics.json.
    """
    found = metrics.get("health") or {}
    figures = [(_words(name), _figure(value)) for name, value in found.items() if known(value)]
    return {"remarks": [str(remark) for remark in found.get("remarks") or ()], "figures": figures}


def method_of(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns how the numbers came about, name and words.

    Args:
        metrics: What stands in metrics.json.
    """
    return [(_words(name), _plain(value)) for name, value in (metrics.get("method") or {}).items()]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{_words(str(name))}: {_plain(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return str(value)
