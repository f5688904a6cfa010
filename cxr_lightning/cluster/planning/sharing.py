"""What a rank holds by ZeRO stage, and what comes and goes while gradients are reduced and weights are moved.

DeepSpeed's bookkeeping as it stands in its code (0.19: runtime/engine.py, runtime/zero/stage_1_and_2.py and stage3.py,
runtime/fp16/unfused_optimizer.py) under the settings of `training/zero.py`. Each function enters bytes where DeepSpeed
allocates them; the files named above say why.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from cxr_lightning.cluster.planning.ledger import Book
from cxr_lightning.cluster.planning.outline import Sizes

Stage = Literal[0, 1, 2, 3]
_ALL_REDUCE = 500_000_000
"""Numbers that stage 0 reduces at once."""
MASTER = MOMENT = 4
"""Bytes of AdamW's float32 copy of a weight, and of each of its two averages."""


@dataclass(frozen=True)
class Sharing:
    """How ranks share what they hold.

    Attributes:
        stage: Of ZeRO.
        ranks: How many there are.
        device: `cuda` or `cpu`.
        number: Bytes of a number that the model computes in.
        bucket: Numbers that a collective takes at most.
        accumulation: Micro-batches of a step.
        offload_optimizer: Whether the optimizer's state lies in host memory.
        offload_parameters: Whether weights do.
        sub_group: Numbers that stage 3 updates at once; Lightning's default, which is all of them.
        fused: Whether AdamW is a kernel that needs no memory of its own, as DeepSpeed's; ours is torch's.
    """

    stage: Stage = 2
    ranks: int = 8
    device: Literal["cuda", "cpu"] = "cuda"
    number: int = 2
    bucket: int = 200_000_000
    accumulation: int = 1
    offload_optimizer: bool = False
    offload_parameters: bool = False
    sub_group: int = 10**12
    fused: bool = False

    @property
    def half(self) -> bool:
        """Whether the model computes in 16 bits."""
        return self.number < 4

    @property
    def divided(self) -> bool:
        """Whether weights are divided."""
        return self.stage == 3

    @property
    def offloads(self) -> bool:
        """Whether the optimizer's state lies in host memory; without ZeRO, DeepSpeed does not hear of it."""
        return self.offload_optimizer and self.stage > 0

    @property
    def overlaps(self) -> bool:
        """Whether gradients travel while others are computed: then there are two buckets."""
        return self.device == "cuda"

    def over(self, ranks: int, accumulation: int) -> Sharing:
        """Returns the same on another number of ranks."""
        return replace(self, ranks=ranks, accumulation=accumulation)


@dataclass(frozen=True)
class Held:
    """Bytes that a rank holds all the time, by purpose.

    Attributes:
        device: Where it computes.
        host: In host memory: what is offloaded, and the copies out of which checkpoints are written.
    """

    device: Counter[str]
    host: Counter[str]


def held(sharing: Sharing, sizes: Sizes) -> Held:
    """Returns what a rank holds from its second step on, whatever it computes; of rank 0, which holds most."""
    learning, number = sizes.learning, sharing.number
    share = -(-learning // sharing.ranks) if sharing.stage else learning
    weights = sizes.frozen + learning * number
    device = Counter(weights=-(-weights // sharing.ranks) if sharing.divided else weights)
    host = Counter(saving=sizes.saved * number + share * (2 * MOMENT + MASTER * sharing.half))
    state = Counter(optimizer=share * (2 * MOMENT + MASTER * (sharing.half or sharing.stage > 0)))
    if sharing.divided:
        state["gradients"] = share * number
        device["exchange"] = bucket(sharing, sizes) * number
    if not sharing.offloads:
        device += state
    else:
        state["gradients"] += share * (MASTER + number * (not sharing.divided))
        host += state
        if not sharing.divided:
            device["exchange"] += max(map(max, sizes.groups)) * number  # a gradient's way to the host
    if sharing.offload_parameters and sharing.divided:
        host["weights"], device["weights"] = device["weights"], 0
    return Held(device, host)


def bucket(sharing: Sharing, sizes: Sizes) -> int:
    """Returns the numbers of a bucket: no more than what learns (`ZeroStrategy`)."""
    return max(1, min(sharing.bucket, sizes.learning))


class Exchange:
    """Follows a backward pass as DeepSpeed's hooks do, and the step after it.

    Args:
        sharing: How ranks share.
        sizes: The model's numbers.
        book: Where bytes are entered.
    """

    def __init__(self, sharing: Sharing, sizes: Sizes, book: Book) -> None:
        self.sharing, self.sizes, self.book = sharing, sizes, book
        self._bucket, self._filled, self._open, self._owns = bucket(sharing, sizes), 0, 0, False
        self._own = self._owned()

    def begin(self) -> None:
        """Enters the gradients of earlier micro-batches of the same step."""
        if self.sharing.accumulation == 1 or self.sharing.divided:
            return
        if self.sharing.stage < 2:
            self.book.enter("gradients", self.sizes.learning * self.sharing.number)
        elif not self.sharing.offloads:
            self.book.enter("gradients", self._own)

    def arrived(self, numbers: int) -> None:
        """Follows a gradient that is there: it is kept, or moved into a bucket."""
        sharing, size = self.sharing, numbers * self.sharing.number
        if sharing.stage in (1, 2) and sharing.overlaps and not self._open:
            self._reach(2 * self._bucket)
        if sharing.stage >= 2 or (sharing.stage == 1 and sharing.overlaps):
            if self._filled + numbers > self._bucket:
                self._reduce()
            self._filled += numbers
            if not sharing.divided:
                self._reach(min(self._filled, self._bucket))
            if sharing.stage == 1 and sharing.accumulation > 1:
                self.book.enter("gradients", -size)
        elif sharing.accumulation == 1:
            self.book.enter("gradients", size)

    def end(self) -> None:
        """Follows what comes after the backward pass: the last reduction."""
        sharing, learning = self.sharing, self.sizes.learning
        if sharing.stage == 0:
            with self.book.for_a_moment("exchange", min(learning, _ALL_REDUCE) * sharing.number):
                return
        if sharing.stage == 1 and not sharing.overlaps:  # only now do gradients move into the bucket
            self.book.enter("gradients", -learning * sharing.number)
            self._filled = learning
            self._reach(min(learning, self._bucket))
        self._reduce()
        self.book.enter("exchange", -self._open * sharing.number)
        self._open = 0
        if sharing.stage == 2 and sharing.accumulation > 1 and not sharing.offloads:
            self.book.enter("gradients", -self._own)  # added to those of the micro-batches before

    def update(self) -> None:
        """Follows the optimizer's step."""
        sharing = self.sharing
        if sharing.offloads:
            return
        if sharing.stage == 0:
            singles = MASTER * self.sizes.learning * sharing.half
            with self.book.for_a_moment("gradients", singles), self.book.for_a_moment("update", self._adam()):
                return
        for group in self.sizes.groups:
            share = -(-sum(group) // sharing.ranks)
            share = min(share, sharing.sub_group) if sharing.divided else share
            with self.book.for_a_moment("gradients", share * (sharing.number + MASTER * sharing.half)):
                pass
            single = self.book.for_a_moment("gradients", MASTER * share)
            with single, self.book.for_a_moment("update", self._adam(share)):
                pass

    def _reach(self, numbers: int) -> None:
        """Enters the buckets up to a place: a GPU's are there whole, host memory is where it was written to."""
        self.book.enter("exchange", max(0, numbers - self._open) * self.sharing.number)
        self._open = max(self._open, numbers)

    def _reduce(self) -> None:
        """Sends what lies in the bucket, out of a copy; then the gradients of this rank's share are kept."""
        if not self._filled:
            return
        with self.book.for_a_moment("exchange", min(self._filled, self._bucket) * self.sharing.number):
            self._filled = 0
        if self.sharing.stage in (1, 2) and not (self.sharing.offloads or self._owns):
            self._owns = True
            self.book.enter("gradients", self._own)

    def _adam(self, share: int = 0) -> int:
        """Returns what AdamW needs for a moment: a number for each it moves at once; on CPUs one tensor, twice."""
        if self.sharing.fused:
            return 0
        if self.sharing.device == "cuda":
            return MOMENT * (share or max(map(sum, self.sizes.groups)))
        return 2 * MOMENT * (share or max(map(max, self.sizes.groups)))

    def _owned(self) -> int:
        """Returns the bytes of gradients that stages 1 and 2 keep: parameters that lie in a rank's share, whole."""
        most = 0
        for rank in range(self.sharing.ranks if self.sharing.stage in (1, 2) else 0):
            total = 0
            for group in self.sizes.groups:
                share = -(-sum(group) // self.sharing.ranks)
                first, place = rank * share, 0
                for numbers in group:
                    total += numbers if place < first + share and place + numbers > first else 0
                    place += numbers
            most = max(most, total)
        return most * self.sharing.number


def sent_a_step(sharing: Sharing, sizes: Sizes, gathered: int) -> int:
    """Returns the bytes that each GPU sends in an optimizer's step, by the algorithms that send least (rings).

    Args:
        sharing: How ranks share.
        sizes: The model's numbers.
        gathered: Numbers of weights that are gathered in a forward and backward pass under ZeRO-3.
    """
    learning, ranks, rounds = sizes.learning * sharing.number, sharing.ranks, sharing.accumulation
    if ranks == 1:
        return 0
    if sharing.divided:
        once = learning + gathered * sharing.number  # gradients to their owners, weights from theirs
        return round((ranks - 1) / ranks * once * rounds)
    reduced = 2 * learning * (rounds if sharing.stage == 2 else 1)  # stages 1 and 2 sum buckets for all ranks, too
    updated = learning if sharing.stage else 0
    return round((ranks - 1) / ranks * (reduced + updated))
