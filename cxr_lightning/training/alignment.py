"""Stage 1: the projector learns to say in the language model's words what the vision tower sees."""

from __future__ import annotations

from typing import ClassVar

from cxr_lightning.model.compute import Compute
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable
from cxr_lightning.stream.encode import TextKind
from cxr_lightning.training.optim import Optim
from cxr_lightning.training.stage import StageModule


class AlignmentModule(StageModule):
    """Aligns vision with language: image in, summary out, only the projector learns (XrayGPT's first stage).

    Args:
        source: The base: a vision tower and a language model to be joined, or a complete model.
        trainable: What learns; by default the projector alone.
        lora: Size and place of adapters, should a part learn by LoRA.
        optim: Optimizer and schedule.
        init_from: Run whose learned weights to begin with.
        vision_lora: The vision tower's adapters, where they are not to be as `lora` says.
        compute: How layers are computed: activation checkpointing by role, compilation.
    """

    stage: ClassVar[str] = "alignment"
    text: ClassVar[TextKind] = "summary"

    def __init__(
        self,
        source: ModelSource,
        trainable: Trainable = Trainable(projector="full"),
        lora: Lora = Lora(),
        optim: Optim = Optim(lr=1e-3),
        init_from: str | None = None,
        vision_lora: Lora | None = None,
        compute: Compute = Compute(),
    ) -> None:
        super().__init__(source, trainable, lora, optim, init_from, vision_lora, compute)
