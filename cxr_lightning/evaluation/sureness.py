"""When a difference is called sure: one rule for all that an evaluation says in words.

An interval alone is not enough where patients are few, nor a p value where it says nothing of how large; both must
agree, over patients enough for either to hold what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxr_lightning.scoring.bootstrap import FEWEST_PATIENTS

__all__ = ["FEWEST_PATIENTS", "LEVEL", "surely_other", "too_few"]

LEVEL = 0.05
"""A p value below this is not called chance."""


def surely_other(gap: Mapping[str, Any], patients: int) -> bool:
    """Returns whether a difference is surely not zero.

    Args:
        gap: `low` and `high` of its interval and `p` of its permutation test, None where not known.
        patients: Over how many patients.
    """
    low, high, p = gap["low"], gap["high"], gap.get("p")
    if patients < FEWEST_PATIENTS or low is None or high is None or p is None:
        return False
    return bool((low > 0 or high < 0) and p < LEVEL)


def too_few(patients: int) -> str:
    """Words why nothing is sure: "cannot be said of 3 patients, who are too few to be sure".

    Args:
        patients: How many there are.
    """
    who = "1 patient, who is" if patients == 1 else f"{patients} patients, who are"
    return f"cannot be said of {who} too few to be sure"
