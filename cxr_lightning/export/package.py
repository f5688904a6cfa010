"""`cxr export`: a run becomes a folder that transformers and vLLM serve as it is."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from transformers import GenerationConfig

from cxr_lightning.checkpoint import manifest, weights
from cxr_lightning.checkpoint.runs import WEIGHTS, Run, open_run
from cxr_lightning.export.card import model_card
from cxr_lightning.export.layout import write_serving_names
from cxr_lightning.export.merge import clean_model
from cxr_lightning.export.proof import Check, prove, table, trial_inputs, trial_logits
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import role_of, vlm_family
from cxr_lightning.model.fingerprint import fingerprint
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable, prepare

Precision = Literal["auto", "float32", "bfloat16", "float16"]


class ExportExistsError(ValueError):
    """The output folder holds something already."""


def export(
    run: Path, *, out: Path, dtype: Precision = "auto", max_shard_size: str = "5GB", overwrite: bool = False
) -> None:
    """Merge what a run learned into its base model, prove it, and write a complete folder.

    Args:
        run: The run directory, or one of its checkpoint folders.
        out: Folder to write; it appears only when complete and proven.
        dtype: Data type of the weights; auto keeps the one the run trained in.
        max_shard_size: Largest weight file.
        overwrite: Replace an earlier export.
    """
    if out.exists() and not overwrite:
        raise ExportExistsError(f"{out} exists. Remedy: add --overwrite true, or name another --out.")
    opened = open_run(run)
    checkpoint = run if (run / WEIGHTS).is_file() else opened.checkpoint()
    manifest.verify(checkpoint)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        checks = _write(opened, checkpoint, partial, _dtype(opened, dtype), max_shard_size, title=out.name)
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    console = Console()
    console.print(table(checks))
    console.print(f"Wrote {out}. Ask it: cxr describe {out} IMAGE")


def _write(
    run: Run, checkpoint: Path, folder: Path, dtype: torch.dtype, max_shard_size: str, *, title: str
) -> list[Check]:
    provenance = run.provenance
    source = ModelSource.from_json(provenance["model"])
    processor = load_processor(source)
    model, lora = _trained(provenance, source, processor, checkpoint, dtype)
    inputs = trial_inputs(processor)
    expected = trial_logits(model, inputs)
    family = vlm_family(model.config)
    vision_frozen = provenance["trainable"]["vision"] == "frozen"
    vision = {
        name: value.detach()
        for name, value in model.named_parameters()
        if role_of(name, family) == "vision" and vision_frozen
    }
    clean = clean_model(model, lora)
    clean.generation_config = _generation(processor, clean)
    clean.save_pretrained(folder, max_shard_size=max_shard_size)
    if source.composed:
        write_serving_names(folder, clean.config.vision_config.model_type)
    processor.save_pretrained(folder)
    checks = prove(folder, inputs, expected, vision, dtype)
    proof = [(check.what, check.found) for check in checks]
    names = {"run": run.folder.resolve().name, "checkpoint": checkpoint.name}
    (folder / "README.md").write_text(model_card(provenance, title=title, proof=proof, **names))
    record = {**provenance, **names, "proof": [asdict(check) for check in checks]}
    (folder / "provenance.json").write_text(json.dumps(record, indent=2) + "\n")
    return checks


def _trained(
    provenance: dict[str, Any], source: ModelSource, processor: Any, checkpoint: Path, dtype: torch.dtype
) -> tuple[Any, Lora | None]:
    """Builds the trained model again: base, adapters, learned weights."""
    model = load_model(source, processor, dtype=dtype)
    base = fingerprint(model.named_parameters())
    lora = None if provenance["lora"] is None else Lora.from_json(provenance["lora"])
    prepare(model, Trainable(**provenance["trainable"]), lora or Lora(), vlm_family(model.config))
    path = checkpoint / WEIGHTS
    weights.put(model, weights.read(path, base=base), origin=path)
    return model.eval(), lora


def _generation(processor: Any, model: Any) -> GenerationConfig:
    """Greedy by default: a report should not change when asked for twice."""
    tokenizer = processor.tokenizer
    ends = model.generation_config.eos_token_id
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id if ends is None else ends,
        pad_token_id=tokenizer.pad_token_id,
    )


def _dtype(run: Run, wish: Precision) -> torch.dtype:
    if wish != "auto":
        return getattr(torch, wish)
    precision = str(run.provenance["precision"])
    return (
        torch.bfloat16
        if precision.startswith("bf16")
        else torch.float16
        if precision.startswith("16")
        else torch.float32
    )
