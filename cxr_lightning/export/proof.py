"""The export proves itself before it says done.

Reloaded by plain transformers, it must be the model that was trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.table import Table
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from cxr_lightning.model.families import role_of, vlm_family
from cxr_lightning.model.language import TextProcessor
from cxr_lightning.model.templates import write_template

_OF_WHAT_WAS_LEARNED = 0.01
"""Largest share of what training changed in the logits that merging may change: a lost adapter is all of it."""
_RELOADED = {torch.float32: 1e-5, torch.bfloat16: 0.02, torch.float16: 0.005}
"""Largest difference of logits after reloading, as a share of the largest logit; kernels may add in another order."""


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


def trial_inputs(processor: Any, image_size: int = 96) -> dict[str, Any]:
    """Returns a prompt, with an image of fixed noise where the model takes images, to compare logits on."""
    if processor.image_processor is None:
        turn = {"role": "user", "content": "Write the impression: the heart is normal in size. The lungs are clear."}
        text = processor.apply_chat_template([turn], add_generation_prompt=True)
        begins = text.startswith(processor.tokenizer.bos_token or "<none>")
        return dict(processor(text, add_special_tokens=not begins, return_tensors="pt"))
    noise = np.random.default_rng(0).integers(0, 256, (image_size, image_size), dtype=np.uint8)
    content = [{"type": "image"}, {"type": "text", "text": "Describe this chest radiograph."}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    begins = text.startswith(processor.tokenizer.bos_token or "<none>")
    image = Image.fromarray(noise).convert("RGB")
    return dict(processor(images=[image], text=text, add_special_tokens=not begins, return_tensors="pt"))


@torch.inference_mode()
def trial_logits(model: Any, inputs: Mapping[str, Any]) -> Tensor:
    """Returns a model's logits on trial inputs, in float32."""
    pixels = {name: each.to(model.dtype) for name, each in inputs.items() if name == "pixel_values"}
    logits: Tensor = model(**{**inputs, **pixels}).logits
    return logits.float()


def prove_merge(merged: Tensor, trained: Tensor, untrained: Tensor) -> Check:
    """Compares the merged model with adapters on, in float32, measured by what training changed at all.

    Args:
        merged: Logits of the merged model.
        trained: Logits of the trained model, adapters on.
        untrained: Logits of the base.

    Raises:
        ExportNotProvenError: If merging lost or changed what was learned.
    """
    error, learned = float((merged - trained).abs().max()), float((trained - untrained).abs().max())
    rounding = 1e-5 * float(trained.abs().max())
    found = f"largest difference {error:.2g}; training moved them by {learned:.2g}"
    holds = error <= max(_OF_WHAT_WAS_LEARNED * learned, rounding)
    check = Check("merged logits are the trained model's", found, holds)
    if not holds:
        raise ExportNotProvenError(f"The merge is not the trained model: {found}. Nothing was kept.")
    return check


def prove(
    folder: Path,
    inputs: Mapping[str, Any],
    expected: Tensor,
    vision: Mapping[str, Tensor],
    dtype: torch.dtype,
    *,
    text_only: bool = False,
) -> list[Check]:
    """Reloads an exported folder by plain transformers and compares it with the trained model.

    Args:
        folder: The exported folder.
        inputs: Trial inputs.
        expected: The merged model's logits on them, in the data type of the export.
        vision: The base's vision weights in that type, if they were frozen.
        dtype: Data type of the export.
        text_only: Whether it is a language model alone.

    Raises:
        ExportNotProvenError: If a check fails; it lists all of them.
    """
    auto: Any = AutoModelForCausalLM if text_only else AutoModelForImageTextToText
    model, loading = auto.from_pretrained(folder, dtype=dtype, output_loading_info=True)
    processor = _processor(folder, text_only)
    again = trial_inputs(processor)
    lost = [*loading["missing_keys"], *loading["unexpected_keys"], *loading["mismatched_keys"]]
    difference = float((trial_logits(model, again) - expected).abs().max())
    allowed = _RELOADED[dtype] * float(expected.abs().max())
    checks = [
        Check("every tensor loads", "all accounted for" if not lost else f"{len(lost)} not: {lost[0]}", not lost),
        Check("prompt tokens are the trained ones", f"{again['input_ids'].numel()} tokens", _equal(again, inputs)),
        *([] if text_only else _prove_parts(model, vision)),
        Check("reloaded logits are the merged ones", f"largest difference {difference:.2g}", difference <= allowed),
    ]
    failed = [f"{check.what}: {check.found}" for check in checks if not check.holds]
    if failed:
        raise ExportNotProvenError(f"{folder} is not the trained model: {'; '.join(failed)}. Nothing was kept.")
    return checks


def _processor(folder: Path, text_only: bool) -> Any:
    if text_only:
        return TextProcessor(AutoTokenizer.from_pretrained(folder))
    processor = AutoProcessor.from_pretrained(folder)
    write_template(processor)
    return processor


def _prove_parts(model: Any, vision: Mapping[str, Tensor]) -> list[Check]:
    """Compares a reloaded model's tower with the base's, and looks for its projector."""
    weights = dict(model.named_parameters())
    changed = [name for name, tensor in vision.items() if not torch.equal(weights[name].to(tensor.dtype), tensor)]
    family = vlm_family(model.config)
    projector = [name for name in weights if role_of(name, family) == "projector"]
    return [
        Check("vision weights are the base's", f"{len(vision) - len(changed)} of {len(vision)} bit-equal", not changed),
        Check("the projector is there", f"{len(projector)} tensors", bool(projector)),
    ]


def table(checks: list[Check]) -> Table:
    """Returns the proof as a table."""
    grid = Table(title="Proof", title_justify="left")
    for heading in ("claim", "found", ""):
        grid.add_column(heading)
    for check in checks:
        grid.add_row(check.what, check.found, "[green]holds" if check.holds else "[red]fails")
    return grid


def _equal(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    return torch.equal(left["input_ids"], right["input_ids"])
