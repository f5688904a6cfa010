"""How much memory a rank holds; the figures of the rank that holds most, for it is the one that runs out."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import torch

_PAGES = Path("/proc/self/statm")


def memory(device: torch.device) -> dict[str, float]:
    """Returns gigabytes of host memory, and on a GPU of its own; all ranks call it together.

    Args:
        device: Where the rank computes.
    """
    held = {"memory/host_gb": resident() / 1e9}
    if device.type == "cuda":
        held["memory/allocated_gb"] = torch.cuda.max_memory_allocated(device) / 1e9
        held["memory/reserved_gb"] = torch.cuda.memory_reserved(device) / 1e9
    values = torch.tensor(list(held.values()), dtype=torch.float64, device=device)
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(values, torch.distributed.ReduceOp.MAX)
    return dict(zip(held, values.tolist(), strict=True))


def resident() -> int:
    """Returns the bytes of this process that are in host memory; where the system does not say, the most that were."""
    if _PAGES.exists():
        return int(_PAGES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
