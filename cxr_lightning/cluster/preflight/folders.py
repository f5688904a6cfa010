"""Disks of a run: room and speed where it writes, whether all nodes see the same folder, room where shards are kept."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cxr_lightning.cluster.preflight.finding import Finding, Status
from cxr_lightning.cluster.units import size
from cxr_lightning.stream.datamodule import ShardDataModule

RUN, SHARED, SCRATCH = "run folder", "seen by all", "scratch"
_BLOCK = os.urandom(4 << 20)  # not zeros, which some file systems do not write
_MOST, _LONGEST = 64 << 20, 2.0
_SLOW = 20e6
"""Bytes a second under which a disk is worth a warning: a checkpoint of a gigabyte takes a minute."""


def look_at_run(run: Path, mark: str, needed: int, keep: int) -> Finding:
    """Measures room and write speed of the run's folder, on every node at once as a checkpoint does.

    Args:
        run: The folder; made if it is not there.
        mark: Begins the names of what is written there for a moment.
        needed: Bytes of a checkpoint; 0 where that is not known.
        keep: Checkpoints that stay beside the best and the one that is written.
    """
    run.mkdir(parents=True, exist_ok=True)
    speed, free = _write_speed(run / f"{mark}.speed"), _free(run)
    figures = {"free": free, "bytes_per_second": round(speed), "checkpoint": needed}
    each = f", checkpoints of {size(needed)}" if needed else ""
    finding = Finding(RUN, f"{size(free)} free, {size(speed)}/s{each}", figures=figures, value=speed)
    all_of_them = needed * (keep + 2)
    if needed and free < needed:
        why = f"{run}: {size(free)} are free, and one checkpoint needs about {size(needed)}"
        return finding.but("failed", why, "make room, or name a larger disk by --run")
    if free < all_of_them:
        why = f"{run}: {size(free)} are free, and {keep + 2} checkpoints need about {size(all_of_them)}"
        return finding.but("warning", why, "make room, or lower --checkpoint.keep")
    if speed < _SLOW:
        lasts = f"; a checkpoint of about {size(needed)} takes {needed / speed:.0f} s" if needed else ""
        why = f"{run}: writing is slow ({size(speed)}/s with fsync){lasts}"
        return finding.but("warning", why, "name a quicker disk by --run, or save less often")
    return finding


def uses_scratch(data: ShardDataModule) -> bool:
    """Returns whether shards, or runs of them, are kept on the node."""
    return data.staging is not None or data.cache is not None


def look_at_scratch(data: ShardDataModule, mark: str) -> Finding:
    """Measures room and write speed where shards are staged, or their runs cached, on the node.

    Args:
        data: The opened data, which uses such a folder.
        mark: Begins the names of what is written there for a moment.
    """
    if data.staging is not None:
        folder, needed = data.staging.place, sum(each.shard["bytes"] for each in data.staging.lacking(data.sources()))
        option, short = "--data.stage_to", "give --data.stage_to a larger disk, or leave it out"
    else:
        assert data.cache is not None
        folder, held = data.cache.folder, sum(each.stat().st_size for each in os.scandir(data.cache.folder))
        needed = max(0, data.cache.limit - held)
        option, short = "--data.cache", "lower --data.cache_gb, or name a larger disk by --data.cache"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    speed, free = _write_speed(folder / f"{mark}.speed"), _free(folder)
    figures = {"free": free, "needed": needed, "bytes_per_second": round(speed)}
    told = f"{size(free)} free, {size(needed)} needed, {size(speed)}/s"
    finding = Finding(SCRATCH, told, figures=figures, value=speed)
    if free < needed:
        status: Status = "failed" if data.staging is not None else "warning"
        return finding.but(status, f"{folder}: {size(free)} are free, and shards need {size(needed)}", short)
    if speed < _SLOW:
        return finding.but("warning", f"{folder}: writing is slow", f"name a quicker disk by {option}")
    return finding


def leave_mark(run: Path, name: str) -> None:
    """Writes what other nodes shall see."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / name).open("w") as file:
        file.write(name)
        file.flush()
        os.fsync(file.fileno())


def sees(run: Path, name: str, seconds: float) -> bool:
    """Returns whether what another node wrote is seen here, within some seconds that shared disks may lag."""
    end = time.monotonic() + seconds
    while True:
        with suppress(OSError):
            if (run / name).read_text() == name:
                return True
        if time.monotonic() > end:
            return False
        time.sleep(0.2)


def look_at_mark(run: Path, name: str, first: str, seconds: float) -> Finding:
    """Looks for what the first node wrote into the run's folder.

    Args:
        run: The folder.
        name: What was written.
        first: The node that wrote it.
        seconds: How long a shared disk may lag.
    """
    begin = time.monotonic()
    if sees(run, name, seconds):
        late = time.monotonic() - begin
        return Finding(SHARED, "yes" if late < 1 else f"yes, after {late:.0f} s")
    why = f"{run}: what {first} wrote there is not seen here"
    return Finding(SHARED, "no", "failed", why, "put --run on a disk that all nodes share, and see that it is mounted")


@contextmanager
def as_it_was(run: Path, mark: str) -> Iterator[None]:
    """Takes away what was written for a moment, and folders that were made for it."""
    made = [each for each in (run, *run.parents) if not each.exists()]
    try:
        yield
    finally:
        with suppress(OSError):
            for left in run.glob(f"{mark}*"):
                left.unlink(missing_ok=True)
            for folder in made:
                folder.rmdir()


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _write_speed(path: Path) -> float:
    """Writes for a moment, to the disk and not only to memory; returns bytes a second."""
    begin, written = time.monotonic(), 0
    try:
        with path.open("wb", buffering=0) as file:
            while written < _MOST and time.monotonic() - begin < _LONGEST:
                written += file.write(_BLOCK)
            os.fsync(file.fileno())
        return written / (time.monotonic() - begin)
    finally:
        path.unlink(missing_ok=True)
