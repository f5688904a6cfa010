"""Which samples of a global batch share a row, decided before any of them is read.

A step has as many rows as ranks times accumulation, the same in every step, so ranks never wait for a row that others
have not. Packed rows get samples longest first, each into the row with the least work so far (Graham 1969: no row has
more than 4/3 of the least possible); padded ones get neighbours in length. The global batch stays what it is: the plan
changes which row a sample is in, never which step.
"""

# Shapes: N samples of a global batch.

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from cxr_lightning.stream.lengths import Lengths
from cxr_lightning.stream.order import Batches, Numbers
from cxr_lightning.stream.rows import Layout

_CERTAIN = 3.0
"""Standard deviations by which estimated rows stay below their budget."""


class RowBudgetError(ValueError):
    """A row's token budget cannot be kept, or is not given where it is needed."""


@dataclass(frozen=True)
class Plan:
    """How each global batch is divided into rows.

    Attributes:
        lengths: Estimated tokens and images of samples.
        layout: Of the rows.
        ranks: Number of ranks.
        accumulation: Rows of each rank in a step.
        image_work: What an image costs beside its tokens, in tokens of the language model.
        stand_in: Tokens of what is laid into a row without images (see `Encoder.stand_in`).
    """

    lengths: Lengths
    layout: Layout
    ranks: int
    accumulation: int
    image_work: float = 0.0
    stand_in: int = 0

    def rows(self, batch_N: Numbers, rank: int) -> list[Numbers]:
        """Returns one rank's rows of a global batch, in the order of accumulation.

        Args:
            batch_N: Numbers of the samples.
            rank: The rank.
        """
        rows = self.divide(*self.lengths.of(batch_N))
        return [batch_N[row] for row in rows[rank :: self.ranks]]

    def divide(self, tokens_N: Numbers, images_N: Numbers) -> list[Numbers]:
        """Divides a global batch; rows that the ranks compute at the same time stand beside each other.

        Args:
            tokens_N: Tokens of each sample.
            images_N: Images of each sample.

        Returns:
            For each row the places of its samples in the batch, ascending.
        """
        count = self.ranks * self.accumulation
        if self.layout == "packed":
            work_N = tokens_N + np.rint(self.image_work * images_N).astype(np.int64)
            rows = _least_work_first(work_N, count)
            loads = [int(work_N[row].sum()) for row in rows]
        else:
            rows = [np.sort(row) for row in np.array_split(np.argsort(-tokens_N, kind="stable"), count)]
            loads = [self._length(tokens_N[row], images_N[row]) for row in rows]
        return self._among_ranks(rows, loads)

    def positions(self, tokens_N: Numbers, images_N: Numbers) -> int:
        """Returns the positions of the largest row that a global batch makes, padding included."""
        return max(self._length(tokens_N[row], images_N[row]) for row in self.divide(tokens_N, images_N))

    def _length(self, tokens_N: Numbers, images_N: Numbers) -> int:
        """Returns the positions of a row of such samples."""
        beside = 0 if images_N.any() else self.stand_in
        if self.layout == "packed":
            return int(tokens_N.sum()) + beside
        return (len(tokens_N) + (beside > 0)) * max(int(tokens_N.max()), beside)

    def _among_ranks(self, rows: list[Numbers], loads: list[int]) -> list[Numbers]:
        """Lays rows of like work beside each other; in each round the rank with the least so far gets the longest."""
        longest_first = sorted(range(len(rows)), key=lambda row: -loads[row])
        totals, laid = [0] * self.ranks, []
        for first in range(0, len(rows), self.ranks):
            ranks = sorted(range(self.ranks), key=lambda rank: totals[rank])
            given = dict(zip(ranks, longest_first[first : first + self.ranks], strict=True))
            for rank in range(self.ranks):
                totals[rank] += loads[given[rank]]
                laid.append(rows[given[rank]])
        return laid


def plan_within(budget: int, first: Plan, batches: Batches, steps: int) -> Plan:
    """Returns the plan with the fewest rows a rank with which no row of the whole training exceeds a budget.

    Args:
        budget: Most tokens of a row.
        first: The plan, whatever its accumulation.
        batches: The global batches.
        steps: Steps of the training, all of which are looked at.

    Raises:
        RowBudgetError: If even the most rows exceed it.
    """
    if budget < first.lengths.longest:
        raise RowBudgetError(
            f"--data.row_tokens={budget} is less than --data.max_tokens={first.lengths.longest}: one sample may fill "
            "more than a row. Remedy: raise --data.row_tokens, or lower --data.max_tokens."
        )
    if batches.size < first.ranks:
        raise RowBudgetError(
            f"--data.global_batch={batches.size} leaves some of {first.ranks} ranks without a sample. "
            f"Remedy: make it {first.ranks} or more."
        )
    plan = replace(first, accumulation=1)
    for step in range(steps):
        tokens_N, images_N = plan.lengths.of(batches.batch(step))
        while not _fits(plan, tokens_N, images_N, budget):
            if (plan.accumulation + 1) * plan.ranks > batches.size:
                longest = plan.positions(tokens_N, images_N)
                divide = "" if plan.ranks == 1 else f", or make --data.global_batch a multiple of {plan.ranks} ranks"
                raise RowBudgetError(
                    f"--data.row_tokens={budget} cannot be kept: a rank computes {plan.accumulation} rows of a global "
                    f"batch of {batches.size} at most, and one of step {step + 1} has some {longest} tokens. "
                    f"Remedy: raise --data.row_tokens{divide}."
                )
            plan = replace(plan, accumulation=plan.accumulation + 1)
    return plan


def _fits(plan: Plan, tokens_N: Numbers, images_N: Numbers, budget: int) -> bool:
    rows = plan.ranks * plan.accumulation
    if len(tokens_N) <= rows and (not plan.stand_in or images_N.all()):
        return True  # one sample a row, and none is longer than the budget
    # Estimates err by sample: in a sum the errors partly cancel, and by the longest a whole padded row is measured.
    each = len(tokens_N) / rows
    errors = each**0.5 if plan.layout == "packed" else each
    allowed = budget - _CERTAIN * plan.lengths.spread * errors
    total, longest = int(tokens_N.sum()), int(tokens_N.max())
    if plan.layout == "packed":
        if total > rows * allowed:
            return False
        if not plan.image_work and images_N.all() and total / rows + longest <= allowed:
            return True  # surely, without making the rows
    return plan.positions(tokens_N, images_N) <= allowed


def _least_work_first(work_N: Numbers, rows: int) -> list[Numbers]:
    """Gives samples, longest first, each to the row with the least work so far; every row gets one."""
    places: list[list[int]] = [[] for _ in range(rows)]
    loads = [(0, row) for row in range(rows)]  # equal loads: the first row, on every machine
    order: Iterable[int] = np.argsort(-work_N, kind="stable").tolist()
    work = work_N.tolist()
    for place in order:
        load, row = loads[0]
        places[row].append(place)
        heapq.heapreplace(loads, (load + work[place], row))
    return [np.sort(np.asarray(row, dtype=np.int64)) for row in places]
