"""What ranks wish, told to all of them by a collective that a step has anyway.

Every optimizer step sums its supervised tokens over the ranks; the wishes ride along. So all ranks know the same at the
step's end, for no collective more and without the device being waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


class Poll:
    """Counts wishes over all ranks.

    Attributes:
        ask: Returns this rank's wishes, a number each, at the beginning of a step.
    """

    def __init__(self) -> None:
        self.ask: Callable[[], Sequence[float]] = lambda: ()
        self._answer = torch.zeros(0)
        self._arrived: Any = None

    def keep(self, sums_W: Tensor) -> None:
        """Takes the sums over all ranks, as they come from the collective.

        Args:
            sums_W: One number a wish, on the rank's device.
        """
        if not sums_W.is_cuda:
            self._answer = sums_W
            return
        # Into pinned memory and with an event: whoever reads later waits for this copy alone, not for the whole step.
        self._answer = torch.empty(sums_W.shape, pin_memory=True).copy_(sums_W, non_blocking=True)
        self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._arrived.record()

    def read(self) -> list[float]:
        """Returns the sums; call it at the step's end, when they are long there."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return [float(each) for each in self._answer.tolist()]
