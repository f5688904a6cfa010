"""From one node to many: what a step takes and sends, and how long a training is, at an assumed use of the GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cxr_lightning.cluster.planning.memory import Case, Estimator
from cxr_lightning.cluster.planning.sharing import Sharing, sent_a_step
from cxr_lightning.cluster.planning.workload import Batching, Rows, Workload, work_of
from cxr_lightning.model.families import Role
from cxr_lightning.model.flops import ModelFlops
from cxr_lightning.stream.order import BatchArithmeticError
from cxr_lightning.stream.planning import RowBudgetError

WITHIN = 200e9
"""Bytes a second that a GPU sends to others of its node, over NVLink of an A100 in practice."""


@dataclass(frozen=True)
class Machines:
    """What there is to compute with, and what is assumed of it.

    Attributes:
        per_node: GPUs of a node.
        peak: Operations a second that one can do at most.
        mfu: Share of them that the model's work is assumed to reach.
        network: Bytes a second that a GPU sends to other nodes.
    """

    per_node: int
    peak: float
    mfu: float
    network: float


@dataclass(frozen=True)
class Point:
    """A training on so many nodes.

    Attributes:
        nodes: Nodes.
        gpus: GPUs.
        global_batch: Samples of a step.
        micro_batch: Samples that a GPU computes at once, on average.
        grown: Whether the samples of a step are more than configured, for so many GPUs could not share fewer.
        accumulation: Rows of a GPU in a step.
        steps: Optimizer steps.
        flops: Operations of a step.
        sent: Bytes that a GPU sends in a step.
        computing: Seconds of a step at the assumed use.
        sending: Seconds that the sending takes, were nothing computed meanwhile.
        memory: Bytes of a GPU.
    """

    nodes: int
    gpus: int
    global_batch: int
    micro_batch: float
    grown: bool
    accumulation: int
    steps: int
    flops: float
    sent: int
    computing: float
    sending: float
    memory: int

    @property
    def hours(self) -> tuple[float, float]:
        """Hours of the training if all is sent while others are computed, and if nothing is."""
        return self.steps * self.computing / 3600, self.steps * (self.computing + self.sending) / 3600

    @property
    def gpu_hours(self) -> tuple[float, float]:
        """The same, of all GPUs together."""
        return self.hours[0] * self.gpus, self.hours[1] * self.gpus

    def to_json(self) -> dict[str, Any]:
        """Returns the point as plain values."""
        return {**asdict(self), "hours": list(self.hours), "gpu_hours": list(self.gpu_hours)}


@dataclass(frozen=True)
class Training:
    """What is trained and how.

    Attributes:
        sharing: How ranks share what they hold, whatever their number.
        checkpointing: Roles whose activations are computed again.
        batching: How samples are batched.
        workload: The samples.
        flops: What the model costs.
    """

    sharing: Sharing
    checkpointing: tuple[Role, ...]
    batching: Batching
    workload: Workload
    flops: ModelFlops

    def rows(self, ranks: int) -> tuple[Batching, Rows]:
        """Returns rows on so many ranks; smaller ones than configured, or of a larger global batch, if need be."""
        try:
            return self.batching, self.workload.rows(self.batching, ranks)
        except (BatchArithmeticError, RowBudgetError):
            share = -(-self.batching.global_batch // ranks)
            most = min(share, self.batching.micro_batch)
            micro = max(each for each in range(1, most + 1) if share % each == 0)
            other = replace(self.batching, global_batch=share * ranks, micro_batch=micro)
            return other, self.workload.rows(other, ranks)

    def case(self, ranks: int) -> Case:
        """Returns what is to be estimated on so many ranks."""
        _, rows = self.rows(ranks)
        return Case(self.sharing.over(ranks, rows.accumulation), self.checkpointing, rows.largest)


def scale(training: Training, machines: Machines, estimator: Estimator, nodes: Sequence[int]) -> list[Point]:
    """Plans a training on several numbers of nodes.

    Args:
        training: What is trained.
        machines: With what.
        estimator: Of its memory.
        nodes: Numbers of nodes.
    """
    cases = [training.case(count * machines.per_node) for count in nodes]
    memories = estimator.memories(cases)
    sizes = estimator.outline(divided=training.sharing.divided, checkpointing=training.checkpointing).sizes
    points = []
    for count, case, memory in zip(nodes, cases, memories, strict=True):
        gpus = count * machines.per_node
        batching, rows = training.rows(gpus)
        flops = training.flops.of(work_of(training.workload.each, batching.global_batch))
        sent = sent_a_step(case.sharing, sizes, memory.gathered)
        points.append(
            Point(
                nodes=count,
                gpus=gpus,
                global_batch=batching.global_batch,
                micro_batch=batching.global_batch / (gpus * rows.accumulation),
                grown=batching.global_batch != training.batching.global_batch,
                accumulation=rows.accumulation,
                steps=batching.steps(training.workload.samples),
                flops=flops,
                sent=sent,
                computing=flops / (gpus * machines.peak * machines.mfu),
                sending=sent / (WITHIN if count == 1 else machines.network),
                memory=memory.total,
            )
        )
    return points
