"""What both stages share: build the base, say what learns, one loss, one step.

A stage is a loss, a trainable set and a kind of text; `AlignmentModule` and `InstructionModule` differ in nothing else.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from torch import Tensor

from cxr_lightning.checkpoint import weights
from cxr_lightning.checkpoint.optimizer import MASTER, Fragment, SavedState
from cxr_lightning.checkpoint.runs import WEIGHTS, Run, open_run
from cxr_lightning.model.attention import use_segments
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.compute import Compute, let_checkpoint, set_up
from cxr_lightning.model.families import VlmFamily, family_of
from cxr_lightning.model.fingerprint import fingerprint
from cxr_lightning.model.flops import model_flops
from cxr_lightning.model.fused import fuse_adapters
from cxr_lightning.model.lora import Lora, loras_to_json
from cxr_lightning.model.quantize import held_as, quantize, require_possible, require_untaught
from cxr_lightning.model.source import ModelSource, ModelSourceError
from cxr_lightning.model.trainable import ParameterCounts, Trainable, learning_names, prepare
from cxr_lightning.objectives.next_token import next_token
from cxr_lightning.stream.encode import TextKind
from cxr_lightning.stream.rows import Batch
from cxr_lightning.training.caching import train_from_features
from cxr_lightning.training.optim import Optim, make_optimizer
from cxr_lightning.training.poll import Poll
from cxr_lightning.training.precision import stored_in
from cxr_lightning.training.staging import stage_shards


class StageModule(pl.LightningModule):
    """One training stage of an image-text-to-text model.

    Args:
        source: The frozen base.
        trainable: What learns.
        lora: Size and place of adapters, where a part learns by LoRA.
        optim: Optimizer and schedule.
        init_from: Run whose learned weights this stage begins with.
        vision_lora: The vision tower's adapters, where they are not as the others.
        compute: How layers are computed: activation checkpointing, compilation.
    """

    stage: ClassVar[str]
    text: ClassVar[TextKind]
    sees: ClassVar[bool] = True
    """Whether the stage trains a model that takes images."""

    def __init__(
        self,
        source: ModelSource,
        trainable: Trainable,
        lora: Lora,
        optim: Optim,
        init_from: str | None,
        vision_lora: Lora | None = None,
        compute: Compute = Compute(),
    ) -> None:
        super().__init__()
        self.source, self.trainable, self.optim, self.compute = source, trainable, optim, compute
        self.loras = trainable.loras(lora, vision_lora)
        optim.require_learning(trainable)
        self.inherits: Run | None = None if init_from is None else open_run(init_from)
        self._require_sight()
        self.processor = load_processor(source)
        # Checkpoints hold only what learns, so a strict load would miss every frozen weight.
        self.strict_loading = False
        self.model: Any = None
        self.base_fingerprint = ""
        self.counts = ParameterCounts()
        self.family: VlmFamily | None = None
        self.inherited_names: tuple[str, ...] = ()
        self.packs = False
        """Whether samples of this model may share a row; known once the model is there."""
        self.resume_from: Path | None = None
        """The checkpoint that a resumed run goes on from, inherited weights included."""
        self.poll = Poll()
        """What ranks wish of the run, told with the sum of a step's tokens."""
        self._step_tokens = torch.tensor(1.0)
        self._validation = torch.zeros(2)

    def _require_sight(self) -> None:
        """Refuses a language model alone where images are to be seen, and a model that sees where text is to be read.

        Raises:
            ModelSourceError: If the source, or the run to begin with, is of the other kind.
        """
        earlier = None if self.inherits is None else ModelSource.from_json(self.inherits.provenance["model"])
        if earlier is not None and earlier.text_only == self.sees:
            assert self.inherits is not None
            run = self.inherits.folder
            told, remedy = (
                ("a language model alone", f"cxr export {run} --out LM, then give stage 1 --model.source.language LM.")
                if self.sees
                else ("a model that takes images", "name a run of the language stage, or leave out --model.init_from.")
            )
            raise ModelSourceError(
                f"{run} trained {told}, which is no beginning for the {self.stage} stage. Remedy: {remedy}"
            )
        if not self.source.named:
            raise ModelSourceError(
                f"--model.source says how to hold a model ({self.source.quantize}) and not which. Remedy: name it by "
                "--model.source.vision and --model.source.language, or --model.source.base."
            )
        if self.sees and self.source.text_only:
            raise ModelSourceError(
                f"The {self.stage} stage needs a model that takes images, and --model.source names a language model "
                f"alone ({self.source.language}). Remedy: add --model.source.vision, or name a complete model as "
                "--model.source.base."
            )
        if not self.sees and not self.source.text_only:
            raise ModelSourceError(
                f"The {self.stage} stage trains a language model alone. Remedy: name it as --model.source.language, "
                "without --model.source.vision or --model.source.base."
            )

    def configure_model(self) -> None:
        """Loads the base, freezes it, adds what learns, and puts in what an earlier run learned."""
        if self.model is not None:
            return
        with full_precision_by_default():
            self._configure()

    def _configure(self) -> None:
        zero_3 = bool(getattr(self.trainer.strategy, "zero_stage_3", False))
        if self.compute.compile and zero_3:
            raise ValueError(
                "--model.compute.compile under ZeRO stage 3: its hooks gather each layer's weights, and break what is "
                "compiled apart. Remedy: choose strategy.stage 2, or set compile to false."
            )
        require_possible(self.source, self.trainable.language, str(self.trainer.precision), zero_3=zero_3)
        model = load_model(self.source, self.processor, dtype=stored_in(self.trainer.precision))
        self.family = family_of(self.source, model.config)
        base = fingerprint(model.named_parameters())
        self.base_fingerprint = held_as(base, self.source, self.lora_settings())
        torch.manual_seed(self.source.seed)  # adapters are drawn alike on every rank and at every resume
        self._learn_on(model, self._origin(), base)
        if self.resume_from is not None:
            put_masters(model, self.resume_from)
        self.packs = self.family.packs and use_segments(model)
        # With the tower, also where its features are read instead: both divide a batch into the same rows, to the bit.
        work = model_flops(model, self.family)
        if not self.compute.compile:  # the compiler joins the pieces itself
            fuse_adapters(model)
        set_up(model, self.compute, self.family)
        # Last: these may take hours, and all else that can be refused is by now.
        stage_shards(self.trainer.datamodule, self.trainer.local_rank, speaks=self.trainer.is_global_zero)
        train_from_features(self, model)
        self.model = model
        self.train()  # the trainer leaves modules as it finds them, and the base came in evaluation mode
        # Only now is it known what an image costs, and how many rows a step needs; the engine has to know it.
        image_work = (work.tower.image + work.projector.image) / work.token
        self.trainer.accumulate_grad_batches = self.trainer.datamodule.prepare_rows(image_work)

    def _origin(self) -> Path | None:
        """Returns the learned weights that this run begins with."""
        if self.resume_from is not None:
            return self.resume_from / WEIGHTS
        return None if self.inherits is None else self.inherits.weights()

    def _learn_on(self, model: Any, origin: Path | None, base: str) -> None:
        """Adds what learns, with weights learned earlier, if they were learned on this base with these adapters."""
        assert self.family is not None
        own: dict[str, Tensor] = {}
        adapters: dict[str, Tensor] = {}
        if origin is not None:
            held_by_them = held_as(base, self.source, weights.lora_of(origin))
            own, adapters = weights.divide(weights.read(origin, base=held_by_them))
            weights.require_lora(origin, self.lora_settings())
            weights.put(model, own, origin=origin)
        if self.source.quantize is not None:
            require_untaught(own, self.family)
            quantize(model, self.family, device=self.trainer.strategy.root_device)
        held = [parameter for name, parameter in model.named_parameters() if name in own]
        self.counts = prepare(model, self.trainable, self.loras, self.family)
        if origin is not None:
            weights.put(model, adapters, origin=origin)
        known = {id(parameter): name for name, parameter in model.named_parameters()}  # an adapter renames its layer
        self.inherited_names = (*(known[id(parameter)] for parameter in held), *adapters)

    def lora_settings(self) -> dict[str, Any] | None:
        """Returns the settings of the model's adapters by role, or None where it has none."""
        return loras_to_json(self.loras)

    def train(self, mode: bool = True) -> StageModule:
        """Keeps what is frozen in evaluation mode: its dropout stays off and its running averages stay as they are."""
        super().train(mode)
        if mode and self.model is not None:
            for module in self.model.modules():
                own = list(module.parameters())  # of dropout there are none: it goes with the module that it is in
                if own and not any(parameter.requires_grad for parameter in own):
                    module.eval()
            let_checkpoint(self.model)
        return self

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Makes floats of the pixels, which came as bytes: a twelfth of what would else be copied to the device."""
        pixels = batch["inputs"].get("pixel_values")
        if isinstance(pixels, Tensor) and pixels.dtype == torch.uint8:
            normal = self.trainer.datamodule.encoder.pixels.normalise(pixels)
            # The trainer converts floats of a batch before they are copied; here they begin only now.
            batch["inputs"]["pixel_values"] = self.trainer.precision_plugin.convert_input(normal)
        return batch

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seeds dropout by step and rank, so that a resumed run draws what the undisturbed one would have drawn."""
        torch.manual_seed(zlib.crc32(f"{self.source.seed}/{batch_idx}/{self.trainer.global_rank}".encode()))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Returns a micro-batch's loss, scaled so that the engine's averages give the mean over the global batch."""
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            sums = self._sum_over_ranks(torch.tensor([float(batch["supervised_in_step"]), *self.poll.ask()]))
            self._step_tokens = sums[0]
            self.poll.keep(sums[1:])
        losses = next_token(self.model, batch["inputs"], batch["targets_RL"])
        # Divided out again on the way to the gradient: ranks once (their mean), accumulation twice (by Lightning's loop
        # and by DeepSpeed's engine).
        averaged_over = self.trainer.world_size * self.trainer.accumulate_grad_batches**2
        scale = averaged_over / self._step_tokens.clamp(min=1)
        # A loss that is not finite makes the gradient so; its norm is over all ranks, and tells them all (`Nonfinite`).
        loss = losses.sum * scale.where(losses.sum.detach().isfinite(), math.nan)
        return {"loss": loss, "loss_sum": losses.sum.detach(), "each_S": losses.each_S}

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Adds a batch to the validation loss; what it returns is for the monitor, which tells sets apart."""
        losses = next_token(self.model, batch["inputs"], batch["targets_RL"])
        tokens = torch.tensor(float(batch["supervised_in_step"]), device=losses.sum.device)
        # Summed where it is computed: to read it would make a GPU wait after every batch.
        self._validation = self._validation.to(tokens.device) + torch.stack([losses.sum.detach(), tokens])
        return {"loss_sum": losses.sum, "each_S": losses.each_S}

    def on_validation_epoch_end(self) -> None:
        """Logs the loss over the whole validation split, each sample counted once."""
        total = self._sum_over_ranks(self._validation)
        self._validation = torch.zeros(2)
        self.log("validate/loss", total[0] / total[1].clamp(min=1), prog_bar=True, logger=False, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Returns AdamW and its schedule over the whole training."""
        assert self.family is not None
        named = self.model.named_parameters()
        return make_optimizer(named, self.optim, self.trainer.datamodule.steps, self.family)

    def learned_names(self) -> list[str]:
        """Returns the names of the parameters that differ from the base: learning now, or learned in an earlier run."""
        return sorted({*learning_names(self.model), *self.inherited_names})

    def ancestors(self) -> list[Path]:
        """Returns the folders that what was learned before this training came from."""
        parts = (self.source.base, self.source.vision, self.source.language)
        return [*([] if self.inherits is None else [self.inherits.folder]), *(Path(part) for part in parts if part)]

    def provenance(self) -> dict[str, Any]:
        """Returns what `run.json` says about the model."""
        earlier = None if self.inherits is None else self.inherits.provenance
        return {
            "stage": self.stage,
            "model": self.source.to_json(),
            "base_fingerprint": self.base_fingerprint,
            "trainable": self.trainable.to_json(),
            "lora": self.lora_settings(),
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


@contextmanager
def full_precision_by_default() -> Iterator[None]:
    """Undoes Lightning's half-precision default: the engine makes half precision of float32, and scales the loss."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def put_masters(model: Any, checkpoint: Path) -> None:
    """Puts a half-precision run's float32 copies into parameters that are float32 now."""
    saved = SavedState(checkpoint)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dtype == torch.float32 and saved.has(name, MASTER):
                saved.fill(Fragment(name, 0, {MASTER: parameter.view(-1)}))


def source_of(run: str | Path) -> ModelSource:
    """Returns the base model of a run, so that the next stage need not name it again."""
    return ModelSource.from_json(open_run(run).provenance["model"])
