"""The export proves itself before it says done: reloaded by plain transformers, it must be the model that was trained.

Weights are compared by checksums, all of them; what the model makes of them (its configuration, its processor, its
buffers) by logits and by the greedy text, on drawn radiographs. The trained model, adapters on, computes in float32.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from cxr_lightning.export.lending import giving_back, in_float32
from cxr_lightning.export.pages import Pages
from cxr_lightning.export.trial import Inputs, greedy, trial_logits, trials
from cxr_lightning.export.writing import bytes_of
from cxr_lightning.model.families import role_of, vlm_family
from cxr_lightning.model.language import TextProcessor
from cxr_lightning.model.templates import write_template

_OF_WHAT_WAS_LEARNED = 0.01
"""Largest share of what training changed in the logits that merging may change: a lost adapter is all of it."""
_ROUNDED = {torch.float32: 1e-5, torch.bfloat16: 0.02, torch.float16: 0.005}
"""Largest difference of logits after rounding the weights, as a share of the largest logit."""


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


@dataclass(frozen=True)
class Reloaded:
    """What plain transformers made of an exported folder.

    Attributes:
        checks: What was found of its weights and its processor.
        logits: Logits of each trial's prompt, computed in float32 with the weights as they were written.
        texts: Greedy tokens that it answers each trial with, in its own data type.
    """

    checks: list[Check]
    logits: list[Tensor]
    texts: list[list[int]]


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

    Raises:
        ExportNotProvenError: If merging lost or changed what was learned.
    """
    error, learned = _apart(merged, trained), _apart(trained, untrained)
    found = f"largest difference {error:.2g}; training moved them by {learned:.2g}"
    holds = error <= max(_OF_WHAT_WAS_LEARNED * learned, 1e-5 * _largest(trained))
    check = Check(what, found, holds)
    if not holds:
        raise ExportNotProvenError(f"The merge is not the trained model: {found}. Nothing was kept.")
    return check


def reload(
    folder: Path,
    prompts: Sequence[Inputs],
    written: Mapping[str, int],
    vision: Mapping[str, int],
    dtype: torch.dtype,
    *,
    text_only: bool = False,
) -> Reloaded:
    """Loads an exported folder as whoever serves it will, and looks at it.

    Args:
        folder: The exported folder.
        prompts: The prompts as the run's own processor makes them.
        written: Checksum of each weight as it was merged, by its name in the model.
        vision: Checksums of the base's vision weights in the export's data type, if they were frozen.
        dtype: Data type of the export.
        text_only: Whether it is a language model alone.
    """
    auto: Any = AutoModelForCausalLM if text_only else AutoModelForImageTextToText
    model, loading = auto.from_pretrained(folder, dtype=dtype, output_loading_info=True)
    again, pages = trials(_processor(folder, text_only)), Pages()
    lost = [*loading["missing_keys"], *loading["unexpected_keys"], *loading["mismatched_keys"]]
    sums = _checksums(model, pages)
    odd = [name for name, total in written.items() if sums.get(name) != total]
    told = f"{len(written)} tensors, none missing or left over" if not lost else f"{len(lost)} do not: {lost[0]}"
    equal = f"{len(written) - len(odd)} of {len(written)}" + (f", not {odd[0]}" if odd else "")
    checks = [
        Check("every tensor loads in transformers", told, not lost),
        Check("reloaded tensors are the merged ones to the bit", equal, not odd),
        *([] if text_only else _parts(model, sums, vision)),
        _same_prompts(again, prompts),
    ]
    with in_float32(model, pages=pages):
        logits = [trial_logits(model, prompt, torch.float32) for prompt in again]
    with giving_back(model, pages):
        texts = [greedy(model, prompt) for prompt in again]
    return Reloaded(checks, logits, texts)


def prove(
    reloaded: Reloaded, merged: Sequence[Tensor], trained: Sequence[Tensor], dtype: torch.dtype, folder: Path
) -> list[Check]:
    """Compares what was reloaded with the trained model, and collects the proof.

    Args:
        reloaded: What transformers made of the folder.
        merged: Logits of the merged model before rounding, of each trial's prompt and the answer behind it.
        trained: Logits of the trained model likewise.
        dtype: Data type of the export.
        folder: The exported folder, for the error.

    Raises:
        ExportNotProvenError: If a check fails; it lists all of them.
    """
    prompts = [long[:, : short.shape[1]] for long, short in zip(merged, reloaded.logits, strict=True)]
    difference, scale = _apart(reloaded.logits, prompts), _largest(prompts)
    found = f"largest difference {difference:.2g} of logits up to {scale:.3g}, from rounding weights to {_name(dtype)}"
    checks = [
        *reloaded.checks,
        Check("reloaded logits are the merged ones", found, difference <= _ROUNDED[dtype] * scale),
        _same_text(reloaded, trained, _ROUNDED[dtype] * scale),
    ]
    failed = [f"{check.what}: {check.found}" for check in checks if not check.holds]
    if failed:
        raise ExportNotProvenError(f"{folder} is not the trained model: {'; '.join(failed)}. Nothing was kept.")
    return checks


def _same_text(reloaded: Reloaded, trained: Sequence[Tensor], tie: float) -> Check:
    """Greedy texts are equal exactly where, given one of them, the other model would choose each of its tokens."""
    total = same = 0
    told, holds = "", True
    for logits_BLV, tokens, prompt in zip(trained, reloaded.texts, reloaded.logits, strict=True):
        first = prompt.shape[1] - 1
        answers_LV = logits_BLV[0, first : first + len(tokens)]
        chosen_L = torch.tensor(tokens)
        lead_L = answers_LV.max(dim=1).values - answers_LV.gather(1, chosen_L[:, None])[:, 0]
        differ = (lead_L > 0).nonzero()[:, 0].tolist()
        total += len(tokens)
        same += differ[0] if differ else len(tokens)
        if differ:
            lead = float(lead_L[differ[0]])
            holds = holds and lead <= tie
            told = f"; token {differ[0] + 1} differs where the trained model's own leads by {lead:.2g}"
            told += " (a tie within rounding)" if lead <= tie else ""
    return Check("greedy answers are the trained model's", f"{same} of {total} tokens{told}", holds)


def _same_prompts(again: Sequence[Inputs], prompts: Sequence[Inputs]) -> Check:
    same = all(
        left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
        for left, right in zip(again, prompts, strict=True)
    )
    tokens = sum(prompt["input_ids"].numel() for prompt in again)
    return Check("prompts and pixels are the trained ones", f"{tokens} tokens in {len(again)} prompts", same)


def _parts(model: Any, sums: Mapping[str, int], vision: Mapping[str, int]) -> list[Check]:
    """Compares a reloaded model's tower with the base's, and looks for its projector."""
    changed = [name for name, total in vision.items() if sums.get(name) != total]
    family = vlm_family(model.config)
    projector = [name for name, _ in model.named_parameters() if role_of(name, family) == "projector"]
    kept = f"{len(vision) - len(changed)} of {len(vision)} bit-equal" if vision else "it was trained too"
    return [
        Check("vision weights are the base's", kept, not changed),
        Check("the projector is there", f"{len(projector)} tensors", bool(projector)),
    ]


def checksum(tensor: Tensor) -> int:
    """Returns the checksum (CRC-32) of a tensor's bytes."""
    return zlib.crc32(bytes_of(tensor))


def _checksums(model: Any, pages: Pages) -> dict[str, int]:
    sums = {}
    for name, tensor in model.state_dict().items():
        sums[name] = checksum(tensor)
        pages.give_back(tensor)
    return sums


def _processor(folder: Path, text_only: bool) -> Any:
    if text_only:
        return TextProcessor(AutoTokenizer.from_pretrained(folder))
    processor = AutoProcessor.from_pretrained(folder)
    write_template(processor)
    return processor


def _apart(left: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    return max(float((one - other).abs().max()) for one, other in zip(left, right, strict=True))


def _largest(logits: Sequence[Tensor]) -> float:
    return max(float(each.abs().max()) for each in logits)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def table(checks: list[Check]) -> Table:
    """Returns the proof as a table."""
    grid = Table(title="Proof", title_justify="left")
    for heading in ("claim", "found", ""):
        grid.add_column(heading)
    for check in checks:
        grid.add_row(check.what, check.found, "[green]holds" if check.holds else "[red]fails")
    return grid
