"""GPUs of a node: how many, free or in use, and whether this torch can compute on them.

What is wanted comes from the configuration's accelerator, never from what Slurm gave: a job on CPUs may hold GPUs.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections import Counter
from dataclasses import dataclass

import torch

from cxr_lightning.cluster.preflight.finding import Finding

CHECK = "devices"
_SMI = ("nvidia-smi", "--format=csv,noheader,nounits")
_BUSY = 0.05
"""Share of a GPU's memory that may be taken before training; a driver's own is less."""
_CPU = ("cpu", "tpu", "mps")


@dataclass(frozen=True)
class Gpu:
    """One GPU as nvidia-smi lists it; memory in MiB."""

    uuid: str
    name: str
    total: int
    free: int


def wants_gpu(accelerator: str) -> bool:
    """Returns whether a configuration's accelerator is a GPU, `auto` where there is one."""
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())


def look(accelerator: str, per_node: int, *, alone: bool) -> Finding:
    """Looks at the devices of this node.

    Args:
        accelerator: `trainer.accelerator`.
        per_node: Ranks of the node, each of which needs one.
        alone: Whether this is a look around on a machine where nothing will be trained.
    """
    if accelerator in _CPU or not (accelerator == "auto" or wants_gpu(accelerator)):
        return Finding(CHECK, f"CPU, {len(os.sched_getaffinity(0))} cores", figures={"gpus": 0})
    if torch.cuda.is_available():
        return _cuda(per_node)
    why, remedy = explain(torch.version.cuda, driver_cuda(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    given = os.environ.get("SLURM_GPUS_ON_NODE") or os.environ.get("SLURM_JOB_GPUS")
    if accelerator == "auto":
        if not given:
            return Finding(CHECK, f"CPU, {len(os.sched_getaffinity(0))} cores", figures={"gpus": 0})
        why = f"--trainer.accelerator auto will train on CPUs although Slurm gave GPUs: {why}"
        return Finding(CHECK, "CPU", "warning", why, remedy, {"gpus": 0})
    if alone:
        why = f"--trainer.accelerator is {accelerator}, and here {why}; the nodes may have them"
        return Finding(CHECK, "no GPU", "warning", why, "start it by srun to look at the nodes", {"gpus": 0})
    also = f" (Slurm gave {given})" if given else ""
    return Finding(CHECK, "no GPU", "failed", f"torch sees no GPU{also}: {why}", remedy, {"gpus": 0})


def explain(built_for: str | None, driver: int | None, visible: str | None) -> tuple[str, str]:
    """Says why torch sees no GPU, and what helps.

    Args:
        built_for: CUDA version of the torch build; None for a build without.
        driver: CUDA version that the driver knows, as 1000 x major + 10 x minor; None without a driver.
        visible: CUDA_VISIBLE_DEVICES.
    """
    if built_for is None:
        return (
            "this torch is a build without CUDA",
            "install the CUDA build into the job's virtual environment (pip install torch, from its default index)",
        )
    if driver is None:
        return (
            "no NVIDIA driver answers here",
            "ask for GPUs (--gpus-per-node), run containers with --nv, or see nvidia-smi on the node",
        )
    if driver // 1000 < int(built_for.partition(".")[0]):
        known = f"{driver // 1000}.{driver % 1000 // 10}"
        return (
            f"the driver is too old for this torch build (it knows CUDA {known}, torch was built for {built_for})",
            f"have the driver updated, or install a torch built for CUDA {known} or older",
        )
    if visible is not None and not visible.strip(" -1,"):
        return "CUDA_VISIBLE_DEVICES hides all GPUs", "unset it, or ask for GPUs (--gpus-per-node)"
    return (
        f"the driver is there, and CUDA does not start ({_start_error()})",
        "see nvidia-smi and the kernel's log (Xid) on the node, and leave the node out (sbatch --exclude) till then",
    )


def driver_cuda() -> int | None:
    """Returns the CUDA version that the node's driver knows, as 1000 x major + 10 x minor, or None."""
    found = ctypes.c_int(0)
    try:
        status = ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(found))
    except (OSError, AttributeError):
        return None
    return found.value if status == 0 and found.value else None


def compute(local_rank: int) -> str:
    """Multiplies on this rank's GPU; returns what is wrong, or nothing."""
    count = torch.cuda.device_count()
    if local_rank >= count:
        return (
            f"rank {local_rank} of the node sees {count} GPUs, and needs number {local_rank} "
            "(use --gpus-per-node, not --gpus-per-task)"
        )
    try:
        ones = torch.ones(1024, 1024, device=f"cuda:{local_rank}", dtype=torch.float32)
        result = float((ones @ ones).sum().cpu())
    except (RuntimeError, AssertionError) as error:
        return f"GPU {local_rank} does not compute ({' '.join(str(error).split())[:200]})"
    return "" if result == 1024.0**3 else f"GPU {local_rank} computes wrongly ({result} for {1024.0**3})"


def parse(gpus: str, processes: str) -> tuple[list[Gpu], Counter[str]]:
    """Reads what nvidia-smi printed.

    Args:
        gpus: Lines of uuid, name, total and free memory.
        processes: Lines of a process and its GPU's uuid.

    Returns:
        The GPUs, and how many processes each has, by uuid.
    """
    rows = [[cell.strip() for cell in line.split(",")] for line in gpus.splitlines() if line.strip()]
    found = [Gpu(row[0], row[1], _number(row[2]), _number(row[3])) for row in rows if len(row) == 4]
    users = [line.split(",")[1].strip() for line in processes.splitlines() if line.count(",") == 1]
    return found, Counter(users)


def _cuda(per_node: int) -> Finding:
    gpus, users = _listed()
    count, name = torch.cuda.device_count(), torch.cuda.get_device_name(0)
    major, minor = torch.cuda.get_device_capability(0)
    figures = {"gpus": count, "name": name, "driver_cuda": driver_cuda(), "torch_cuda": torch.version.cuda}
    least = min((gpu.free for gpu in gpus), default=0)
    short = name.removeprefix("NVIDIA ")
    told = f"{count} x {short}" + (f", {least / 1024:.0f} GiB free" if gpus else "")
    if count < per_node:
        why = f"torch sees {count} GPUs, and {per_node} ranks of the node need one each"
        return Finding(CHECK, told, "failed", why, "ask for as many GPUs as ranks (--gpus-per-node)", figures)
    built = torch.cuda.get_arch_list()
    if not any(arch.partition("_")[2].rstrip("af") in (f"{major}{minor}", f"{major}0") for arch in built):
        why = f"this torch has no kernels for {short} (sm_{major}{minor}; it has {' '.join(built)})"
        # No more than a warning: it may still compile them, which the multiplication on every GPU finds out.
        return Finding(CHECK, told, "warning", why, "install a torch build that has them", figures)
    busy = [gpu for gpu in gpus if gpu.free < (1 - _BUSY) * gpu.total]
    if busy:
        processes = sum(users[gpu.uuid] for gpu in busy)
        why = f"{len(busy)} GPUs are in use by others ({processes} processes; {least / 1024:.0f} GiB free at least)"
        remedy = "see nvidia-smi on the node; end what a former job left, or leave the node out (sbatch --exclude)"
        return Finding(CHECK, told, "warning", why, remedy, figures)
    return Finding(CHECK, told, figures=figures)


def _listed() -> tuple[list[Gpu], Counter[str]]:
    """Asks nvidia-smi, which knows what other processes hold; nothing where it is not installed."""
    asked = ("--query-gpu=uuid,name,memory.total,memory.free", "--query-compute-apps=pid,gpu_uuid")
    try:
        answers = [
            subprocess.run([*_SMI, each], capture_output=True, text=True, timeout=10, check=True).stdout
            for each in asked
        ]
    except (OSError, subprocess.SubprocessError):
        return [], Counter()
    return parse(*answers)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _start_error() -> str:
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return " ".join(str(error).split())[:200]
    return "no device was found"
