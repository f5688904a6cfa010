"""Stage 2: the aligned model learns to answer as radiologists are asked."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from cxr_lightning.model.compute import Compute
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable
from cxr_lightning.stream.encode import TextKind
from cxr_lightning.training.optim import Optim
from cxr_lightning.training.stage import StageModule, source_of


class StageOneMissingError(ValueError):
    """Two parts are to be tuned on instructions whose projector never learned anything."""


class InstructionModule(StageModule):
    """Tunes on conversations: LoRA on the language model, and the projector goes on learning.

    Args:
        source: The base. Leave it out to take it from `init_from`; name a complete model (Qwen-VL) to start without
            stage 1.
        trainable: What learns.
        lora: Size and place of the adapters.
        optim: Optimizer and schedule.
        init_from: The stage 1 run to begin with.
        vision_lora: The vision tower's adapters, where they are not to be as `lora` says.
        compute: How layers are computed: activation checkpointing by role, compilation.
    """

    stage: ClassVar[str] = "instruction"
    text: ClassVar[TextKind] = "conversation"

    def __init__(
        self,
        source: ModelSource | None = None,
        trainable: Trainable = Trainable(projector="full", language="lora"),
        lora: Lora = Lora(),
        optim: Optim = Optim(lr=2e-4),
        init_from: str | None = None,
        vision_lora: Lora | None = None,
        compute: Compute = Compute(),
    ) -> None:
        if init_from is None and (source is None or source.composed or not source.named):
            raise StageOneMissingError(
                "Stage 2 has no stage 1: the projector between vision tower and language model has not learned "
                "anything yet. Remedy: train `cxr fit --config configs/stage1.yaml` first and give its run as "
                "--model.init_from, or name a complete vision-language model as --model.source.base."
            )
        if source is None or not source.named:
            assert init_from is not None
            wish = None if source is None else source.quantize
            source = source_of(init_from)
            source = source if wish is None else replace(source, quantize=wish)
        super().__init__(source, trainable, lora, optim, init_from, vision_lora, compute)
