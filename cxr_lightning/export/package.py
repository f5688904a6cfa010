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

from cxr_lightning.checkpoint.position import validation_loss
from cxr_lightning.checkpoint.publish import publish
from cxr_lightning.checkpoint.runs import Run, open_run
from cxr_lightning.export.adapter import prove_adapter, require_adapter, write_adapter
from cxr_lightning.export.card import model_card
from cxr_lightning.export.contents import Contents, plan, write_beside
from cxr_lightning.export.lending import Reading, in_float32, without_adapters
from cxr_lightning.export.merge import Merged, merging
from cxr_lightning.export.proof import Check, ExportNotProvenError, checksum, prove, prove_merge, reload, table
from cxr_lightning.export.room import PROVENANCE, aside, parse_size, require_free, require_room
from cxr_lightning.export.servable import Finding, judge, servers
from cxr_lightning.export.trained import Base, learn, load_base, trained_in
from cxr_lightning.export.trial import Inputs, continued, trial_logits, trials
from cxr_lightning.export.writing import write
from cxr_lightning.model.families import role_of

Precision = Literal["auto", "float32", "bfloat16", "float16"]


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
    require_free(out, overwrite=overwrite)
    most_bytes, opened = parse_size(max_shard_size), open_run(run)
    checkpoint = opened.checkpoint()
    chosen = trained_in(opened) if dtype == "auto" else getattr(torch, dtype)
    errors = Console(stderr=True)
    errors.print(f"Reading {checkpoint} ...", highlight=False, soft_wrap=True)
    base = load_base(opened)
    with aside(out) as partial:
        if adapter:
            checks = _export_adapter(base, checkpoint, partial)
        else:
            checks = _export(base, checkpoint, partial, chosen, most_bytes, errors)
        findings = judge(partial)
        checks.append(_complete(findings))
        _describe(partial, opened, checkpoint, checks, title=out.name, adapter=adapter)
        publish(partial, out)
    told = Console()
    told.print(table(checks))
    told.print(f"Wrote {out} from {checkpoint.name}.", highlight=False, soft_wrap=True)
    for line in _onward(out, base, findings, adapter=adapter):
        told.print(line, highlight=False, soft_wrap=True)


def _onward(out: Path, base: Base, findings: list[Finding], *, adapter: bool) -> Iterator[str]:
    """Yields what may be done with what was written."""
    for server in servers(out, findings):
        if server.serves:
            yield f"Serve it: {server.command}"
        elif server.why:
            yield f"Not by {server.name}: {server.why}"
    if base.source.text_only:
        yield f"Show it images: --model.source.language {out}"
    elif not adapter:
        yield f"Ask it: cxr describe {out} IMAGE"


def _complete(findings: list[Finding]) -> Check:
    """Returns whether the folder holds what every server asks for.

    Raises:
        ExportNotProvenError: If something is missing.
    """
    asked = [finding for finding in findings if finding.weight == "any"]
    broken = [f"{finding.what}: {finding.found}" for finding in asked if not finding.holds]
    if broken:
        raise ExportNotProvenError(f"What was written is not complete: {'; '.join(broken)}. Nothing was kept.")
    return Check("the folder is complete", f"{len(asked)} of {len(asked)} checks of its files", True)


def _export_adapter(base: Base, checkpoint: Path, folder: Path) -> list[Check]:
    """Writes adapters alone, puts them beside a fresh base, and proves that."""
    require_adapter(base, checkpoint)
    prompts = trials(base.processor)
    untrained = logits(base, prompts, base.read)
    write_adapter(folder, base, learn(base, checkpoint))
    return prove_adapter(folder, base, prompts, logits(base, prompts, base.read), untrained)


def _export(
    base: Base, checkpoint: Path, folder: Path, dtype: torch.dtype, most_bytes: int, errors: Console
) -> list[Check]:
    """Merges, writes, reloads what was written, and proves it."""
    prompts = trials(base.processor)
    untrained = logits(base, prompts, base.read)
    vision = _vision_of(base, dtype)
    merged = Merged(base.model, learn(base, checkpoint), base.family, base.read, base.pages)
    contents = plan(base, merged, dtype)
    require_room(folder, contents.bytes)
    with _bar(errors, contents) as advance:
        sums = write(folder, contents.entries, most_bytes, advance=advance)
    write_beside(folder, base, contents.frame, dtype)
    errors.print("Proving what was written ...")
    written = {name: sums[place] for name, place in contents.names.items()}
    found = reload(folder, prompts, written, vision, dtype, text_only=base.source.text_only)
    answered = [continued(prompt, tokens) for prompt, tokens in zip(prompts, found.texts, strict=True)]
    trained = logits(base, answered, base.read)
    with without_adapters(base.model):
        together = logits(base, answered, merging(merged))
    check = prove_merge(_as_long(together, untrained), _as_long(trained, untrained), untrained)
    return [check, *prove(found, together, trained, dtype, folder)]


def logits(base: Base, prompts: Sequence[Inputs], read: Reading) -> list[Tensor]:
    """Returns a model's logits on prompts, computed in float32 from its weights as they are read."""
    with in_float32(base.model, read, base.pages):
        return [trial_logits(base.model, prompt, torch.float32) for prompt in prompts]


def _as_long(logits: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    return [longer[:, : shorter.shape[1]] for longer, shorter in zip(logits, others, strict=True)]


def _vision_of(base: Base, dtype: torch.dtype) -> dict[str, int]:
    """Returns the checksums of the base's vision weights, which a frozen tower must keep."""
    sums: dict[str, int] = {}
    if base.run.provenance["trainable"]["vision"] == "frozen":
        for name, parameter in base.model.named_parameters():
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


@contextmanager
def _bar(console: Console, contents: Contents) -> Iterator[Callable[[int], object]]:
    """Lends a progress bar of the bytes written, for eyes alone."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("merging", total=contents.bytes)
        yield lambda count: progress.advance(task, count)
