"""A sweep's file: which fit, what is varied, how many at once, and what each job is given."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cxr_lightning.cluster.sweeps.halving import Halving
from cxr_lightning.cluster.sweeps.reading import build, load
from cxr_lightning.cluster.sweeps.resources import Resources
from cxr_lightning.cluster.sweeps.space import Parameter, Trial, trials, value_text

_KEPT = ("run", "ckpt_path", "pause_after_step", "trainer.num_nodes", "trainer.devices")


class SweepError(ValueError):
    """A sweep's file says something that cannot be, or the sweep's folder holds something else."""


@dataclass(frozen=True)
class Sweep:
    """A sweep as its file gives it.

    Attributes:
        folder: Where everything goes: a run directory for each trial, logs, the report.
        configs: Configurations of `cxr fit`, laid over one another.
        parameters: How configuration keys are varied.
        options: Values of other configuration keys, the same for all trials.
        draws: How many times what is drawn at random is drawn.
        seed: Of these draws.
        parallel: How many jobs may run at once.
        halving: How hopeless runs are stopped early; None trains every one to its end.
        jobs: What each job is given.
    """

    folder: Path
    configs: list[str]
    parameters: dict[str, Parameter]
    options: dict[str, Any] = field(default_factory=dict)
    draws: int = 1
    seed: int = 0
    parallel: int = 4
    halving: Halving | None = None
    jobs: Resources = field(default_factory=Resources)

    def __post_init__(self) -> None:
        if not self.configs:
            raise SweepError("configs: there is none. Remedy: name at least a stage, say configs/stage2.yaml.")
        if self.parallel < 1:
            raise SweepError(f"parallel: {self.parallel}. Remedy: let at least 1 job run.")
        for key in (*self.parameters, *self.options):
            if key in _KEPT:
                raise SweepError(
                    f"{key}: the sweep sets it for each trial. Remedy: leave it out; nodes and ranks stand under jobs."
                )
        both = sorted(set(self.parameters) & set(self.options))
        if both:
            raise SweepError(f"{', '.join(both)}: in parameters and in options. Remedy: leave it out of one.")

    def trials(self) -> list[Trial]:
        """Returns what is tried."""
        return trials(self.parameters, self.draws, self.seed)

    def base(self) -> list[str]:
        """Returns the arguments of `cxr fit` that are the same for all trials."""
        files = [word for config in self.configs for word in ("--config", config)]
        return [*files, *as_arguments(self.options)]

    def to_json(self) -> dict[str, Any]:
        """Returns it as plain data."""
        return {**asdict(self), "folder": str(self.folder)}


def as_arguments(values: dict[str, Any]) -> list[str]:
    """Returns configuration keys and their values as arguments of `cxr fit`."""
    return [word for key, value in values.items() for word in (f"--{key}", value_text(value))]


def read_sweep(file: Path, changes: dict[str, Any]) -> Sweep:
    """Reads a sweep's file.

    Args:
        file: YAML.
        changes: What the command line says otherwise, by key.

    Raises:
        SweepFileError: If it does not describe a sweep; the message names the key.
        ValueError: If what it describes cannot be.
    """
    sweep: Sweep = build(Sweep, {**load(file), **changes}, str(file))
    return sweep
