"""A plan as tables for a terminal of 80 columns, and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from cxr_lightning.cluster.planning.memory import GIB, PARTS, Case, Memory
from cxr_lightning.cluster.planning.scaling import Machines, Point
from cxr_lightning.cluster.units import size

MIB = 2**20
_HEADINGS = {
    "weights": "weights",
    "gradients": "grads",
    "optimizer": "optim",
    "exchange": "exch",
    "activations": "activ",
    "logits": "logits",
    "working": "work",
}


@dataclass(frozen=True)
class Option:
    """One way to train the configured rows, and what it needs.

    Attributes:
        case: The way.
        memory: What it needs.
        largest: Samples, or tokens, of the largest row that fits.
        configured: Whether it is the configuration's own.
    """

    case: Case
    memory: Memory
    largest: int
    configured: bool

    @property
    def name(self) -> str:
        """The ZeRO stage, and what is offloaded."""
        sharing = self.case.sharing
        lies = "".join(letter for letter, on in (("o", sharing.offloads), ("p", sharing.offload_parameters)) if on)
        return f"{sharing.stage}{'+' + lies if lies else ''}"

    def to_json(self) -> dict[str, Any]:
        """Returns the option as plain values."""
        sharing, memory = self.case.sharing, self.memory
        return {
            "zero_stage": sharing.stage,
            "offload_optimizer": sharing.offload_optimizer,
            "offload_parameters": sharing.offload_parameters,
            "activation_checkpointing": list(self.case.checkpointing),
            "configured": self.configured,
            "bytes": {part: memory.parts[part] for part in PARTS},
            "total": memory.total,
            "loading": memory.loading,
            "host": dict(memory.host),
            "largest": self.largest,
        }


def gib(size: float, unit: int = GIB) -> str:
    """Writes bytes in GiB, or another unit, short enough for a column."""
    value = size / unit
    if value and value < 0.05:
        return "<0.1"
    return f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def memory_table(options: Sequence[Option], limit: int | None, *, device: str, tokens: bool) -> Table:
    """Returns memory of each rank by ZeRO stage, of options that compute the same again.

    Args:
        options: What is told.
        limit: Bytes of a GPU; None for a CPU.
        device: `cuda` or `cpu`.
        tokens: Whether rows are measured in tokens.
    """
    unit = GIB if max(option.memory.total for option in options) >= GIB else MIB
    what = f"{'GiB' if unit == GIB else 'MiB'} of each {'GPU' if device == 'cuda' else 'rank on a CPU'}"
    what += "" if limit is None else f" of {limit / GIB:g} GiB"
    again = options[0].case.checkpointing
    how = f"{' and '.join(again)} computed again on the way back" if again else "all activations kept"
    grid = Table(title=f"{what}, {how}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    headings = {**_HEADINGS, "reserve": "CUDA" if device == "cuda" else "copies"}
    last = () if limit is None else ("row" if tokens else "fits",)
    for heading in ("ZeRO", *headings.values(), "total", *last):
        grid.add_column(heading, justify="left" if heading == "ZeRO" else "right", no_wrap=True)
    for option in options:
        over = "^" if option.memory.total == option.memory.loading else ""
        total = Text(gib(option.memory.total, unit) + over, style=_colour(option.memory.total, limit))
        name = f"{option.name} *" if option.configured else option.name
        cells = [gib(option.memory.parts[part], unit) for part in PARTS]
        fits = [f"{option.largest:,}" if option.largest else "-"] * len(last)
        grid.add_row(name, *cells, total, *fits, style="bold" if option.configured else None)
    return grid


def scaling_table(points: Sequence[Point], limit: int) -> Table:
    """Returns the training on several numbers of nodes."""
    grid = Table(title="From one node to many", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("nodes", "GPUs", "batch", "micro", "steps", "s/step", "sent", "hours", "GPU-h", "GiB"):
        grid.add_column(heading, justify="right", no_wrap=True)
    for point in points:
        grid.add_row(
            str(point.nodes),
            str(point.gpus),
            f"{point.global_batch}{'+' if point.grown else ''}",
            f"{point.micro_batch:.3g} x {point.accumulation}",
            f"{point.steps:,}",
            _figure(point.computing),
            size(point.sent),
            _between(*point.hours),
            _figure(point.gpu_hours[1]),
            Text(gib(point.memory), style=_colour(point.memory, limit)),
        )
    return grid


def _colour(size: int, limit: int | None) -> str:
    return "" if limit is None else "green" if size <= limit else "red"


def _between(low: float, high: float) -> str:
    one, other = _figure(low), _figure(high)
    return other if one == other or high < 1.05 * low else f"{one}-{other}"


def _figure(value: float) -> str:
    if value >= 99.5:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.95 else f"{value:.2g}" if value >= 0.1 else f"{value:.1g}"


def notes(machines: Machines, points: Sequence[Point], *, device: str, loading: bool) -> list[str]:
    """Returns what has to be known to read the tables.

    Args:
        machines: What there is to compute with.
        points: The table of nodes.
        device: `cuda` or `cpu`.
        loading: Whether loading is the worst moment somewhere.
    """
    moment = "exch: buckets, and weights gathered under ZeRO-3; work: what a layer or the optimizer needs for a moment."
    if device == "cuda":
        told = [
            "* as configured; +o, +p optimizer or weights in host memory; fits: samples of the largest row that does.",
            moment,
            "CUDA: context, NCCL and what the allocator loses: an allowance, not a measurement.",
        ]
    else:
        told = ["* as configured; copies: out of which checkpoints are written.", moment]
    if points:
        told.append(_assumed(machines))
    if loading:
        told.append("^: what loading takes: every rank puts the whole model onto its GPU before it is divided.")
    if any(point.grown for point in points):
        told.append("+: so many GPUs cannot share the configured batch, so it grows; the learning rate has to follow.")
    return told


def _assumed(machines: Machines) -> str:
    return (
        f"Hours at {machines.mfu:.0%} of {machines.peak / 1e12:g} TFLOP/s a GPU: first if all is sent while others are "
        f"computed, then, as GPU-h are, if nothing is ({machines.network / 1e9:g} GB/s of a GPU between nodes)."
    )
