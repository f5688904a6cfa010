"""`cxr export`: a run becomes a folder that transformers and vLLM serve as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from cxr_lightning.checkpoint.publish import publish
from cxr_lightning.checkpoint.runs import Run, open_run
from cxr_lightning.export.card import model_card
from cxr_lightning.export.contents import Contents, plan, write_beside
from cxr_lightning.export.lending import Reading, in_float32, without_adapters
from cxr_lightning.export.merge import Merged, merging
from cxr_lightning.export.proof import Check, checksum, prove, prove_merge, reload, table
from cxr_lightning.export.room import PROVENANCE, aside, parse_size, require_free, require_room
from cxr_lightning.export.trained import Base, learn, load_base, trained_in
from cxr_lightning.export.trial import Inputs, continued, trial_logits, trials
from cxr_lightning.export.writing import write
from cxr_lightning.model.families import role_of

Precision = Literal["auto", "float32", "bfloat16", "float16"]


def export(
    run: Path, *, out: Path, dtype: Precision = "auto", max_shard_size: str = "5GB", overwrite: bool = False
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
        overwrite: Replace an earlier export.
    """
    require_free(out, overwrite=overwrite)
    most_bytes, opened = parse_size(max_shard_size), open_run(run)
    checkpoint = opened.checkpoint()
    chosen = trained_in(opened) if dtype == "auto" else getattr(torch, dtype)
    errors = Console(stderr=True)
    errors.print(f"Merging {checkpoint} ...", highlight=False, soft_wrap=True)
    base = load_base(opened)
    with aside(out) as partial:
        checks = _export(base, checkpoint, partial, chosen, most_bytes, errors)
        _describe(partial, opened, checkpoint, checks, title=out.name)
        publish(partial, out)
    told = Console()
    told.print(table(checks))
    text_only = base.source.text_only
    onward = f"Show it images: --model.source.language {out}" if text_only else f"Ask it: cxr describe {out} IMAGE"
    told.print(f"Wrote {out} from {checkpoint.name}. {onward}", highlight=False, soft_wrap=True)


def _export(
    base: Base, checkpoint: Path, folder: Path, dtype: torch.dtype, most_bytes: int, errors: Console
) -> list[Check]:
    """Merges, writes, reloads what was written, and proves it."""
    prompts = trials(base.processor)
    untrained = logits(base, prompts, base.read)
    vision = _vision_of(base, dtype)
    merged = Merged(base.model, learn(base, checkpoint), base.family, base.read)
    contents = plan(base, merged, dtype)
    require_room(folder, contents.bytes)
    with _bar(errors, contents) as advance:
        sums = write(folder, contents.entries, most_bytes, advance)
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


def _describe(folder: Path, run: Run, checkpoint: Path, checks: list[Check], title: str) -> None:
    proof = [(check.what, check.found) for check in checks]
    names = {"run": run.folder.resolve().name, "checkpoint": checkpoint.name}
    (folder / "README.md").write_text(model_card(run.provenance, title=title, proof=proof, **names))
    record: dict[str, Any] = {**run.provenance, **names, "proof": [asdict(check) for check in checks]}
    (folder / PROVENANCE).write_text(json.dumps(record, indent=2) + "\n")


@contextmanager
def _bar(console: Console, contents: Contents) -> Iterator[Callable[[int], object]]:
    """Lends a progress bar of the bytes written, for eyes alone."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("merging", total=contents.bytes)
        yield lambda count: progress.advance(task, count)
