"""How many weights a rank holds whole at once under ZeRO-3, and how many it is sent.

DeepSpeed gathers a layer's weights before it computes, some of the next ones ahead, and lets go of what is not needed
again soon (deepspeed 0.19, runtime/zero/partitioned_param_coordinator.py). Its rules are followed here over the order
in which the layers run, by counting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

Use = tuple[int, ...]
"""The parameters that one layer needs, by number."""


@dataclass(frozen=True)
class Limits:
    """DeepSpeed's defaults, which `training/zero.py` leaves as they are; all in numbers of parameters.

    Attributes:
        prefetch: Gathered ahead at once.
        live: Nothing is gathered ahead beyond this.
        reuse: A weight that is needed again within so many others is kept.
        persist: Smaller parameters stay gathered.
    """

    prefetch: int = 50_000_000
    live: int = 1_000_000_000
    reuse: int = 1_000_000_000
    persist: int = 100_000


DEEPSPEED = Limits()


@dataclass(frozen=True)
class Gathered:
    """What gathering came to.

    Attributes:
        most: Most parameters that were whole at once, buffers of gathering included.
        sent: Parameters gathered in one forward and backward pass.
    """

    most: int
    sent: int


class _Pass:
    def __init__(self, uses: Sequence[Use], sizes: Sequence[int], limits: Limits) -> None:
        self.uses, self.sizes, self.limits = uses, sizes, limits
        self.queue = deque((number, step) for step, use in enumerate(uses) for number in use)
        self.latest: dict[int, int] = {}
        self.whole: dict[int, int] = {}
        """Gathered parameters, with the group that they were gathered in."""
        self.waiting: dict[int, set[int]] = {}
        """Parameters of each group that nobody has asked for yet; its buffer stays as long."""
        self.opened: set[int] = set()
        """Groups out of whose buffer the parameters were copied."""
        self.most = self.sent = 0

    def run(self) -> Gathered:
        for step, use in enumerate(self.uses):
            self._gather([number for number in use if number not in self.whole], step)
            for number in use:
                self._take(number)
            self._measure()
            self._ahead(use, step)
            self._measure()
            self._release(use, step + 1)
        return Gathered(self.most, self.sent)

    def _gather(self, numbers: list[int], step: int) -> None:
        if not numbers:
            return
        group = len(self.waiting)
        self.waiting[group] = set(numbers) if len(numbers) > 1 else set()  # one alone needs no buffer of its own
        self.whole.update(dict.fromkeys(numbers, group))
        self.sent += self._size(numbers)

    def _take(self, number: int) -> None:
        group = self.whole[number]
        self.waiting[group].discard(number)
        self.opened.add(group)

    def _ahead(self, use: Use, step: int) -> None:
        due = {number for number in use if self.latest.get(number, -1) < step}
        while self.queue and due:
            number, last = self.queue.popleft()
            self.latest[number] = last
            due.discard(number)
        room = min(self.limits.live - self._size(self.whole), self.limits.prefetch)
        wanted: list[int] = []
        while self.queue and self._size(wanted) < room:
            number, last = self.queue.popleft()
            self.latest[number] = max(self.latest.get(number, -1), last)
            if number not in self.whole and number not in wanted:
                wanted.append(number)
        self._gather(wanted, step)

    def _release(self, use: Use, step: int) -> None:
        gone = {number for number in use if self.sizes[number] > self.limits.persist}
        gone = {number for number in gone if self.latest.get(number, -1) <= step}
        passed = 0
        for later in self.uses[step:]:
            if passed >= self.limits.reuse or not gone:
                break
            gone.difference_update(later)
            passed += self._size(later)
        for number in gone:
            del self.whole[number]

    def _measure(self) -> None:
        buffers = sum(self._group(group) for group in self.opened if self.waiting[group])
        self.most = max(self.most, self._size(self.whole) + buffers)

    def _group(self, group: int) -> int:
        return self._size([number for number, own in self.whole.items() if own == group])

    def _size(self, numbers: object) -> int:
        return sum(self.sizes[number] for number in numbers)  # type: ignore[attr-defined]


def gather(uses: Sequence[Use], sizes: Sequence[int], limits: Limits = DEEPSPEED) -> Gathered:
    """Follows one forward and backward pass.

    Args:
        uses: Which parameters each layer needs, in the order in which layers run, forward and back.
        sizes: Numbers of each parameter.
        limits: DeepSpeed's settings.
    """
    return _Pass(uses, sizes, limits).run()
