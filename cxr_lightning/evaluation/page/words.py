"""How labels, variants and numbers are said to people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

VARIANT_NAMES = {
    "own": "its own image",
    "swapped": "another patient’s image",
    "blank": "a blank image",
    "commonest": "the commonest report",
}
_SAID = {"line": "central line"}
MINUS = "−"


def say_label(label: str) -> str:
    """Words a label: "right lower consolidation"."""
    name, _, place = label.partition(":")
    return f"{place.replace('-', ' ')} {_SAID.get(name, name.replace('_', ' '))}".strip()


def known(value: Any) -> bool:
    """Returns whether a value is a number that can be shown."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def say(value: Any, *, sign: bool = False) -> str:
    """Words a number with two decimals, with a true minus; a dash where there is none."""
    if not known(value):
        return "–"
    text = f"{value:+.2f}" if sign else f"{value:.2f}"
    return text.replace("-0.00", "0.00").replace("+0.00", "0.00").replace("-", MINUS)


def say_span(low: Any, high: Any, *, sign: bool = False) -> str:
    """Words an interval; nothing where it is not known."""
    return f"{say(low, sign=sign)} to {say(high, sign=sign)}" if known(low) and known(high) else ""


def say_share(score: Mapping[str, Any]) -> str:
    """Words a share (`value`, `low`, `high`) in percent: "98 % (90 to 100)"; without an interval where it has none."""
    if not known(score["value"]):
        return "–"
    span = f" ({100 * score['low']:.0f} to {100 * score['high']:.0f})" if known(score["low"]) else ""
    return f"{100 * score['value']:.0f} %{span}"
