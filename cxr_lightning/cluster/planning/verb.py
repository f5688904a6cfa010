"""`cxr plan`: the command line of a `cxr fit` enters; what it will need of GPUs, network, disk and time leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cxr_lightning.cluster.planning.asking import Asked
from cxr_lightning.cluster.planning.memory import GIB, Case, Estimator
from cxr_lightning.cluster.planning.outline import Outline, PlanError
from cxr_lightning.cluster.planning.picture import draw
from cxr_lightning.cluster.planning.report import Option, gib, memory_table, notes, scaling_table
from cxr_lightning.cluster.planning.scaling import Point, Training, scale
from cxr_lightning.cluster.planning.sharing import MASTER, MOMENT, Sharing, sent_a_step
from cxr_lightning.cluster.planning.workload import Workload, counted, told, work_of
from cxr_lightning.cluster.units import size
from cxr_lightning.durable import write_text
from cxr_lightning.model.families import Role
from cxr_lightning.model.trainable import ParameterCounts, table
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.training.fit import quiet


def plan(args: Sequence[str]) -> None:
    """Plan a training before a GPU is there.

    Args:
        args: Command line after `cxr plan`.

    Raises:
        PlanError: If what is to be planned is not described fully enough.
    """
    quiet()
    asked = Asked.read(args)
    console = Console(stderr=True)
    with console.status("Reading configurations and index ..."):
        planned = prepare(asked)
    with console.status("Following a step on tensors without content ..."):
        options, points = _options(planned), _points(planned)
    _tell(planned, options, points)
    if asked.config.out is not None:
        _write(planned, options, points, Path(asked.config.out))


@dataclass(frozen=True)
class Planned:
    """What is planned.

    Attributes:
        asked: The command line.
        estimator: Of memory.
        training: What is trained and how.
        counts: Parameters by role.
    """

    asked: Asked
    estimator: Estimator
    training: Training
    counts: ParameterCounts

    @property
    def case(self) -> Case:
        """The configured rows on the configured GPUs."""
        return self.training.case(self.asked.ranks)

    @property
    def most(self) -> int:
        """The samples that a GPU computes in a step, so the most that a row can have."""
        return max(1, self.training.rows(self.asked.ranks)[0].global_batch // self.asked.ranks)


def prepare(asked: Asked) -> Planned:
    """Reads what a plan needs: configurations, index, and of models config.json.

    Args:
        asked: The command line.

    Raises:
        PlanError: If what is to be planned is not described fully enough.
        BatchArithmeticError: If the ranks cannot share the global batch.
        RowBudgetError: If no rows keep the budget.
    """
    asked.require()
    described = asked.described
    estimator = Estimator(described, dtype=asked.dtype, device=asked.device, side=asked.config.image_side)
    model = estimator.outline(divided=asked.sharing.divided, checkpointing=asked.checkpointing)
    batching = asked.batching(packs=model.packs)
    estimator.layout = batching.layout
    workload = _workload(asked, estimator)
    workload.rows(batching, asked.ranks)  # what training would refuse is refused here
    if not batching.steps(workload.samples):
        raise PlanError(
            f"{workload.samples} samples x {batching.epochs:g} epochs do not fill one global batch of "
            f"{batching.global_batch}. Remedy: lower --data.global_batch, or raise --data.epochs."
        )
    training = Training(asked.sharing, asked.checkpointing, batching, workload, model.flops)
    return Planned(asked, estimator, training, model.counts)


def _workload(asked: Asked, estimator: Estimator) -> Workload:
    config, model = asked.config, estimator.outline(divided=asked.sharing.divided, checkpointing=asked.checkpointing)
    if config.samples is not None:
        tokens = min(config.tokens or config.data.max_tokens, config.data.max_tokens)
        return told(model, config.samples, tokens, config.answer_tokens, config.image_side)
    if model.processor is None:
        raise PlanError(
            "How long samples are cannot be counted: the model's tokenizer or preprocessor cannot be read. Remedy: put "
            "them beside its config.json (no weights are needed), or say --samples and --tokens."
        )
    try:
        return counted(model, asked.shards())
    except (ShardError, StorageError) as error:
        raise PlanError(
            f"{str(error).rstrip('.')}. Or, before there are shards, say --samples and --tokens."
        ) from error


def _options(planned: Planned) -> list[Option]:
    """Estimates each ZeRO stage, with and without offload and checkpointing."""
    asked, configured = planned.asked, planned.case
    own = planned.training.checkpointing
    roles: list[tuple[Role, ...]] = [(), own or ("language",)]
    ways = [(again, sharing) for again in roles for sharing in _sharings(configured)]
    cases = [replace(configured, sharing=sharing, checkpointing=again) for again, sharing in ways]
    cases = list(dict.fromkeys([*cases, configured]))
    estimator = planned.estimator
    estimator.memories([each for case in cases for each in (case, *estimator.line(case))])
    options = []
    for case, memory in zip(cases, estimator.memories(cases), strict=True):
        samples = planned.most if asked.limit is None else estimator.largest(case, asked.limit, planned.most)
        largest = samples if planned.training.batching.row_tokens is None else _tokens(case, samples)
        options.append(Option(case, memory, largest, case == configured))
    return sorted(options, key=lambda option: (roles.index(option.case.checkpointing), option.name))


def _tokens(case: Case, samples: int) -> int:
    return samples * sum(each.tokens for each in case.row) // len(case.row)


def _sharings(case: Case) -> list[Sharing]:
    bare = replace(case.sharing, offload_optimizer=False, offload_parameters=False)
    found = [replace(bare, stage=stage) for stage in (0, 1, 2, 3)]
    if case.sharing.device == "cuda":
        found += [replace(bare, stage=stage, offload_optimizer=True) for stage in (2, 3)]
        found += [replace(bare, stage=3, offload_optimizer=True, offload_parameters=True)]
    return found


def _points(planned: Planned) -> list[Point]:
    if planned.asked.device == "cpu":
        return []
    return scale(planned.training, planned.asked.machines, planned.estimator, planned.asked.nodes)


def _tell(planned: Planned, options: list[Option], points: list[Point]) -> None:
    asked, console = planned.asked, Console()
    described, in_tokens = asked.described, planned.training.batching.row_tokens is not None
    console.print(table(planned.counts, described.trainable, described.loras))
    console.print(_summary(planned, options))
    for _, alike in groupby(options, lambda option: option.case.checkpointing):
        console.print(memory_table(list(alike), asked.limit, device=asked.device, tokens=in_tokens))
    if points and asked.limit is not None:
        console.print(scaling_table(points, asked.limit))
    loading = any(option.memory.total == option.memory.loading for option in options)
    told = notes(asked.machines, points, device=asked.device, loading=loading)
    console.print(*told, sep="\n", style="dim", highlight=False)
    console.print(*_advice(planned, options), sep="\n", highlight=False)


def _summary(planned: Planned, options: list[Option]) -> Table:
    """Returns what a step and the whole come to."""
    asked, training, values = planned.asked, planned.training, figures(planned)
    batching, rows = training.rows(asked.ranks)
    each, memory = training.workload.each, next(option.memory for option in options if option.configured)
    kept, on_node = int(asked.config.checkpoint.keep) + 1, min(asked.per_node, asked.ranks)
    grid = Table(title="What it comes to", title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    grid.add_row(
        "data",
        f"{training.workload.samples:,} samples of {each.tokens:,.0f} tokens (images: {each.images:.3g}), of which "
        f"{each.supervised:,.0f} are supervised",
    )
    grid.add_row(
        "step",
        f"{batching.global_batch} samples = {asked.ranks} ranks x {rows.accumulation} {batching.layout} rows; the "
        f"largest has {len(rows.largest)} samples, {rows.tokens:,} tokens",
    )
    grid.add_row("", f"{values['tokens_per_step']:,.0f} tokens, {values['flops_per_step']:.3g} operations")
    grid.add_row("steps", f"{batching.steps(training.workload.samples):,}")
    whole = 8 * rows.tokens * int(_model(planned).model.config.get_text_config().vocab_size)
    grid.add_row("logits", f"{size(memory.logits)} with gradients, some at a time; of all positions: {size(whole)}")
    grid.add_row("network", f"{size(values['sent_per_step'])} sent by each rank and step")
    grid.add_row("checkpoint", f"{size(values['checkpoint'])}; {kept} stay: {size(kept * values['checkpoint'])}")
    grid.add_row("export", size(values["export"]))
    grid.add_row("host memory", f"{size(values['host_loading'] * on_node)} a node while the model is loaded;")
    grid.add_row("", f"then {size(sum(memory.host.values()) * on_node)} at most: copies to be saved, what is offloaded")
    return grid


def _model(planned: Planned) -> Outline:
    training = planned.training
    return planned.estimator.outline(divided=training.sharing.divided, checkpointing=training.checkpointing)


def figures(planned: Planned) -> dict[str, float]:
    """Returns what the configured training computes, sends and saves, in bytes where nothing else is said."""
    training, case, sizes = planned.training, planned.case, _model(planned).sizes
    batching, _ = training.rows(planned.asked.ranks)
    gathered = planned.estimator.memories([case])[0].gathered
    state = sizes.learning * (2 * MOMENT + MASTER * case.sharing.half)
    return {
        "tokens_per_step": training.workload.each.tokens * batching.global_batch,
        "flops_per_step": training.flops.of(work_of(training.workload.each, batching.global_batch)),
        "sent_per_step": sent_a_step(case.sharing, sizes, gathered),
        "checkpoint": sizes.saved * case.sharing.number + state,
        "export": sizes.exported * case.sharing.number,
        "host_loading": sum(sizes.all) * planned.asked.stored.itemsize,
    }


def _advice(planned: Planned, options: list[Option]) -> list[str]:
    """Returns whether the configuration fits, and what to do."""
    limit, batching = planned.asked.limit, planned.training.batching
    own = next(option for option in options if option.configured)
    if limit is None:
        return [f"A rank takes {size(own.memory.total)}."]
    option = "--data.micro_batch" if batching.row_tokens is None else "--data.row_tokens"
    if own.memory.total <= limit:
        best = _valid(planned, own.largest)
        now = batching.micro_batch if batching.row_tokens is None else batching.row_tokens
        more = f" The largest row that fits: {option} {best}." if best > now else ""
        return [f"It fits: {gib(own.memory.total)} of {limit / GIB:g} GiB.{more}"]
    lines = [f"It does not fit: {gib(own.memory.total)} of {limit / GIB:g} GiB."]
    if own.memory.total == own.memory.loading:
        lines.append("Already while it is loaded: every rank puts the whole model onto its GPU before it is divided.")
    best = _valid(planned, own.largest)
    if best and (batching.row_tokens is None or best >= planned.asked.config.data.max_tokens):
        lines.append(f"Remedy: {option} {best}.")
    else:
        fitting = (each for each in options if each.memory.total <= limit)
        nearest = sorted(fitting, key=lambda each: _price(each, own))[:2]
        larger = "larger GPUs" if own.memory.loading > limit else "more GPUs, or larger ones"
        told = "; or ".join(_said(each, own) for each in nearest) or larger
        lines.append(f"Remedy: {told}.")
    return lines


def _valid(planned: Planned, largest: int) -> int:
    """Returns the largest micro-batch that divides the global batch, or row, up to a size; 0 if there is none."""
    if planned.training.batching.row_tokens is not None:
        return largest // 256 * 256 or largest
    share = planned.training.rows(planned.asked.ranks)[0].global_batch // planned.asked.ranks
    return max((each for each in range(1, largest + 1) if share % each == 0), default=0)


def _price(option: Option, own: Option) -> tuple[bool, bool, bool, bool, bool]:
    """Returns how dear a way of training is: by what it makes slower, then by whether it is another."""
    sharing = option.case.sharing
    again, other = bool(option.case.checkpointing), sharing.stage != own.case.sharing.stage
    return sharing.offload_parameters, sharing.offloads, sharing.divided, again, other


def _said(option: Option, own: Option) -> str:
    """Returns the options that lead from the configured way of training to another."""
    sharing, now, again = option.case.sharing, own.case.sharing, option.case.checkpointing
    strategy, words = "--trainer.strategy.init_args", []
    for name in ("stage", "offload_optimizer", "offload_parameters"):
        if getattr(sharing, name) != getattr(now, name):
            words.append(f"{strategy}.{name} {str(getattr(sharing, name)).lower()}")
    if again != own.case.checkpointing:
        words.append(f'--model.compute.activation_checkpointing "[{",".join(again)}]"')
    return " ".join(words)


def _write(planned: Planned, options: list[Option], points: list[Point], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    asked = planned.asked
    record = {
        "schema": 1,
        "parameters": {"total": planned.counts.total, "learning": planned.counts.learning},
        "figures": figures(planned),
        "ranks": asked.ranks,
        "limit": asked.limit,
        "memory": [option.to_json() for option in options],
        "scaling": [point.to_json() for point in points],
    }
    write_text(folder / "plan.json", json.dumps(record, indent=1) + "\n")
    if points and asked.limit is not None:
        draw(points, asked.limit, _title(planned), folder / "scaling.png")
    Console(stderr=True).print(f"Wrote {folder}", soft_wrap=True)


def _title(planned: Planned) -> str:
    described, counts = planned.asked.described, planned.counts
    roles = [role for role in counts.roles if counts.roles[role].learning]
    learns = ", ".join(f"{role} {described.trainable.choice(role)}" for role in roles)
    kind = planned.asked.config.gpu.upper()
    return f"{counts.total / 1e9:.2g} billion parameters; {learns}; {kind}, ZeRO-{planned.training.sharing.stage}"
