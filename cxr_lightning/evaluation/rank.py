"""Which of several processes this is, and of which job: what torchrun or Slurm says, checked before it is believed."""

from __future__ import annotations

import os
from dataclasses import dataclass

_TOLD = (
    ("RANK", "WORLD_SIZE", ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID", "SLURM_RESTART_COUNT")),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")),
)
"""A launcher's names for the rank, for how many there are, and for what all ranks of a job have in common."""


@dataclass(frozen=True)
class Rank:
    """One of several processes that share an evaluation, on one node or many.

    Attributes:
        number: Which.
        count: Of how many.
        job: What its fellows have in common, and ranks of another job do not; empty where no launcher names it.
    """

    number: int = 0
    count: int = 1
    job: str = ""

    @classmethod
    def here(cls) -> Rank:
        """Returns what torchrun or Slurm says of this process; alone without them.

        Raises:
            ValueError: The environment says what cannot be.
        """
        for number, count, common in _TOLD:
            if number in os.environ and count in os.environ:
                job = " ".join(f"{name}={os.environ[name]}" for name in common if name in os.environ)
                return cls(*_checked(number, count), job)
        return cls()

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"rank-{self.number:05d}-of-{self.count:05d}"

    @property
    def fellows(self) -> list[Rank]:
        """The other ranks of its job."""
        return [Rank(number, self.count, self.job) for number in range(self.count) if number != self.number]


def _checked(number: str, count: str) -> tuple[int, int]:
    told = f"{number}={os.environ[number]!r}, {count}={os.environ[count]!r}"
    try:
        rank, ranks = int(os.environ[number]), int(os.environ[count])
    except ValueError:
        rank, ranks = -1, 0
    if not 0 <= rank < ranks:
        raise ValueError(
            f"The environment says {told}: no rank of so many. Remedy: start ranks by torchrun or srun, or unset both."
        )
    return rank, ranks
