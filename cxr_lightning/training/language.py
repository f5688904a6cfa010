"""Stage 0: the language model alone learns how radiologists write, before it is shown an image.

XrayGPT tuned Vicuna on medical dialogues and radiology reports first (Thawkar et al. 2023), by another program on other
files; here it is a stage like the others, from the same shards. Its export is a language model for stage 1.
"""

from __future__ import annotations

from typing import ClassVar

from cxr_lightning.model.compute import Compute
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.source import ModelSource, ModelSourceError
from cxr_lightning.model.trainable import Trainable
from cxr_lightning.stream.encode import TextKind
from cxr_lightning.training.optim import Optim
from cxr_lightning.training.stage import StageModule


class LanguageModule(StageModule):
    """Tunes a language model on the text of reports: findings in, impression out. Images are not decoded.

    Args:
        source: The language model alone.
        trainable: What learns: the language model by LoRA, or in full.
        lora: Size and place of the adapters.
        optim: Optimizer and schedule.
        init_from: Run of this stage whose learned weights to begin with.
        compute: How layers are computed: activation checkpointing, compilation.
    """

    stage: ClassVar[str] = "language"
    text: ClassVar[TextKind] = "report"
    sees: ClassVar[bool] = False

    def __init__(
        self,
        source: ModelSource,
        trainable: Trainable = Trainable(projector="frozen", language="lora"),
        lora: Lora = Lora(),
        optim: Optim = Optim(lr=2e-4),
        init_from: str | None = None,
        compute: Compute = Compute(),
    ) -> None:
        if trainable.vision != "frozen" or trainable.projector != "frozen":
            raise ModelSourceError(
                f"--model.trainable says vision {trainable.vision}, projector {trainable.projector}, and a language "
                "model alone has neither. Remedy: leave both frozen in stage 0."
            )
        super().__init__(source, trainable, lora, optim, init_from, compute=compute)
