"""What there is to compute: how many samples of which size, how they fall into rows, and how many steps they make.

With shards, from their index by the very plan that training follows; without, from what the command line says of them.
"""

# Shapes: N samples.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from cxr_lightning.cluster.planning.example import Extent, make_row
from cxr_lightning.cluster.planning.outline import Outline, PlanError
from cxr_lightning.model.flops import Work
from cxr_lightning.stream.datamodule import ShardDataModule
from cxr_lightning.stream.encode import Encoder
from cxr_lightning.stream.lengths import Lengths, fit_lines
from cxr_lightning.stream.order import Batches, Numbers, accumulation
from cxr_lightning.stream.planning import Plan, RowBudgetError, plan_within
from cxr_lightning.stream.rows import Layout

_LOOKED_AT = 128
"""Global batches among which the largest row is sought."""


@dataclass(frozen=True)
class Batching:
    """How samples are batched, as `--data` says.

    Attributes:
        global_batch: Samples of a step.
        micro_batch: Samples that a rank computes at once.
        row_tokens: Or tokens that it computes at once.
        epochs: Passes over the data.
        max_steps: Where it ends earlier; less than 0 for never.
        layout: Of rows.
    """

    global_batch: int
    micro_batch: int
    row_tokens: int | None
    epochs: float
    max_steps: int
    layout: Layout

    def steps(self, samples: int) -> int:
        """Returns the optimizer steps of a training."""
        steps = int(samples * self.epochs // self.global_batch)
        return steps if self.max_steps < 0 else min(steps, self.max_steps)


@dataclass(frozen=True)
class Rows:
    """How a global batch falls into rows.

    Attributes:
        accumulation: Rows of a rank in a step.
        largest: The samples of the largest row.
    """

    accumulation: int
    largest: tuple[Extent, ...]

    @property
    def tokens(self) -> int:
        """Tokens of the largest row, without padding."""
        return sum(each.tokens for each in self.largest)


class Workload(Protocol):
    """What there is to compute."""

    @property
    def samples(self) -> int:
        """Samples of the training split."""

    @property
    def each(self) -> Work:
        """What a sample comes to, on average."""

    def rows(self, batching: Batching, ranks: int) -> Rows:
        """Returns how a global batch falls into rows.

        Raises:
            BatchArithmeticError: If it does not.
            RowBudgetError: If no rows keep the budget.
        """


@dataclass(frozen=True)
class Told:
    """Samples all alike, as the command line says.

    Attributes:
        samples: How many.
        extent: Size of each.
        each: What one comes to.
    """

    samples: int
    extent: Extent
    each: Work

    def rows(self, batching: Batching, ranks: int) -> Rows:
        """Returns how a global batch falls into rows."""
        if batching.row_tokens is None:
            rounds, most = accumulation(batching.global_batch, batching.micro_batch, ranks), batching.micro_batch
        elif self.extent.tokens <= batching.row_tokens and ranks <= batching.global_batch:
            rounds = -(-batching.global_batch // (batching.row_tokens // self.extent.tokens * ranks))
            most = -(-batching.global_batch // (rounds * ranks))  # of rows that have as many, or one fewer
        else:
            raise RowBudgetError(
                f"--data.row_tokens={batching.row_tokens} is to hold samples of {self.extent.tokens} --tokens, and "
                f"--data.global_batch={batching.global_batch} to be enough for {ranks} ranks. Remedy: raise them."
            )
        return Rows(rounds, (self.extent,) * most)


@dataclass(frozen=True)
class Counted:
    """Samples of shards, by their index.

    Attributes:
        lengths: Estimated tokens and images of every sample.
        batches: The global batches.
        each: What a sample comes to on average.
        unsupervised: Tokens of a sample that are image and prompt, on average.
        image_work: What an image costs beside its tokens, in tokens.
        stand_in: Tokens of what is laid into a row without images.
    """

    lengths: Lengths
    batches: Batches
    each: Work
    unsupervised: float
    image_work: float
    stand_in: int

    @property
    def samples(self) -> int:
        """Samples of the training split."""
        return self.batches.order.samples

    def rows(self, batching: Batching, ranks: int) -> Rows:
        """Returns how the largest of many global batches falls into rows."""
        batches = Batches(self.batches.order, batching.global_batch)
        plan = Plan(self.lengths, batching.layout, ranks, 1, self.image_work, self.stand_in)
        steps = max(1, batching.steps(self.samples))
        if batching.row_tokens is None:
            plan = replace(plan, accumulation=accumulation(batching.global_batch, batching.micro_batch, ranks))
        else:
            plan = plan_within(batching.row_tokens, plan, batches, min(steps, _LOOKED_AT))
        return Rows(plan.accumulation, self._largest(plan, batches, steps))

    def _largest(self, plan: Plan, batches: Batches, steps: int) -> tuple[Extent, ...]:
        found: tuple[tuple[Numbers, Numbers], int] | None = None
        for step in np.unique(np.linspace(0, steps - 1, min(steps, _LOOKED_AT), dtype=np.int64)).tolist():
            tokens_N, images_N = self.lengths.of(batches.batch(step))
            for row in plan.divide(tokens_N, images_N):
                size = int(tokens_N[row].sum() if plan.layout == "packed" else len(row) * tokens_N[row].max())
                if found is None or size > found[1]:
                    found = (tokens_N[row], images_N[row]), size
        assert found is not None
        pairs = zip(*(each.tolist() for each in found[0]), strict=True)
        row_extents = [Extent(tokens, max(1, round(tokens - self.unsupervised)), images) for tokens, images in pairs]
        return tuple(row_extents)


def told(outline: Outline, samples: int, tokens: int, supervised: int | None, side: int) -> Told:
    """Describes samples that are not there yet.

    Args:
        outline: The model.
        samples: How many there will be.
        tokens: Tokens of each, images included.
        supervised: Tokens of each answer; all that is neither image nor prompt if None.
        side: Pixels of an image's side, for families that leave images their size.

    Raises:
        PlanError: If an image alone has as many tokens.
    """
    images = int(hasattr(outline.model.config, "vision_config"))
    bare = make_row(outline, [Extent(0, 0, images)], "padded", side)
    least = bare.targets_RL.numel()
    if tokens <= least:
        raise PlanError(
            f"--tokens={tokens} says that a sample has so many, and its image and prompt alone have {least}. Remedy: "
            f"give {least + 100} or so, images included."
        )
    answer = supervised or max(1, tokens - least)
    extent = Extent(tokens, min(answer, tokens), images)
    patches = _patches(bare.inputs)
    each = Work(
        tokens=tokens, squares=float(tokens) ** 2, supervised=extent.supervised, images=images,
        patches=float(patches.sum()), patch_squares=float((patches**2).sum()),
    )  # fmt: skip
    return Told(samples, extent, each)


def _patches(inputs: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns the patches of each image, where images keep their size."""
    grid = inputs.get("image_grid_thw")
    return np.empty(0) if not isinstance(grid, torch.Tensor) else grid.prod(-1).double().numpy()


def counted(outline: Outline, data: ShardDataModule) -> Counted:
    """Describes the samples of shards; some of each set are encoded.

    Args:
        outline: The model, with its processor.
        data: The shards.
    """
    encoder = Encoder(outline.processor, outline.text, data.max_tokens, data.decode)
    reader, samples = data.reader("train"), data.sets.samples("train")
    seen: list[tuple[int, int, int, float, float]] = []

    def extent(number: int) -> tuple[int, int]:
        encoded = encoder(reader[number])
        patches = _patches(encoded.vision)
        size = len(encoded.ids_L)
        seen.append((size, encoded.supervised, encoded.images, float(patches.sum()), float((patches**2).sum())))
        return encoded.extent

    lines = fit_lines(samples, extent)
    tokens, supervised, images, patches, squares = np.asarray(seen, dtype=np.float64).mean(0).tolist()
    mean_square = float(np.mean([size**2 for size, *_ in seen]))
    each = Work(tokens, mean_square, supervised, images, patches, squares)
    flops = outline.flops
    image_work = (flops.tower.image + flops.projector.image) / flops.token
    stand_in = len(encoder.stand_in().ids_L) if encoder.sees else 0
    lengths = Lengths(samples, lines, data.max_tokens)
    return Counted(lengths, data.batches, each, tokens - supervised, image_work, stand_in)


def work_of(each: Work, samples: float) -> Work:
    """Returns what so many samples come to."""
    names: Sequence[str] = tuple(Work.__dataclass_fields__)
    return Work(**{name: getattr(each, name) * samples for name in names})
