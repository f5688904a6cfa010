"""A function is mapped over what comes, in threads and in order, a bounded number ahead.

Not `ThreadPoolExecutor`: an interpreter that ends waits for its threads, and one of these may wait for a server that
says nothing for minutes after Ctrl-C.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


def ahead(function: Callable[[S], T], items: Iterable[S], *, workers: int, window: int) -> Iterator[T]:
    """Maps a function over items in threads, in order, a bounded number of them ahead.

    Args:
        function: What is done to each.
        items: What it is done to; read only as far as the window.
        workers: Threads.
        window: Most items that are begun and not yet yielded.
    """
    crew, begun = _Crew(function, workers), deque[Future[T]]()
    try:
        for item in items:
            begun.append(crew.begin(item))
            while begun and (len(begun) >= window or begun[0].done()):
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()
        crew.dismiss()


class _Crew(Generic[S, T]):
    """Threads that nobody waits for."""

    def __init__(self, function: Callable[[S], T], workers: int) -> None:
        self._function, self._workers = function, workers
        self._work: queue.SimpleQueue[tuple[Future[T], S] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def begin(self, item: S) -> Future[T]:
        future: Future[T] = Future()
        self._work.put((future, item))
        if len(self._threads) < self._workers:
            self._threads.append(threading.Thread(target=self._run, name="ahead", daemon=True))
            self._threads[-1].start()
        return future

    def dismiss(self) -> None:
        for _ in self._threads:
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            future, item = work
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._function(item))
            except BaseException as error:
                future.set_exception(error)
