"""What is predicted is what real fits take: DeepSpeed, two CPU ranks; memory, what is sent, and what is saved."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cxr_lightning.cluster.planning.asking import Asked
from cxr_lightning.cluster.planning.gathering import Limits
from cxr_lightning.cluster.planning.verb import Planned, figures, prepare
from cxr_lightning.model import tiny
from tests.fitting import ROOT, environment

STEPS = 2
SIZES = {"warm": (48, 2), "small": (256, 4), "medium": (384, 6), "large": (512, 8)}
"""Width and layers: 3, 10 and 21 million parameters, and a tiny one that loads the libraries."""
LEARN = {
    "warm": [],
    "small": ["--model.trainable.language", "full"],
    "medium": ["--model.trainable.language", "lora", "--model.lora.rank", "16"],
    "large": [],  # the projector alone
}
FULL = ["--model.trainable.language", "full", "--data.micro_batch", "2", "--data.global_batch", "8"]
HALF = ["--trainer.precision", "bf16-true"]
AGAIN = ["--model.compute.activation_checkpointing", "[language]"]
FEW = {
    "stage3_prefetch_bucket_size": 1_000_000, "stage3_max_reuse_distance": 3_000_000,
    "stage3_param_persistence_threshold": 10_000,
}  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """One fit."""

    size: str
    stage: int
    more: list[str] = field(default_factory=list)
    few: bool = False

    def __str__(self) -> str:
        return " ".join([f"{self.size} ZeRO-{self.stage}", *self.more, *(["small limits"] if self.few else [])])


# ZeRO-3 last: DeepSpeed then exchanges torch's linear layers for the rest of the process.
FITS = [
    *(Fit(size, 0) for size in ("small", "medium", "large")),
    *(Fit(size, 2) for size in ("small", "medium", "large")),
    Fit("large", 2, [*FULL, *HALF]),
    *(Fit(size, 3) for size in ("small", "medium", "large")),
    Fit("large", 3, [*FULL, *HALF, *AGAIN], few=True),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Folders of models whose tensors outweigh what else comes and goes in a process."""
    folder = tmp_path_factory.mktemp("models")
    for size, (width, layers) in SIZES.items():
        tiny.write_language(folder / size, width=width, layers=layers)
    tiny.write_tower(folder / "tower", image_size=64, patch=8, width=64)
    return folder


def arguments(fit: Fit, models: Path, shards: Path, run: Path) -> list[str]:
    """Returns the command line of a fit; all its rows are as long, and a checkpoint is saved before the last step."""
    return [
        "--config", "configs/stage1.yaml", "--config", "configs/scale/cpu.yaml",
        "--config", f"configs/zero/stage{fit.stage}.yaml", "--data.shards", str(shards), "--run", str(run),
        "--model.source.vision", str(models / "tower"), "--model.source.language", str(models / fit.size),
        "--data.global_batch", "16", "--data.micro_batch", "8", "--data.max_tokens", "128", "--data.epochs", "2",
        "--trainer.max_steps", str(STEPS), "--checkpoint.every_n_steps", "1", "--data.validate_samples", "0",
        "--panels.studies", "0", *LEARN[fit.size], *fit.more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def measured(models, shards, tmp_path_factory) -> dict[str, dict[str, float]]:
    """Bytes of each fit: the most memory that a rank took beyond what it had when its model was about to be built, what
    it sent in a step, and its checkpoint.
    """
    folder = tmp_path_factory.mktemp("measured")
    fits = [Fit("warm", 0), *FITS]
    listed = [
        {"arguments": arguments(fit, models, shards, folder / str(number)), "zero": FEW if fit.few else {}}
        for number, fit in enumerate(fits)
    ]
    (folder / "fits.json").write_text(json.dumps(listed))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = "tests/cluster/planning/measuring.py"
    done = subprocess.run(
        [sys.executable, *launch, script, str(folder / "fits.json"), str(folder)],
        capture_output=True, text=True, timeout=500, cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT), MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TOP_PAD_="0"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    ranks = [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    found = {}
    for number, fit in enumerate(fits):
        both = [rank[number] for rank in ranks]
        files = (folder / str(number) / "checkpoints" / "step-0000001").iterdir()
        found[str(fit)] = {
            "memory": max(rank["most"] - rank["before"] for rank in both),
            # The last step's: in the first, ZeRO-3 does not yet know what it will need again.
            "sent": max(sum(rank["sent"][len(rank["sent"]) // STEPS :]) for rank in both),
            "checkpoint": sum(file.stat().st_size for file in files),
        }
    return found


@pytest.mark.ranks
@pytest.mark.parametrize("fit", FITS, ids=str)
def test_a_fit_takes_what_was_predicted(fit, measured, models, shards, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    planned = prepare(Asked.read(arguments(fit, models, shards, tmp_path)))
    if fit.few:
        planned.estimator.limits = Limits(prefetch=1_000_000, reuse=3_000_000, persist=10_000)
    values = figures(planned)
    predicted = {
        "memory": planned.estimator.memories([planned.case])[0].total,
        "sent": values["sent_per_step"] + (gathered_after_saving(planned) if fit.stage == 3 else 0),
        "checkpoint": values["checkpoint"],
    }
    for name, size in measured[str(fit)].items():
        told = f"{fit}: {name} predicted {predicted[name] / 1e6:.2f} MB, measured {size / 1e6:.2f} MB"
        print(told)
        assert abs(predicted[name] / size - 1) < (0.15 if name == "memory" else 0.02), told


def gathered_after_saving(planned: Planned) -> float:
    """Returns what of the small parameters that stay gathered is sent anew after a save, which leaves them divided."""
    numbers = [each for group in planned.estimator.outline(divided=True).sizes.groups for each in group]
    small = sum(each for each in numbers if each <= planned.estimator.limits.persist)
    return small * planned.case.sharing.number / 2
