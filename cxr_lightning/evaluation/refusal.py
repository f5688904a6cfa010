"""Studies that a model has learned from are no test of it: they are found by key, and under other keys by look.

ChatXRay was tested on its own training rows, and nothing said so. Here the model brings along what it learned from
(`checkpoint/studies.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cxr_lightning.checkpoint.studies import NAME, Studies, StudiesError, read_studies, studies_of
from cxr_lightning.evaluation.cases import Case
from cxr_lightning.shards.looks import NOTHING, look_of

Seen = Literal["refuse", "leave_out", "score"]
"""What becomes of studies that the model learned from."""


class TrainedOnError(ValueError):
    """A model is to be scored on studies that it learned from."""


@dataclass(frozen=True)
class Memory:
    """What is known of a model's having seen the studies before.

    Attributes:
        known: Whether the model brings a list of what it learned from.
        learned: How many studies it learned from.
        by_key: Of the studies asked for, how many are among them.
        by_look: How many more show a film that is among them under another key.
        left_out: How many of these are not scored.
    """

    known: bool
    learned: int = 0
    by_key: int = 0
    by_look: int = 0
    left_out: int = 0

    def to_json(self) -> dict[str, Any]:
        """Returns it for metrics.json."""
        return asdict(self)

    @property
    def scored(self) -> int:
        """How many studies are scored though the model learned from them."""
        return self.by_key + self.by_look - self.left_out

    @property
    def told(self) -> str:
        """What a reader of scores has to know of it; empty where all is well."""
        if not self.known:
            return "Nothing says which studies this model learned from; it may have seen these."
        if self.scored:
            return f"{self.scored} of these studies were trained on: it is memory that is scored, not skill."
        return f"{self.left_out} studies that it was trained on are left out." if self.left_out else ""


def settle(
    cases: Sequence[Case], folder: Path | None, seen: Seen, learned_by: Path | None = None
) -> tuple[list[Case], Memory]:
    """Deals with studies that a model learned from.

    Args:
        cases: The studies that are asked for.
        folder: The model's folder, or its run's; None where there is none.
        seen: What becomes of them.
        learned_by: An export or run whose studies count, too.

    Returns:
        The studies that are scored, and what was found.

    Raises:
        TrainedOnError: Some were learned from, and that is refused, or nothing else is left.
        StudiesError: `learned_by` has no list of them.
    """
    lists = [] if folder is None else [read_studies(folder)]
    lists += [] if learned_by is None else [_required(learned_by)]
    known = [each.rows for each in lists if each is not None]
    if not known:
        return list(cases), Memory(known=False)
    trained = studies_of(known)
    by_key, by_look = _studies(cases).among(trained)
    again = by_key | by_look
    counts = {"learned": len(trained), "by_key": int(by_key.sum()), "by_look": int((by_look & ~by_key).sum())}
    if seen == "score" or not again.any():
        return list(cases), Memory(known=True, **counts)
    if seen == "leave_out" and not again.all():
        left = [case for case, gone in zip(cases, again, strict=True) if not gone]
        return left, Memory(known=True, left_out=int(again.sum()), **counts)
    raise TrainedOnError(_refused(len(cases), int(again.sum()), Memory(known=True, **counts), learned_by or folder))


def _required(learned_by: Path) -> Studies:
    """Reads the list of an export, a run, or a checkpoint of one."""
    folder = learned_by.parent.parent if learned_by.parent.name == "checkpoints" else learned_by
    found = read_studies(folder)
    if found is None:
        raise StudiesError(
            f"--learned_by {learned_by}: there is no {NAME}, so nothing says what it learned from. Remedy: name an "
            "export or a run that has one; those of earlier versions have none."
        )
    return found


def _refused(asked: int, again: int, memory: Memory, folder: Path | None) -> str:
    how = [f"{memory.by_key} by their keys"] if memory.by_key else []
    how += [f"{memory.by_look} under other keys by their films"] if memory.by_look else []
    remedies = "name a split or shards that it has not seen"
    if again < asked:
        remedies += f", or add --seen leave_out to score the other {asked - again}"
    return (
        f"{again} of the {asked} studies were trained on ({' and '.join(how)}, by {folder}/{NAME}): scores on them "
        f"would show memory, not skill. Remedy: {remedies}. (--seen score scores them all the same, and says so.)"
    )


def _studies(cases: Sequence[Case]) -> Studies:
    """Returns the studies' keys and looks, in their order, from the films themselves."""
    keys = [case.key.encode() for case in cases]
    rows = np.zeros(len(cases), [("key", f"S{max(map(len, keys), default=1)}"), ("look", "<u8", (len(NOTHING),))])
    rows["key"] = keys
    rows["look"] = [look_of(case.images[0]) for case in cases]
    return Studies(rows)
