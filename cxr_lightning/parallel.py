"""Items enter, their results leave in the same order, made by as many processes as wished."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, util
from multiprocessing.context import BaseContext, ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess
from threading import Thread
from types import ModuleType
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
        ChildProcessError: A worker was killed, or none can start.
    """
    if workers == 1:
        yield from map(work, items)
        return
    context = _context(work)
    # Of several generations the first one's: it is inherited, and ends with the first.
    beside = util.get_temp_dir() if isinstance(context, ForkServerContext) and not _is_worker() else None
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(beside,)) as pool:
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


class _Forked(ForkServerProcess):
    """A worker that does not run the script again that its work was asked for in, be it guarded or not."""

    def start(self) -> None:
        with _nameless():
            super().start()


class _Spawned(SpawnProcess):
    """The same, started anew."""

    def start(self) -> None:
        with _nameless():
            super().start()


class _Forking(ForkServerContext):
    Process = _Forked


class _Spawning(SpawnContext):
    Process = _Spawned


def _context(work: Callable[..., object]) -> BaseContext:
    """Says how workers start: not forked of this process, for a progress bar has a thread."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        told = "workers cannot start: the folder that this was started in is gone. Remedy: cd to one that is there"
        raise ChildProcessError(told) from None
    own = _module_of(work) == "__main__"  # then they need what the script defines
    if len(os.fsencode(tempfile.gettempdir())) > _LONGEST_FOLDER:
        return SpawnContext() if own else _Spawning()
    # Forked of a new process that has imported what the work needs: once, not once a worker.
    context = ForkServerContext() if own else _Forking()
    context.set_forkserver_preload([_module_of(work)])
    # It would look for modules where it is started, whatever lies there, and not where this process finds them.
    found = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(path or here for path in sys.path)}
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


@contextlib.contextmanager
def _nameless() -> Iterator[None]:
    """Hides the script that runs, which new processes import by its name or file."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _module_of(work: Callable[..., object]) -> str:
    return _module_of(work.func) if isinstance(work, functools.partial) else work.__module__


def _is_worker() -> bool:
    return multiprocessing.parent_process() is not None


def _begin(beside: str | None) -> None:
    """Makes a worker ready: it ends with the process it works for, and keeps what memory it frees.

    Args:
        beside: Folder of temporary files that the process it works for has, and cannot remove if it is killed.
    """
    Thread(target=_end_with_parent, args=(beside,), daemon=True).start()
    # Images come and go, and fetching each one's pages anew from the kernel costs a tenth of the work.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc alone has it, or knows what the two are
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _KEPT)


def _end_with_parent(beside: str | None) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # returns when it was killed, too, which nobody could tell its workers
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)
        os._exit(1)
