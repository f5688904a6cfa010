"""Items enter, their results leave in the same order, made by as many processes as wished."""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import os
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from threading import Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""What glibc's malloc.h calls M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""
_KEPT = 512 << 20
"""Bytes; more than the largest file that is read for an image."""
_LONGEST_FOLDER = 70
"""Bytes of the path of temporary files; the process that forks workers has a socket there, whose path may have 107."""


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
    with ProcessPoolExecutor(workers, mp_context=_context(work), initializer=_begin) as pool:
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


def _context(work: Callable[..., object]) -> BaseContext:
    """Says how workers start: not forked of this process, for a progress bar has a thread."""
    if len(os.fsencode(tempfile.gettempdir())) > _LONGEST_FOLDER:
        return multiprocessing.get_context("spawn")
    # Forked of a new process that has imported what the work needs: once, not once a worker.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_module_of(work)])
    # It would look for modules where it is started, whatever lies there, and not where this process finds them.
    found = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    before = {name: os.environ.get(name) for name in found}
    os.environ.update(found)
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    return context


def _module_of(work: Callable[..., object]) -> str:
    return _module_of(work.func) if isinstance(work, functools.partial) else work.__module__


def _begin() -> None:
    """Makes a worker ready: it ends with the process it works for, and keeps what memory it frees."""
    Thread(target=_end_with_parent, daemon=True).start()
    # Images come and go, and fetching each one's pages anew from the kernel costs a tenth of the work.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc alone has it, or knows what the two are
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _KEPT)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # returns when it was killed, too, which nobody could tell its workers
        os._exit(1)
