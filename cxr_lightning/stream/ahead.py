"""Items go in, results come out in the same order, made ahead of time by a bounded number of threads.

Threads, not processes: what takes time here (reading, decoding, resizing, tokenizing) runs outside the lock of Python,
nothing has to be copied between processes, and no process that holds a GPU is forked. The figures stand in
benchmarks/README.md.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Ahead(Generic[_Item, _Result]):
    """Maps a function over items, in order, with threads that work ahead of whoever iterates.

    An exception arrives where its result would have; after it, or when the consumer leaves early, work that has not
    begun is dropped and the threads end.

    Args:
        function: Called from several threads at once.
        items: Its arguments.
        workers: Threads; 0 calls the function in the thread that iterates, when it asks.
        prefetch: Results a thread may hold ready, those in the making included.
    """

    def __init__(
        self, function: Callable[[_Item], _Result], items: Sequence[_Item], workers: int, prefetch: int
    ) -> None:
        if workers < 0 or (workers and prefetch < 1):
            raise ValueError(
                f"{workers} workers with {prefetch} results each cannot work. "
                "Remedy: --data.workers of 0 or more, --data.prefetch of 1 or more."
            )
        self.function, self.items, self.workers, self.prefetch = function, items, workers, prefetch

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[_Result]:
        return self._in_threads() if self.workers else map(self.function, self.items)

    def _in_threads(self) -> Iterator[_Result]:
        pool = _threads(min(self.workers, max(1, len(self.items))))
        waiting: deque[Future[_Result]] = deque()
        try:
            for item in self.items:
                if len(waiting) == self.workers * self.prefetch:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(self.function, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _threads(count: int) -> ThreadPoolExecutor:
    """Starts threads of one intra-op thread each, on the caller's GPU; the caller keeps its own number."""
    device = torch.cuda.current_device() if torch.cuda.is_available() else None

    def begin() -> None:
        torch.set_num_threads(1)  # several workers, each with a team of its own, would fight for the cores
        torch.get_num_threads()  # the first call in a thread takes the number over; now, before it is set back below
        if device is not None:
            torch.cuda.set_device(device)  # else pinning memory would open a context on the first GPU

    pool = ThreadPoolExecutor(count, thread_name_prefix="ahead", initializer=begin)
    started = threading.Barrier(count)
    list(pool.map(lambda _: started.wait(), range(count)))
    # The calls above also set what threads that others start later begin with; set it back.
    torch.set_num_threads(torch.get_num_threads())
    return pool
