"""How many floating-point operations a second a rank's device can do at most, against which its use is measured.

GPUs by their makers' data sheets; CPUs by measuring a matrix product, for their figure depends on cores, clock and
library, and other ranks on the same machine take their part.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import NamedTuple

import torch


class Peak(NamedTuple):
    """Operations a second of dense matrix products, in units of 10^12.

    Attributes:
        half: In bfloat16 or float16 with float32 sums.
        tf32: In TensorFloat-32; where there is none, in float32.
        single: In float32.
    """

    half: float
    tf32: float
    single: float


# Without structured sparsity, which doubles the figures of some sheets. Sources: NVIDIA's data sheets of A100, A800,
# H100, H200, GH200, HGX B200, L40S, L40, L4, A10, A30, A40, RTX A5000, RTX A6000, RTX 6000 Ada, V100 and T4, its white
# papers on GA102, AD102 and RTX Blackwell for GeForce; AMD's data sheets of Instinct MI210, MI250X, MI300X and MI325X,
# of which the MI250X counts as two devices. The first row counts whose words are all in the device's name.
_PEAKS: tuple[tuple[str, Peak], ...] = (
    ("b200", Peak(2250, 1125, 75)),
    ("gh200", Peak(989.5, 494.7, 67)),
    ("h200 nvl", Peak(835.5, 417.5, 60)),
    ("h200", Peak(989.5, 494.7, 67)),
    ("h100 pcie", Peak(756, 378, 51)),
    ("h100 nvl", Peak(835.5, 417.5, 60)),
    ("h100", Peak(989.5, 494.7, 67)),
    ("h800 pcie", Peak(756, 378, 51)),
    ("h800", Peak(989.5, 494.7, 67)),
    ("h20", Peak(148, 74, 44)),
    ("a100", Peak(312, 156, 19.5)),
    ("a800", Peak(312, 156, 19.5)),
    ("a40", Peak(149.7, 74.8, 37.4)),
    ("a30", Peak(165, 82, 10.3)),
    ("a10g", Peak(70, 35, 31.5)),
    ("a10", Peak(125, 62.5, 31.2)),
    ("l40s", Peak(362, 183, 91.6)),
    ("l40", Peak(181, 90.5, 90.5)),
    ("l4", Peak(121, 60, 30.3)),
    ("rtx 6000 ada", Peak(364.2, 182.1, 91.1)),
    ("rtx a6000", Peak(154.8, 77.4, 38.7)),
    ("rtx a5000", Peak(111.1, 55.6, 27.8)),
    ("rtx 5090", Peak(209.5, 104.8, 104.8)),
    ("rtx 4090", Peak(165.2, 82.6, 82.6)),
    ("rtx 4080", Peak(97.5, 48.7, 48.7)),
    ("rtx 3090", Peak(71, 35.6, 35.6)),
    ("rtx 3080", Peak(59.5, 29.8, 29.8)),
    ("v100 sxm2", Peak(125, 15.7, 15.7)),
    ("v100 sxm3", Peak(125, 15.7, 15.7)),
    ("v100", Peak(112, 14, 14)),
    ("t4", Peak(65, 8.1, 8.1)),
    ("mi325x", Peak(1307.4, 653.7, 163.4)),
    ("mi300x", Peak(1307.4, 653.7, 163.4)),
    ("mi250x", Peak(191.5, 47.9, 47.9)),
    ("mi210", Peak(181, 45.3, 45.3)),
)


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Returns the most operations a second of a device; None where it is of no known kind.

    Takes a fifth of a second on a CPU, where it is measured: call it on all ranks at once, as they will run.

    Args:
        device: Where the rank computes.
        precision: The trainer's precision, such as `bf16-true`.
    """
    half = "16" in precision
    if device.type == "cpu":
        return measured(torch.bfloat16 if half else torch.float32)
    if device.type != "cuda":
        return None
    peak = known(torch.cuda.get_device_name(device))
    if peak is None:
        return None
    single = peak.single if torch.get_float32_matmul_precision() == "highest" else peak.tf32
    return 1e12 * (peak.half if half else single)


def known(name: str) -> Peak | None:
    """Returns the table's row for a device's name."""
    words = set(re.findall(r"[a-z0-9]+", name.lower()))
    if "laptop" in words:  # of the same name as a card of twice the power
        return None
    return next((peak for row, peak in _PEAKS if words.issuperset(row.split())), None)


@lru_cache
def measured(dtype: torch.dtype, seconds: float = 0.2, side: int = 1024) -> float:
    """Returns the best rate of a square matrix product on the CPU, with the rank's threads; once a process.

    Args:
        dtype: Of its numbers.
        seconds: How long to try.
        side: Rows and columns.
    """
    left, right = torch.rand(side, side).to(dtype), torch.rand(side, side).to(dtype)
    best, end = 0.0, time.perf_counter() + seconds
    while not best or time.perf_counter() < end:
        began = time.perf_counter()
        torch.mm(left, right)
        best = max(best, 2.0 * side**3 / (time.perf_counter() - began))
    return best
