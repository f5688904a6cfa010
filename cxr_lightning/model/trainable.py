"""What learns and what is frozen, as one visible, typed choice, and the table that says so before step 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.table import Table
from torch import nn

from cxr_lightning.model.families import ROLES, Role, VlmFamily, role_of
from cxr_lightning.model.lora import Lora, Loras, add_adapters
from cxr_lightning.model.quantize import numel

Choice = Literal["frozen", "lora", "full"]


class NothingLearnsError(ValueError):
    """Every part of the model is frozen, or one that is said how to learn."""


@dataclass(frozen=True)
class Trainable:
    """How each role of the model takes part in training.

    Attributes:
        vision: The vision tower: `frozen`, `lora` or `full`.
        projector: The projector: `frozen` or `full`.
        language: The language model: `frozen`, `lora` or `full`.
    """

    vision: Choice = "frozen"
    projector: Literal["frozen", "full"] = "full"
    language: Choice = "frozen"

    def __post_init__(self) -> None:
        if all(self.choice(role) == "frozen" for role in ROLES):
            raise NothingLearnsError(
                "Vision, projector and language are all frozen. Remedy: set one of --model.trainable.* to full or lora."
            )

    def choice(self, role: Role) -> Choice:
        """Returns the choice for one role."""
        return getattr(self, role)

    def loras(self, lora: Lora, vision_lora: Lora | None = None) -> dict[Role, Lora]:
        """Returns the adapters' settings of each role that learns by LoRA.

        Args:
            lora: Of every role.
            vision_lora: Of the vision tower, where it has its own.

        Raises:
            NothingLearnsError: If it has its own, and does not learn by LoRA.
        """
        if vision_lora is not None and self.vision != "lora":
            raise NothingLearnsError(
                f"--model.vision_lora is given, and --model.trainable.vision is {self.vision}. "
                "Remedy: set --model.trainable.vision to lora, or leave out --model.vision_lora."
            )
        own: dict[Role, Lora | None] = {"vision": vision_lora}
        return {role: own.get(role) or lora for role in ROLES if self.choice(role) == "lora"}

    def to_json(self) -> dict[str, Any]:
        """Returns the choice as it stands in `run.json`."""
        return asdict(self)


@dataclass
class RoleCount:
    """Parameters of one role: how many there are, and how many of them learn."""

    total: int = 0
    learning: int = 0


@dataclass
class ParameterCounts:
    """Parameter counts by role, adapters included."""

    roles: dict[Role, RoleCount] = field(default_factory=lambda: {role: RoleCount() for role in ROLES})

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(count.total for count in self.roles.values())

    @property
    def learning(self) -> int:
        """All parameters that learn."""
        return sum(count.learning for count in self.roles.values())


def prepare(model: nn.Module, trainable: Trainable, loras: Loras, family: VlmFamily) -> ParameterCounts:
    """Freezes the model, adds adapters where chosen, and sets to learn what shall learn; in place.

    Must run before DeepSpeed takes the parameters: it gives its optimizer only those that learn by then.

    Args:
        model: The base.
        trainable: What learns.
        loras: The adapters' settings of each role that learns by LoRA (`Trainable.loras`).
        family: Which parameters are of which role.

    Returns:
        The counts by role.
    """
    model.requires_grad_(False)
    add_adapters(model, loras, family)
    for name, parameter in model.named_parameters():
        if trainable.choice(role_of(name, family)) == "full":
            parameter.requires_grad_(True)
    return count(model, family)


def count(model: nn.Module, family: VlmFamily) -> ParameterCounts:
    """Counts the parameters of each role; shared ones (tied embeddings) once."""
    counts = ParameterCounts()
    for name, parameter in model.named_parameters():
        role = counts.roles[role_of(name, family)]
        size = getattr(parameter, "ds_numel", numel(parameter))  # under ZeRO-3 a rank holds a part and knows the whole
        role.total += size
        role.learning += size if parameter.requires_grad else 0
    return counts


def learning_names(model: nn.Module) -> Iterator[str]:
    """Yields the names of the parameters that learn."""
    return (name for name, parameter in model.named_parameters() if parameter.requires_grad)


def table(counts: ParameterCounts, trainable: Trainable, loras: Loras) -> Table:
    """Returns the table that is printed before the first step."""
    grid = Table(title="What learns", title_justify="left")
    for heading in ("part", "how", "parameters", "learning"):
        grid.add_column(heading, justify="left" if heading in ("part", "how") else "right")
    for role, sizes in counts.roles.items():
        if not sizes.total:  # of a language model alone
            continue
        how = str(loras.get(role, trainable.choice(role)))
        grid.add_row(role, how, f"{sizes.total:,}", f"{sizes.learning:,}" if sizes.learning else "-")
    share = 100 * counts.learning / max(counts.total, 1)
    grid.add_row("all", f"{share:.2f} % learns", f"{counts.total:,}", f"{counts.learning:,}", style="bold")
    return grid
