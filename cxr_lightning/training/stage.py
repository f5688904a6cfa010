"""What both stages share: build the base, say what learns, one loss, one step.

A stage is a loss, a trainable set and a kind of text; `AlignmentModule` and `InstructionModule` differ in nothing else.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from torch import Tensor

from cxr_lightning.checkpoint import weights
from cxr_lightning.checkpoint.runs import Run, open_run
from cxr_lightning.model.attention import use_segments
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import VlmFamily, vlm_family
from cxr_lightning.model.fingerprint import fingerprint
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import ParameterCounts, Trainable, learning_names, prepare
from cxr_lightning.objectives.next_token import next_token_sum
from cxr_lightning.stream.encode import TextKind
from cxr_lightning.stream.rows import Batch
from cxr_lightning.training.optim import Optim, make_optimizer


class StageModule(pl.LightningModule):
    """One training stage of an image-text-to-text model.

    Args:
        source: The frozen base.
        trainable: What learns.
        lora: Size and place of adapters, where a part learns by LoRA.
        optim: Optimizer and schedule.
        init_from: Run whose learned weights this stage begins with.
    """

    stage: ClassVar[str]
    text: ClassVar[TextKind]

    def __init__(
        self, source: ModelSource, trainable: Trainable, lora: Lora, optim: Optim, init_from: str | None
    ) -> None:
        super().__init__()
        self.source, self.trainable, self.lora, self.optim = source, trainable, lora, optim
        self.inherits: Run | None = None if init_from is None else open_run(init_from)
        self.processor = load_processor(source)
        # Checkpoints hold only what learns, so a strict load would miss every frozen weight.
        self.strict_loading = False
        self.model: Any = None
        self.base_fingerprint = ""
        self.counts = ParameterCounts()
        self.family: VlmFamily | None = None
        self.inherited_names: tuple[str, ...] = ()
        self._step_tokens = torch.tensor(1.0)
        self._validation = torch.zeros(2)

    @property
    def packs(self) -> bool:
        """Whether samples of this model may share a row."""
        return self.source.composed or bool(self.family and self.family.packs)

    def configure_model(self) -> None:
        """Loads the base, freezes it, adds what learns, and puts in what an earlier run learned."""
        if self.model is not None:
            return
        model = load_model(self.source, self.processor, dtype=_dtype(self.trainer.precision))
        self.family = vlm_family(model.config)
        self.base_fingerprint = fingerprint(model.named_parameters())
        torch.manual_seed(self.source.seed)  # adapters are drawn alike on every rank and at every resume
        self.counts = prepare(model, self.trainable, self.lora, self.family)
        if self.inherits is not None:
            origin = self.inherits.weights()
            inherited = weights.read(origin, base=self.base_fingerprint)
            weights.put(model, inherited, origin=origin)
            self.inherited_names = tuple(inherited)
        if self.family.packs:
            use_segments(model.model.language_model)
        self.model = model

    def train(self, mode: bool = True) -> StageModule:
        """Keeps what is frozen in evaluation mode: its dropout stays off and its running averages stay as they are."""
        super().train(mode)
        if mode and self.model is not None:
            for module in self.model.modules():
                if not any(parameter.requires_grad for parameter in module.parameters()):
                    module.eval()
        return self

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seeds dropout by step and rank, so that a resumed run draws what the undisturbed one would have drawn."""
        torch.manual_seed(zlib.crc32(f"{self.source.seed}/{batch_idx}/{self.trainer.global_rank}".encode()))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Returns a micro-batch's loss, scaled so that the engine's averages give the mean over the global batch."""
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self._step_tokens = self._sum_over_ranks(torch.tensor(float(batch["supervised_in_step"])))
        loss_sum = next_token_sum(self.model, batch["inputs"], batch["targets_RL"])
        averaged_over = self.trainer.world_size * self.trainer.accumulate_grad_batches
        return {"loss": loss_sum * (averaged_over / self._step_tokens.clamp(min=1)), "loss_sum": loss_sum.detach()}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the validation loss."""
        loss_sum = next_token_sum(self.model, batch["inputs"], batch["targets_RL"])
        here = torch.tensor([float(loss_sum), float(batch["supervised_in_step"])])
        self._validation = self._validation + here

    def on_validation_epoch_end(self) -> None:
        """Logs the loss over the whole validation split, each sample counted once."""
        total = self._sum_over_ranks(self._validation)
        self._validation = torch.zeros(2)
        self.log("validate/loss", total[0] / total[1].clamp(min=1), prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Returns AdamW and its schedule over the whole training."""
        return make_optimizer(self.model.named_parameters(), self.optim, self.trainer.datamodule.steps)

    def learned_names(self) -> list[str]:
        """Returns the names of the parameters that differ from the base: learning now, or learned in an earlier run."""
        return sorted({*learning_names(self.model), *self.inherited_names})

    def provenance(self) -> dict[str, Any]:
        """Returns what `run.json` says about the model."""
        uses_lora = "lora" in (self.trainable.vision, self.trainable.language)
        earlier = None if self.inherits is None else self.inherits.provenance
        inherited_lora = None if earlier is None else earlier.get("lora")
        return {
            "stage": self.stage,
            "model": self.source.to_json(),
            "base_fingerprint": self.base_fingerprint,
            "trainable": self.trainable.to_json(),
            "lora": self.lora.to_json() if uses_lora else inherited_lora,
            "parameters": {"total": self.counts.total, "learning": self.counts.learning},
            "inherits": None
            if self.inherits is None
            else {"run": str(self.inherits.folder.resolve()), "provenance": earlier},
        }

    def _sum_over_ranks(self, values: Tensor) -> Tensor:
        total = values.to(self.device, copy=True)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(total)
        return total


def _dtype(precision: Any) -> torch.dtype:
    text = str(precision)
    return torch.bfloat16 if text.startswith("bf16") else torch.float16 if text.startswith("16") else torch.float32


def source_of(run: str | Path) -> ModelSource:
    """Returns the base model of a run, so that the next stage need not name it again."""
    return ModelSource.from_json(open_run(run).provenance["model"])
