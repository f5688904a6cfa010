"""Fits one after another in one group of ranks, each with the most memory that it took.

python -m torch.distributed.run --nproc-per-node 2 tests/cluster/planning/measuring.py FITS.json OUT

FITS.json holds a list of {"arguments": [of `cxr fit`], "zero": {more of DeepSpeed's settings}}; the first fit is there
to load whatever is loaded late. Rank r writes OUT/rank-r.json: for each fit the resident memory when the model was
about to be built, and the most afterwards, as the kernel counts it; and the bytes that collectives sent with each
micro-batch, taken for rings, which send least. With MALLOC_MMAP_THRESHOLD_ set, blocks from that
size on are mapped and unmapped one by one, so that what is resident is what tensors take.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")


def resident(field: str) -> int:
    """Returns bytes of this process: VmRSS now, or VmHWM, the most since it was last reset."""
    return 1024 * int(re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def settle() -> int:
    """Gives back what nothing holds any more, forgets the peak, and returns what is resident."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


SENT = {
    "all_reduce": lambda ranks, size: 2 * (ranks - 1) / ranks * size,
    "reduce": lambda ranks, size: (ranks - 1) / ranks * size,
    "broadcast": lambda ranks, size: (ranks - 1) / ranks * size,
    "all_gather_into_tensor": lambda ranks, size: (ranks - 1) / ranks * size,
    "reduce_scatter_tensor": lambda ranks, size: (ranks - 1) / ranks * size,
    "all_gather": lambda ranks, size: (ranks - 1) / ranks * size,
    "reduce_scatter": lambda ranks, size: (ranks - 1) / ranks * size,
}
"""What a rank sends by collective, of the size of its largest argument."""


def counting(sent: list[float]) -> None:
    """Adds to a number whatever a collective sends."""
    import torch

    def counted(collective, cost):
        def call(*args, **kwargs):
            given = [*args, *kwargs.values()]
            lists = [[each] if isinstance(each, torch.Tensor) else each for each in given]
            lists = [each for each in lists if isinstance(each, list) and each and isinstance(each[0], torch.Tensor)]
            size = max((sum(tensor.nbytes for tensor in each) for each in lists), default=0)
            sent[0] += cost(torch.distributed.get_world_size(), size)
            return collective(*args, **kwargs)

        return call

    for name, cost in SENT.items():
        setattr(torch.distributed, name, counted(getattr(torch.distributed, name), cost))


def main(fits: list[dict], out: Path) -> None:
    """Runs the fits."""
    from cxr_lightning.training.fit import fit
    from cxr_lightning.training.stage import StageModule
    from cxr_lightning.training.zero import ZeroStrategy

    for late in ("stage3", "muon.muon_optimizer", "muon.original_muon"):  # which bring 50 MB of other modules
        importlib.import_module(f"deepspeed.runtime.zero.{late}")
    build, found, zero = StageModule.configure_model, [], {}

    def configure_model(self) -> None:
        if self.model is None:
            if zero:
                self.trainer.strategy.config["zero_optimization"].update(zero)
            found.append({"before": settle(), "sent": []})
        build(self)

    sent, step = [0.0], ZeroStrategy.optimizer_step
    counting(sent)

    def optimizer_step(self, *args, **kwargs):
        before = sent[0]
        done = step(self, *args, **kwargs)
        found[-1]["sent"].append(sent[0] - before)
        return done

    StageModule.configure_model, ZeroStrategy.optimizer_step = configure_model, optimizer_step
    for each in fits:
        zero = each.get("zero", {})
        fit(each["arguments"])
        found[-1]["most"] = resident("VmHWM")
    (out / f"rank-{os.environ['RANK']}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
