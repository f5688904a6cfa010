"""Items enter, their results leave in the same order, made by as many processes as wished."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Work in parallel.

    Args:
        work: What is done to each item; a function of a module, so that a new process finds it.
        items: The items.
        workers: Processes; 1 works in this one.

    Yields:
        The results in the items' order; at most a few for each worker wait in memory.

    Raises:
        ChildProcessError: A worker was killed.
    """
    if workers == 1:
        yield from map(work, items)
        return
    # Spawned, not forked: a progress bar has a thread.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 8 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise ChildProcessError(
                f"a worker was killed, most likely for memory; give fewer than --workers {workers}"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
