"""What a proof is made of: claims with what was measured, and how logits and texts are compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from rich.table import Table
from torch import Tensor

_OF_WHAT_WAS_LEARNED = 0.01
"""Largest share of what training changed in the logits that merging may change."""
_ALIKE = 1e-4
"""Largest difference of logits computed alike from equal weights, as a share of the largest logit."""


class ExportNotProvenError(ValueError):
    """The folder that was written is not the model that was trained."""


@dataclass(frozen=True)
class Check:
    """One line of the proof.

    Attributes:
        what: What is claimed.
        found: What was measured.
        holds: Whether the claim holds.
    """

    what: str
    found: str
    holds: bool


def require(checks: Iterable[Check]) -> list[Check]:
    """Returns checks that all hold.

    Raises:
        ExportNotProvenError: If some do not; it lists all of them.
    """
    checks = list(checks)
    failed = [f"{check.what}: {check.found}" for check in checks if not check.holds]
    if failed:
        raise ExportNotProvenError(
            f"What was written is not the trained model: {'; '.join(failed)}. Nothing was kept. "
            "Remedy: report it with this line; the run itself is unharmed."
        )
    return checks


def prove_merge(
    merged: Sequence[Tensor],
    trained: Sequence[Tensor],
    untrained: Sequence[Tensor],
    what: str = "merged logits are the trained model's",
) -> Check:
    """Compares the merged model with adapters on, in float32, measured by what training changed at all.

    Args:
        merged: Logits of the merged model for each trial.
        trained: Logits of the trained model, adapters on.
        untrained: Logits of the base.
        what: What is claimed.
    """
    error, learned, scale = apart(merged, trained), apart(trained, untrained), largest(trained)
    if not all(torch.isfinite(each).all() for each in (*merged, *trained)):
        return Check(what, "some are no numbers: training has diverged, or weights are too large for float16", False)
    found = f"largest difference {error:.2g}; training moved them by {learned:.2g}"
    return Check(what, found, error <= max(_OF_WHAT_WAS_LEARNED * learned, 1e-5 * scale))


def prove_reload(reloaded: Sequence[Tensor], rounded: Sequence[Tensor]) -> Check:
    """Compares a reloaded model with the trained one whose merged weights are rounded alike: nothing may differ.

    Args:
        reloaded: Logits of what transformers made of the folder, computed in float32.
        rounded: Logits of the trained model, likewise, its merged weights rounded to the export's type.
    """
    difference, scale = apart(reloaded, rounded), largest(rounded)
    found = f"largest difference {difference:.2g} of logits up to {scale:.3g}"
    return Check("reloaded logits are the merged ones", found, difference <= _ALIKE * scale)


def note_rounding(
    rounded: Sequence[Tensor], merged: Sequence[Tensor], untrained: Sequence[Tensor], dtype: torch.dtype
) -> Check:
    """Says what rounding the weights costs beside what training changed.

    Args:
        rounded: Logits of the merged model after rounding.
        merged: Before.
        untrained: Of the base.
        dtype: What is rounded to.
    """
    cost, learned, name = apart(rounded, merged), apart(merged, untrained), str(dtype).removeprefix("torch.")
    more = "; --dtype float32 would keep it" if cost > learned / 3 else ""
    found = f"{name} moves logits by {cost:.2g}, training by {learned:.2g}{more}"
    return Check("what rounding costs is known", found, bool(torch.isfinite(torch.tensor(cost))))


def prove_texts(
    texts: Sequence[Sequence[int]], trained: Sequence[Tensor], tie: float, silent: Sequence[int] = ()
) -> Check:
    """Greedy texts are equal exactly where, given one of them, the other model would choose each of its tokens.

    Args:
        texts: What the reloaded model answers each trial with.
        trained: The trained model's logits: of at least the position before each answer, and of each of its tokens.
        tie: By how much another token may lead and still be a tie that rounding decides.
        silent: Tokens that no answer may hold.
    """
    total, leads = 0, list[float]()
    for tokens, logits_BLV in zip(texts, trained, strict=True):
        total += len(tokens)
        if tokens:
            answers_LV = logits_BLV[0, -len(tokens) - 1 : -1].clone()
            answers_LV[:, list(silent)] = -torch.inf
            chosen_L = torch.tensor(list(tokens))
            lead_L = answers_LV.max(dim=1).values - answers_LV.gather(1, chosen_L[:, None])[:, 0]
            leads += lead_L[lead_L > 0].tolist()
    told = f"{total - len(leads)} of {total} tokens"
    if leads:
        told += f"; of the others the trained model's own lead by up to {max(leads):.2g}, "
        told += "a tie within rounding" if max(leads) <= tie else f"more than the {tie:.2g} that rounding moves logits"
    return Check("greedy answers are the trained model's", told, all(lead <= tie for lead in leads))


def apart(left: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    """Returns the largest difference between logits; not a number where one of them is none."""
    return float(torch.stack([(one - other).abs().max() for one, other in zip(left, right, strict=True)]).max())


def largest(logits: Sequence[Tensor]) -> float:
    """Returns the largest of some logits."""
    return float(torch.stack([each.abs().max() for each in logits]).max())


def table(checks: list[Check]) -> Table:
    """Returns the proof as a table."""
    grid = Table(title="Proof", title_justify="left")
    for heading in ("claim", "found", ""):
        grid.add_column(heading)
    for check in checks:
        grid.add_row(check.what, check.found, "[green]holds" if check.holds else "[red]fails")
    return grid
