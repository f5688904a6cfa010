"""Sums over a logging window: counts that the host knows, and losses that stay on the device until they are read.

Reading a number from a GPU waits for all that was given it to do, so it is done once a window and not once a batch.
"""

# Shapes: K sets of shards, S supervised tokens, I images; V values.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cxr_lightning.model.flops import Work
from cxr_lightning.stream.rows import Batch


@dataclass
class Window:
    """Sums since the last logged step, of one rank or of all.

    Attributes:
        loss_sum: Negative log likelihood.
        supervised: Tokens it was summed over.
        tokens: Real tokens.
        positions: Positions computed, padding included.
        samples: Samples.
        truncated: Samples whose answer was cut.
        skipped: Bad samples that were left out.
        waited: Seconds spent waiting for data.
        squares: Squared lengths of the samples.
        images: Images.
        patches: Their patches, where images keep their size.
        patch_squares: Squared numbers of patches, likewise.
        loss_sum_K: Negative log likelihood by set, where there are several.
        supervised_K: Tokens by set.
    """

    loss_sum: float = 0.0
    supervised: float = 0.0
    tokens: float = 0.0
    positions: float = 0.0
    samples: float = 0.0
    truncated: float = 0.0
    skipped: float = 0.0
    waited: float = 0.0
    squares: float = 0.0
    images: float = 0.0
    patches: float = 0.0
    patch_squares: float = 0.0
    loss_sum_K: list[float] = field(default_factory=list)
    supervised_K: list[float] = field(default_factory=list)

    def count(self, batch: Batch) -> None:
        """Adds what is known of a micro-batch before it is computed."""
        self.tokens += batch["tokens"]
        self.positions += batch["positions"]
        self.samples += batch["samples"]
        self.truncated += batch["truncated"]
        self.skipped += len(batch.get("skipped", []))
        inputs: Mapping[str, Any] = batch.get("inputs", {})
        lengths = inputs.get("segment_lengths")
        # Of padded rows the single lengths are on the device; their mean stands for them, in a term of a few percent.
        whole = batch["tokens"] ** 2 / max(batch["samples"], 1)
        self.squares += whole if lengths is None else sum(length * length for length in lengths)
        self.images += batch.get("images", 0)

    def plus(self, other: Window) -> Window:
        """Returns the sums of two windows."""
        theirs = asdict(other)
        return Window(**{name: _sum(value, theirs[name]) for name, value in asdict(self).items()})

    def over_ranks(self, device: torch.device) -> Window:
        """Returns the sums over all ranks."""
        flat = [number for value in asdict(self).values() for number in (value if isinstance(value, list) else [value])]
        values = torch.tensor(flat, dtype=torch.float64, device=device)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(values)
        numbers = iter(values.tolist())
        summed: dict[str, Any] = {
            name: [next(numbers) for _ in value] if isinstance(value, list) else next(numbers)
            for name, value in asdict(self).items()
        }
        return Window(**summed)

    def work(self) -> Work:
        """Returns what was computed on."""
        return Work(**{each.name: getattr(self, each.name) for each in fields(Work)})

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Window:
        """Reads back `asdict`, also of a version that counted more or less."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


def _sum(one: Any, other: Any) -> Any:
    if not isinstance(one, list):
        return one + other
    longest = max(len(one), len(other))  # one of them may have counted nothing yet
    pairs = zip(*(each + [0.0] * (longest - len(each)) for each in (one, other)), strict=True)
    return [left + right for left, right in pairs]


class LossSums:
    """Losses of a rank, in all and by set, and patches of images: summed where they are computed.

    Args:
        sets: Number of sets of shards; with one, none are told apart.
        device: Where the model is.
    """

    def __init__(self, sets: int, device: torch.device) -> None:
        self._sets = sets if sets > 1 else 0
        self._values_V = torch.zeros(3 + self._sets, dtype=torch.float64, device=device)
        self._supervised_K = np.zeros(self._sets)
        self.mark()

    def add(self, outputs: Mapping[str, Any], batch: Batch) -> None:
        """Adds a micro-batch without waiting for its loss.

        Args:
            outputs: What the step returned: `loss_sum`, and `each_S` where sets are told apart.
            batch: What it was computed on.
        """
        self._values_V[0] += outputs["loss_sum"].detach().double()
        grid_I3 = batch.get("inputs", {}).get("image_grid_thw")
        if isinstance(grid_I3, Tensor):
            patches_I = grid_I3.prod(-1).double()
            self._values_V[1] += patches_I.sum()
            self._values_V[2] += patches_I.square().sum()
        if self._sets:
            self._add_by_set(outputs["each_S"], batch["supervised"], batch.get("sources", []))

    def _add_by_set(self, each_S: Tensor, supervised: Sequence[int], sources: Sequence[int]) -> None:
        sets = np.asarray(sources, dtype=np.int64)
        self._supervised_K += np.bincount(sets, weights=supervised, minlength=self._sets)
        places_S = torch.from_numpy(np.repeat(sets, supervised)).to(each_S.device, non_blocking=True)
        self._values_V[3:].index_add_(0, places_S, each_S.detach().double())

    def read(self, window: Window) -> Window:
        """Returns a window with the sums added; this waits for the device."""
        loss, patches, squares, *by_set = self._values_V.tolist()
        mine = Window(loss_sum=loss, patches=patches, patch_squares=squares)
        mine.loss_sum_K, mine.supervised_K = by_set, self._supervised_K.tolist()
        return window.plus(mine)

    def mark(self) -> None:
        """Remembers where the sums stand, without waiting for them."""
        self._marked = self._values_V.clone(), self._supervised_K.copy()

    def back(self) -> None:
        """Forgets what was added since `mark`."""
        values_V, supervised_K = self._marked
        self._values_V.copy_(values_V)
        self._supervised_K[:] = supervised_K

    def clear(self) -> None:
        """Begins anew."""
        self._values_V.zero_()
        self._supervised_K[:] = 0


def set_names(paths: Sequence[str]) -> list[str]:
    """Returns a short name for each set: the last part of its path, with as many before it as make it the only one.

    Args:
        paths: Folders or URLs.
    """
    parts = [[part for part in path.split("/") if part and not part.endswith(":")] or [path] for path in paths]
    names = [each[-1] for each in parts]
    for depth in range(2, max(map(len, parts), default=0) + 1):
        again = [names.count(name) > 1 for name in names]
        names = [
            "-".join(each[-depth:]) if more else name for each, name, more in zip(parts, names, again, strict=True)
        ]
    return [f"{name}-{names[:n].count(name) + 1}" if name in names[:n] else name for n, name in enumerate(names)]
