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

from cxr_lightning.checkpoint import weights
from cxr_lightning.checkpoint.publish import publish
from cxr_lightning.checkpoint.runs import WEIGHTS, Run, open_run
from cxr_lightning.export.card import model_card
from cxr_lightning.export.layout import write_serving_names
from cxr_lightning.export.merge import clean_model
from cxr_lightning.export.proof import Check, prove, prove_merge, table, trial_inputs, trial_logits
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import Role, VlmFamily, family_of, role_of
from cxr_lightning.model.fingerprint import fingerprint
from cxr_lightning.model.lora import Lora, loras_from_json
from cxr_lightning.model.quantize import held_as, round_weights
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable, prepare

Precision = Literal["auto", "float32", "bfloat16", "float16"]


PROVENANCE = "provenance.json"


class ExportExistsError(ValueError):
    """The output folder holds something already."""


def export(
    run: Path, *, out: Path, dtype: Precision = "auto", max_shard_size: str = "5GB", overwrite: bool = False
) -> None:
    """Merge what a run learned into its base model, prove it, and write a complete folder.

    Args:
        run: The run directory, for its newest checkpoint, or one of its checkpoint folders; RUN/checkpoints/best is the
            one with the lowest validation loss.
        out: Folder to write; it appears only when complete and proven.
        dtype: Data type of the weights; auto keeps the one the run trained in.
        max_shard_size: Largest weight file.
        overwrite: Replace an earlier export.
    """
    if out.exists() and not overwrite:
        raise ExportExistsError(f"{out} exists. Remedy: add --overwrite true, or name another --out.")
    if out.exists() and not ((out / PROVENANCE).is_file() and (out / "config.json").is_file()):
        raise ExportExistsError(f"{out} is no earlier export and will not be replaced. Remedy: name another --out.")
    opened = open_run(run)
    checkpoint = opened.checkpoint()
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        checks = _write(opened, checkpoint, partial, _dtype(opened, dtype), max_shard_size, title=out.name)
        publish(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    console = Console()
    console.print(table(checks))
    text_only = ModelSource.from_json(opened.provenance["model"]).text_only
    onward = f"Show it images: --model.source.language {out}" if text_only else f"Ask it: cxr describe {out} IMAGE"
    console.print(f"Wrote {out}. {onward}")


def _write(
    run: Run, checkpoint: Path, folder: Path, dtype: torch.dtype, max_shard_size: str, *, title: str
) -> list[Check]:
    """Merges in float32, proves that, rounds once, writes, and proves what was written."""
    provenance = run.provenance
    source = ModelSource.from_json(provenance["model"])
    processor = load_processor(source)
    model = load_model(source, processor, dtype=torch.float32)
    family = family_of(source, model.config)
    base = fingerprint(model.named_parameters())
    if source.quantize is not None:  # adapters learned beside these values, not beside the published ones
        round_weights(model, family, _dtype(run, "auto"))
    inputs = trial_inputs(processor)
    untrained = trial_logits(model, inputs)
    loras = _learn_again(model, run, checkpoint, family, base)
    trained = trial_logits(model, inputs)
    frozen = provenance["trainable"]["vision"] == "frozen"
    named = {name: value.detach() for name, value in model.named_parameters()}
    vision = {name: value.to(dtype) for name, value in named.items() if frozen and role_of(name, family) == "vision"}
    clean = clean_model(model, loras, family)
    checks = [prove_merge(trial_logits(clean, inputs), trained, untrained)]
    for parameter in clean.parameters():  # not buffers: transformers keeps rotary frequencies in float32
        parameter.data = parameter.data.to(dtype)
    clean.config.dtype, clean.generation_config = dtype, _generation(processor, clean)
    clean.save_pretrained(folder, max_shard_size=max_shard_size)
    if source.composed:
        write_serving_names(folder, clean.config.vision_config.model_type)
    processor.save_pretrained(folder)
    checks += prove(folder, inputs, trial_logits(clean, inputs), vision, dtype, text_only=source.text_only)
    proof = [(check.what, check.found) for check in checks]
    names = {"run": run.folder.resolve().name, "checkpoint": checkpoint.name}
    (folder / "README.md").write_text(model_card(provenance, title=title, proof=proof, **names))
    record = {**provenance, **names, "proof": [asdict(check) for check in checks]}
    (folder / PROVENANCE).write_text(json.dumps(record, indent=2) + "\n")
    return checks


def _learn_again(model: Any, run: Run, checkpoint: Path, family: VlmFamily, base: str) -> dict[Role, Lora]:
    """Puts into the base what the run learned; the adapters' settings are those that lie with their weights."""
    path, provenance = checkpoint / WEIGHTS, run.provenance
    held = held_as(base, ModelSource.from_json(provenance["model"]), weights.lora_of(path))
    own, adapters = weights.divide(weights.read(path, base=held))
    loras = loras_from_json(weights.lora_of(path))
    weights.put(model, own, origin=path)
    prepare(model, Trainable(**provenance["trainable"]), loras, family)
    weights.put(model, adapters, origin=path)
    model.eval()
    return loras


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
