"""`cxr export`: a run becomes a folder that transformers and vLLM serve as it is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from cxr_lightning.checkpoint import weights
from cxr_lightning.checkpoint.position import validation_loss
from cxr_lightning.checkpoint.runs import WEIGHTS, Run, open_run
from cxr_lightning.checkpoint.studies import read_studies, write_studies
from cxr_lightning.export.adapter import prove_adapter, require_adapter, write_adapter
from cxr_lightning.export.card import model_card
from cxr_lightning.export.contents import Contents, plan, write_beside
from cxr_lightning.export.learned import prove_layers, prove_learned
from cxr_lightning.export.lending import Reading, in_float32, without_adapters
from cxr_lightning.export.merge import Merged, merging
from cxr_lightning.export.proof import (
    Check,
    apart,
    largest,
    note_rounding,
    prove_merge,
    prove_reload,
    prove_texts,
    require,
    table,
)
from cxr_lightning.export.reloading import Meant, checksum, reload
from cxr_lightning.export.room import PROVENANCE, aside, parse_size, publish, require_free, require_room
from cxr_lightning.export.servable import Finding, judge, servers
from cxr_lightning.export.trained import Model, learn, load_base, trained_in
from cxr_lightning.export.trial import Inputs, continued, image_ids, trial_logits, trials
from cxr_lightning.export.writing import write
from cxr_lightning.model.families import role_of
from cxr_lightning.model.source import ModelSource

Precision = Literal["auto", "float32", "bfloat16", "float16"]
_KEPT = 8
"""Positions at the end of each prompt whose logits are compared: all else in the prompt goes into them."""
_STEP = {torch.float32: 2**-23, torch.bfloat16: 2**-8, torch.float16: 2**-11}
"""Spacing of numbers near one: a model that computes in a type cannot tell logits that are nearer."""


def export(
    run: Path,
    *,
    out: Path,
    dtype: Precision = "auto",
    max_shard_size: str = "5GB",
    adapter: bool = False,
    overwrite: bool = False,
) -> None:
    """Merge what a run learned into its base model, prove it, and write a complete folder.

    Weights go from the base's files to the export's one by one, so a model of any size needs the memory of its
    largest matrices; no GPU is used.

    Args:
        run: The run directory, for its newest checkpoint, or one of its checkpoint folders; RUN/checkpoints/best is the
            one with the lowest validation loss.
        out: Folder to write; it appears only when complete and proven.
        dtype: Data type of the weights; auto keeps the one the run trained in.
        max_shard_size: Largest weight file, such as 5GB.
        adapter: Write the adapters alone, as PEFT does, for a server that loads them beside the base; refused where
            anything else was learned.
        overwrite: Replace an earlier export.
    """
    most_bytes, opened, place = parse_size(max_shard_size), open_run(run), out.resolve()
    source = ModelSource.from_json(opened.provenance["model"])
    require_free(place, overwrite=overwrite, needed=(source.base, source.vision, source.language))
    checkpoint = opened.checkpoint()
    chosen = trained_in(opened) if dtype == "auto" else getattr(torch, dtype)
    errors = Console(stderr=True)
    errors.print(f"Reading {checkpoint} ...", highlight=False, soft_wrap=True)
    with aside(place) as partial:
        base = load_base(opened)
        if adapter:
            checks = _export_adapter(base, checkpoint, partial)
        else:
            checks = _export(base, checkpoint, partial, chosen, most_bytes, errors)
        findings = judge(partial)
        checks = require([*checks, _complete(findings)])
        _describe(partial, opened, checkpoint, checks, title=out.name, adapter=adapter)
        publish(partial, place, overwrite=overwrite)
    told = Console()
    told.print(table(checks))
    told.print(f"Wrote {out} from {checkpoint.name}.", highlight=False, soft_wrap=True)
    for line in _onward(out, findings, text_only=source.text_only, adapter=adapter):
        told.print(line, highlight=False, soft_wrap=True)


def _onward(out: Path, findings: list[Finding], *, text_only: bool, adapter: bool) -> Iterator[str]:
    """Yields what may be done with what was written."""
    for server in servers(out, findings):
        if server.serves:
            yield f"Serve it: {server.command}"
        elif server.why:
            yield f"Not by {server.name} itself: {server.why}"
    if text_only:
        yield f"Show it images: --model.source.language {out}"
    elif not adapter:
        yield f"Ask it: cxr describe {out} IMAGE"


def _complete(findings: list[Finding]) -> Check:
    """Returns whether the folder holds what every server asks for."""
    asked = [finding for finding in findings if finding.weight == "any"]
    broken = [f"{finding.what}: {finding.found}" for finding in asked if not finding.holds]
    told = "; ".join(broken) or f"{len(asked)} of {len(asked)} checks of its files"
    return Check("the folder is complete", told, not broken)


def _export_adapter(base: Model, checkpoint: Path, folder: Path) -> list[Check]:
    """Writes adapters alone, puts them beside a fresh base, and proves that."""
    require_adapter(base, checkpoint)
    prompts = trials(base.processor)
    untrained = _logits(base, prompts, base.read)
    trained = learn(base, checkpoint)
    write_adapter(folder, trained)
    return [prove_adapter(folder, trained, prompts, _logits(trained, prompts, trained.read), untrained)]


def _export(
    base: Model, checkpoint: Path, folder: Path, dtype: torch.dtype, most_bytes: int, errors: Console
) -> list[Check]:
    """Merges, writes, reloads what was written, and proves it."""
    prompts = trials(base.processor)
    untrained = _logits(base, prompts, base.read)
    vision = _vision_of(base, checkpoint, dtype)
    trained = learn(base, checkpoint)
    merged = Merged(trained.module, trained.loras, trained.family, trained.read, trained.pages)
    contents = plan(trained, merged, dtype)
    require_room(folder, contents.size)
    with _bar(errors, contents) as advance:
        sums = write(folder, contents.entries, most_bytes, advance=advance)
    write_beside(folder, base.processor, contents.frame, dtype)
    errors.print("Proving what was written ...")
    written = {name: sums[place] for name, place in contents.names.items()}
    meant = Meant(prompts, base.processor, written, vision, dtype, base.source.text_only)
    learned = [prove_learned(trained, contents.instead, written, dtype)]
    learned += [prove_layers(trained, merged)] if merged.adapted else []
    return [*learned, *_prove(folder, trained, merged, meant, untrained)]


def _prove(folder: Path, trained: Model, merged: Merged, meant: Meant, untrained: Sequence[Tensor]) -> Iterator[Check]:
    """Yields what the trained model, the merged one and the reloaded one have in common."""
    found = reload(folder, meant, _KEPT)
    answered = [continued(prompt, tokens) for prompt, tokens in zip(meant.prompts, found.texts, strict=True)]
    keep = [_KEPT + len(tokens) for tokens in found.texts]
    on = _logits(trained, answered, trained.read, keep)
    with without_adapters(trained.module):
        together = _heads(_logits(trained, answered, merging(merged), keep))
        rounded = _heads(_logits(trained, answered, merging(merged, meant.dtype), keep))
    yield prove_merge(together, _heads(on), untrained)
    yield from found.checks
    yield prove_reload(found.logits, rounded)
    yield note_rounding(rounded, together, untrained, meant.dtype)
    tie = 4 * max(apart(rounded, together), _STEP[meant.dtype] * largest(together))
    yield prove_texts(found.texts, on, tie, image_ids(trained.module.config))


def _logits(model: Model, prompts: Sequence[Inputs], read: Reading, keep: Sequence[int] | None = None) -> list[Tensor]:
    """Returns a model's last logits on prompts, computed in float32 from its weights as they are read."""
    keep = [_KEPT] * len(prompts) if keep is None else keep
    with in_float32(model.module, read, model.pages):
        each = zip(prompts, keep, strict=True)
        return [trial_logits(model.module, prompt, torch.float32, positions) for prompt, positions in each]


def _heads(logits: Sequence[Tensor]) -> list[Tensor]:
    """Returns the logits that stand before answers: of the last positions of the prompts."""
    return [each[:, :_KEPT] for each in logits]


def _vision_of(base: Model, checkpoint: Path, dtype: torch.dtype) -> dict[str, int]:
    """Returns the checksums of the base's vision weights, which a tower that never learned must keep."""
    learned = weights.names(checkpoint / WEIGHTS)
    sums: dict[str, int] = {}
    if not any(role_of(name, base.family) == "vision" for name in learned):
        for name, parameter in base.module.named_parameters():
            if role_of(name, base.family) == "vision":
                sums[name] = checksum(parameter.to(dtype))
                base.pages.give_back(parameter)
    return sums


def _describe(folder: Path, run: Run, checkpoint: Path, checks: list[Check], *, title: str, adapter: bool) -> None:
    proof = [(check.what, check.found) for check in checks]
    loss = validation_loss(checkpoint)
    names = {"run": run.folder.resolve().name, "checkpoint": checkpoint.name}
    (folder / "README.md").write_text(
        model_card(
            run.provenance,
            title=title,
            proof=proof,
            loss=loss if math.isfinite(loss) else None,
            adapter=adapter,
            **names,
        )
    )
    record: dict[str, Any] = {**run.provenance, **names, "proof": [asdict(check) for check in checks]}
    (folder / PROVENANCE).write_text(json.dumps(record, indent=2) + "\n")
    learned_from = read_studies(run.folder)
    if learned_from is not None:
        write_studies(folder, learned_from)


@contextmanager
def _bar(console: Console, contents: Contents) -> Iterator[Callable[[int], object]]:
    """Lends a progress bar of the bytes written, for eyes alone."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("merging", total=contents.size)
        yield lambda count: progress.advance(task, count)
