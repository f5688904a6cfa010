"""How much memory a rank needs: what it holds, what a step adds at its worst, and what a GPU takes for itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from cxr_lightning.cluster.planning.example import Extent, make_row
from cxr_lightning.cluster.planning.gathering import DEEPSPEED, Limits
from cxr_lightning.cluster.planning.outline import Description, Outline, outline
from cxr_lightning.cluster.planning.sharing import Sharing, held
from cxr_lightning.cluster.planning.trace import Loss, Traced, our_loss, trace
from cxr_lightning.model.families import Role
from cxr_lightning.stream.rows import Layout

GIB = 2**30
CONTEXT = GIB // 2
"""Bytes that CUDA, its libraries and their workspaces take of a GPU before a tensor is there. Not measured by us."""
CHANNELS = GIB // 2
"""Bytes of NCCL's buffers, where there is more than one GPU. Not measured by us."""
FRAGMENTS = 0.05
"""Share of tensors' bytes that the caching allocator holds beyond them. Not measured by us."""

PARTS = ("weights", "gradients", "optimizer", "exchange", "activations", "logits", "working", "reserve")
"""What memory is told by. `exchange` is buckets and gathered weights, `working` what a layer or the optimizer needs for
a moment, `reserve` what a GPU takes for itself; on a CPU, the copies out of which checkpoints are written."""


@dataclass(frozen=True)
class Case:
    """One way to train a row.

    Attributes:
        sharing: How ranks share what they hold.
        checkpointing: Roles whose activations are computed again.
        row: Its samples.
    """

    sharing: Sharing
    checkpointing: tuple[Role, ...]
    row: tuple[Extent, ...]

    def of(self, samples: int) -> Case:
        """Returns the same with a row of so many samples of mean size."""
        count = len(self.row)
        mean = Extent(
            round(sum(each.tokens for each in self.row) / count),
            round(sum(each.supervised for each in self.row) / count),
            max(each.images for each in self.row),
        )
        return replace(self, row=(mean,) * samples)


@dataclass(frozen=True)
class Memory:
    """What a rank needs.

    Attributes:
        parts: Bytes of the device at the worst moment, by `PARTS`.
        computing: Bytes of the device at the worst moment of forward and backward pass.
        updating: And of the optimizer's step.
        loading: Bytes of the device while the model is loaded, before anything is divided.
        host: Bytes of host memory by purpose, of the rank that holds most, without what the process itself takes.
        gathered: Weights that ZeRO-3 gathers in a forward and backward pass, in numbers.
        logits: Most bytes that the loss takes for logits and their gradients.
    """

    parts: Counter[str]
    computing: int
    updating: int
    loading: int
    host: Counter[str] = field(default_factory=Counter)
    gathered: int = 0
    logits: int = 0

    @property
    def total(self) -> int:
        """Bytes of the device."""
        return max(self.computing, self.updating, self.loading)

    @property
    def tensors(self) -> int:
        """Bytes of the device's tensors alone at the worst moment."""
        return sum(self.parts.values()) - self.parts["reserve"]


class Estimator:
    """Estimates cases of one model; cases that differ in sharing alone are followed in one trace.

    Args:
        described: The model.
        dtype: What it computes in.
        device: `cuda` or `cpu`.
        layout: Of rows.
        side: Pixels of an image's side, for families that leave images their size.
        loss: Another program's, to be compared with its figures.
        limits: DeepSpeed's settings for gathering.
    """

    def __init__(
        self,
        described: Description,
        *,
        dtype: torch.dtype,
        device: str = "cuda",
        layout: Layout = "packed",
        side: int = 512,
        loss: Loss = our_loss,
        limits: Limits = DEEPSPEED,
    ) -> None:
        self.described, self.dtype, self.device = described, dtype, device
        self.layout, self.side, self.loss, self.limits = layout, side, loss, limits
        self._outlines: dict[Any, Outline] = {}
        self._traced: dict[Case, Traced] = {}

    @cached_property
    def processor(self) -> Any:
        """The model's processor, or None where only a config.json is at hand."""
        return self.described.processor()

    def outline(self, *, divided: bool = False, checkpointing: tuple[Role, ...] = ()) -> Outline:
        """Returns the model as it is computed."""
        key = (divided, checkpointing)
        if key not in self._outlines:
            compute = replace(self.described.compute, activation_checkpointing=checkpointing)
            self._outlines[key] = outline(
                self.described, self.processor, dtype=self.dtype, device=self.device, divided=divided, compute=compute
            )
        return self._outlines[key]

    def memories(self, cases: Sequence[Case]) -> list[Memory]:
        """Estimates cases."""
        together: dict[Any, list[Case]] = {}
        for case in dict.fromkeys(cases):
            if case not in self._traced:
                together.setdefault((case.sharing.divided, case.checkpointing, case.row), []).append(case)
        for (divided, checkpointing, row), alike in together.items():
            model = self.outline(divided=divided, checkpointing=checkpointing)
            laid = make_row(model, row, self.layout, self.side)
            found = trace(model, laid, [case.sharing for case in alike], self.loss, self.limits)
            self._traced.update(zip(alike, found, strict=True))
        return [self._memory(case) for case in cases]

    def line(self, case: Case) -> tuple[Case, Case]:
        """Returns two cases with rows of samples of mean size, between which memory is taken to grow evenly."""
        return case.of(1), case.of(max(2, len(case.row)))

    def largest(self, case: Case, limit: int, most: int) -> int:
        """Returns the samples of the largest row that fits, of the mean size of a case's; 0 if none does.

        Memory of forward and backward pass grows with the tokens, in proportion or a little less (logits are made some
        at a time), so it is read off a line.

        Args:
            case: The case.
            limit: Bytes of the device.
            most: No more than these.
        """
        ends = self.line(case)
        first, last = self.memories(ends)
        if max(first.total, last.updating) > limit:
            return 0
        each = (last.computing - first.computing) / (len(ends[1].row) - 1)
        return min(most, 1 + int((limit - first.computing) / max(1.0, each)))

    def _memory(self, case: Case) -> Memory:
        sharing, traced = case.sharing, self._traced[case]
        sizes = self.outline(divided=sharing.divided, checkpointing=case.checkpointing).sizes
        always = held(sharing, sizes)
        computing, updating = (
            _reserved(sharing, always.device + moment, always.host) for moment in (traced.compute, traced.update)
        )
        worst = max(computing, updating, key=lambda parts: sum(parts.values()))
        whole = sizes.frozen + sizes.learning * sharing.number
        loading = sum(_reserved(sharing, Counter(weights=whole), Counter()).values())
        return Memory(
            worst, sum(computing.values()), sum(updating.values()), loading, always.host, traced.gathered, traced.logits
        )


def _reserved(sharing: Sharing, purposes: Counter[str], host: Counter[str]) -> Counter[str]:
    """Adds what a GPU takes for itself, or what lies in host memory beside a CPU rank's tensors; tells by `PARTS`."""
    parts: Counter[str] = Counter(dict.fromkeys(PARTS, 0))
    for purpose, size in purposes.items():
        parts[_TOLD.get(purpose, purpose)] += size
    if sharing.device == "cuda":
        parts["reserve"] = round(FRAGMENTS * sum(parts.values())) + CONTEXT + CHANNELS * (sharing.ranks > 1)
    else:
        parts["reserve"] = sum(host.values())
    return parts


_TOLD = {"gathered": "exchange", "update": "working"}
