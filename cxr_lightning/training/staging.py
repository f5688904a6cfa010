"""Staging before the first step: one rank of each node copies, all wait, and an error on one node ends all ranks."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch.distributed as dist
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cxr_lightning.checkpoint.writing import gather
from cxr_lightning.stream.datamodule import ShardDataModule
from cxr_lightning.stream.staging import StagingError
from cxr_lightning.training.caching import together

_EVERY = 60.0
"""Seconds between lines of progress where there is no terminal to draw a bar on."""


def stage_shards(data: ShardDataModule, local_rank: int, *, speaks: bool) -> None:
    """Copies shards to this node's disk where `--data.stage_to` says so, and reads them there from now on.

    Ranks that were started together call it together; processes on their own wait for whoever copies on their node.

    Args:
        data: The shards.
        local_rank: This rank's number on its node; the first copies.
        speaks: Whether this rank shows how far its node is.

    Raises:
        StagingError: If it failed on any node.
    """
    staging = data.staging
    if staging is None:
        return
    sources = data.sources()
    copies = local_rank == 0 or not dist.is_initialized()
    begin = time.monotonic()

    def copy() -> int:
        if not copies:
            return 0
        lacking = sum(source.shard["bytes"] for source in staging.lacking(sources))
        with _shown(lacking, str(staging.folder), shown=speaks) as (told, waiting):
            return staging.fill(sources, told, waiting)

    copied = together(copy, StagingError)
    together(data.read_staged, StagingError)
    nodes = sorted({node: size for node, size in gather((socket.gethostname(), copied)) if size})
    if speaks and nodes:
        seconds = time.monotonic() - begin
        where = nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes"
        Console(stderr=True).print(
            f"Staged {len(sources)} shards to {staging.folder} on {where} in {seconds:.0f} s "
            f"({copied / 1e6 / seconds:.0f} MB/s here)",
            soft_wrap=True,
        )


@contextmanager
def _shown(size: int, folder: str, *, shown: bool) -> Iterator[tuple[Callable[[int], None], Callable[[], None]]]:
    """Yields what is told of copied bytes, and what says that another process copies."""
    columns = (TextColumn("staging"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    lines = _Lines(console, size, folder)
    with Progress(*columns, console=console, disable=not (shown and size and console.is_terminal)) as progress:
        bar = progress.add_task("staging", total=size)

        def told(count: int) -> None:
            progress.advance(bar, count)
            if shown and not console.is_terminal:
                lines.told(count)

        def waiting() -> None:
            if shown:
                console.print(f"Another process of this node stages to {folder}: waiting for it", soft_wrap=True)

        yield told, waiting


class _Lines:
    """Progress for a log: a line a minute."""

    def __init__(self, console: Console, size: int, folder: str) -> None:
        self.console, self.size, self.folder = console, size, folder
        self._there, self._next = 0, time.monotonic() + _EVERY

    def told(self, count: int) -> None:
        """Called from several threads; a line too many does no harm."""
        self._there += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            self.console.print(
                f"Staging to {self.folder}: {self._there / 1e9:.1f} of {self.size / 1e9:.1f} GB", soft_wrap=True
            )
