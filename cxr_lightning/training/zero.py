"""DeepSpeed ZeRO under Lightning, on CUDA with NCCL and on CPU ranks with gloo by the same class.

The one place that configures DeepSpeed. Lightning's strategy refuses CPU ranks for no reason that DeepSpeed shares
(its check of the accelerator, of device indices, and a device index of None); those three are overridden here. Saving
and loading are ours as well (`checkpoint/`): DeepSpeed's files are pickles, cut for one number of ranks.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial, wraps
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy
from torch import Tensor

if not torch.cuda.is_available():  # DeepSpeed looks for an accelerator when it is imported
    os.environ.setdefault("DS_ACCELERATOR", "cpu")

import deepspeed
from deepspeed.accelerator import get_accelerator, set_accelerator
from deepspeed.accelerator.cpu_accelerator import CPU_Accelerator

from cxr_lightning.checkpoint import manifest, optimizer, position, weights
from cxr_lightning.checkpoint.copies import HostCopies
from cxr_lightning.checkpoint.position import VALIDATE_LOSS
from cxr_lightning.checkpoint.runs import WEIGHTS
from cxr_lightning.checkpoint.writing import Files, Writer
from cxr_lightning.training import partition
from cxr_lightning.training.counters import loops_after
from cxr_lightning.training.optim import schedule_at

_GATHERED = 2**28
"""Numbers gathered at once while weights are saved under ZeRO-3: half a gigabyte in bfloat16."""


class ZeroStrategy(DeepSpeedStrategy):
    """ZeRO: optimizer state (1), gradients (2), parameters (3) divided among ranks (Rajbhandari et al., SC 2020).

    Args:
        stage: What is divided; 0 divides nothing.
        offload_optimizer: Keep optimizer state in host memory (CUDA).
        offload_parameters: Keep frozen and learned parameters in host memory (stage 3, CUDA).
        bucket_mb: Size of a communication bucket in millions of elements.
        timeout_minutes: How long a collective may wait for a rank.
    """

    def __init__(
        self,
        stage: Literal[0, 1, 2, 3] = 2,
        offload_optimizer: bool = False,
        offload_parameters: bool = False,
        bucket_mb: int = 200,
        timeout_minutes: float = 30.0,
        **lightning: Any,
    ) -> None:
        if offload_parameters and stage != 3:
            raise ValueError(
                f"offload_parameters needs stage 3, not {stage}. Remedy: set strategy.stage to 3, or drop the offload."
            )
        cuda = torch.cuda.is_available()
        super().__init__(
            zero_optimization=stage > 0,
            stage=stage,
            offload_optimizer=offload_optimizer,
            offload_parameters=offload_parameters,
            allgather_bucket_size=bucket_mb * 1_000_000,
            reduce_bucket_size=bucket_mb * 1_000_000,
            overlap_comm=cuda,
            # Lightning would look for a batch sampler that an indexed stream has not; DeepSpeed only logs with it.
            logging_batch_size_per_gpu=1,
            exclude_frozen_parameters=True,
            process_group_backend="nccl" if cuda else "gloo",
            timeout=timedelta(minutes=timeout_minutes),
            **lightning,
        )
        self.save_in_background = False
        """Whether checkpoints are written while training goes on."""
        self.after_saving: Callable[[], None] = lambda: None
        """What rank 0 does once a checkpoint is there."""
        self._writer: Writer | None = None
        self._copies = HostCopies()
        if offload_optimizer:  # DeepSpeed would insist on its own Adam, which needs a compiler; torch's does as well
            self.config["zero_force_ds_cpu_optimizer"] = False

    @property
    def _on_cuda(self) -> bool:
        return isinstance(self.accelerator, CUDAAccelerator)

    def setup_environment(self) -> None:
        """Starts the ranks, CPU ones as well."""
        DDPStrategy.setup_environment(self)

    def setup_distributed(self) -> None:
        """Joins the process group; CPU ranks have no device indices to check."""
        if self._on_cuda:
            super().setup_distributed()
            return
        self._compute_on_cpus()
        # DeepSpeed would compile a shared-memory collective at first use; gloo does without a compiler on the node.
        importlib.import_module("deepspeed.comm.torch").build_shm_op = lambda: None  # type: ignore[attr-defined]
        self.set_world_ranks()
        self._init_deepspeed_distributed()

    def _compute_on_cpus(self) -> None:
        """Turns to CPUs what was chosen for the GPUs of this machine, before it was known that they are not wanted."""
        self._process_group_backend = "gloo"
        self.config.get("zero_optimization", {})["overlap_comm"] = False  # which is done by CUDA's streams
        if get_accelerator().device_name() != "cpu":
            set_accelerator(CPU_Accelerator())

    @contextmanager
    def model_sharded_context(self) -> Iterator[None]:
        """Lets the model load whole: weights come from safetensors files, and the engine divides them afterwards."""
        yield

    def _setup_model_and_optimizer(self, model: Any, optimizer: Any, lr_scheduler: Any = None) -> tuple[Any, Any]:
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._fit_buckets(sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in learning))
        engine, zero_optimizer, _, _ = deepspeed.initialize(
            args=argparse.Namespace(device_rank=self.local_rank),
            config=self.config,
            model=model,
            model_parameters=learning,
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
            dist_init_required=False,
        )
        partition.require_known(engine.optimizer)
        partition.forget_first_step(engine)
        engine.clip_fp32_gradients = partial(_clip, engine)  # which stage 0 uses in float32, and forgets the norm
        if isinstance(engine.optimizer, torch.optim.Optimizer):
            _skip_what_is_not_finite(engine)
        return engine, zero_optimizer

    def _fit_buckets(self, learning: int) -> None:
        """Makes buckets no larger than what learns: DeepSpeed allocates them whole, 800 MB for an adapter of 30."""
        zero = self.config.get("zero_optimization", {})
        for name in ("reduce_bucket_size", "allgather_bucket_size"):
            if name in zero:
                zero[name] = max(1, min(int(zero[name]), learning))

    def grad_norm(self) -> float | None:
        """Returns the norm of all gradients of the last step, before clipping."""
        norm = self.deepspeed_engine.get_global_grad_norm()
        return None if norm is None else float(norm)

    @property
    def skipped(self) -> bool:
        """Whether the last step changed nothing, since a gradient of some rank was not finite; all ranks know alike."""
        return not self.deepspeed_engine.was_step_applied()

    @property
    def writer(self) -> Writer:
        """What writes checkpoints; all ranks make theirs together, when the first is written."""
        if self._writer is None:
            self._writer = Writer(self.save_in_background, self._timeout)
        return self._writer

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Saves what learns, its optimizer state and the position; the folder appears complete or not at all.

        Raises:
            CheckpointNotWrittenError: If this checkpoint, or the one before it in the background, failed on any rank.
        """
        final = Path(self.broadcast(str(filepath)))
        self.writer.wait()  # what it writes is about to be overwritten
        files, size = self.writer.agree(final, lambda: self._files(checkpoint))
        self.writer.write(final, files, self.after_saving, size)

    def finish_saving(self, seconds: float | None = None) -> None:
        """Waits for the checkpoint that is being written in the background, if there is one.

        Raises:
            CheckpointNotWrittenError: If it failed on any rank.
        """
        if self._writer is not None:
            self._writer.wait(seconds)

    @property
    def saving(self) -> bool:
        """Whether a checkpoint was begun in the background that nobody has waited for yet."""
        return self._writer is not None and self._writer.begun

    @property
    def writing(self) -> bool:
        """Whether a checkpoint is being written in the background just now."""
        return self._writer is not None and self._writer.busy

    @property
    def saving_failed(self) -> BaseException | None:
        """Why the checkpoint that was written in the background is not there, as far as this rank knows."""
        return None if self._writer is None else self._writer.failed

    def _files(self, checkpoint: dict[str, Any]) -> tuple[Files, int]:
        """Copies what this rank saves, so that training may go on, and returns how to write it, and its bytes."""
        module: Any = self.lightning_module
        tensors = self._copy_weights()
        files: dict[str, Callable[[Path], object]] = {}
        size = sum(tensor.nbytes for tensor in tensors.values())
        if self.is_global_zero:
            base, lora = module.base_fingerprint, module.lora_settings()
            where = position.text(self._position(checkpoint))
            files[WEIGHTS] = lambda path: weights.save(path, tensors, base=base, lora=lora)
            files[position.NAME] = lambda path: path.write_text(where)
        if self.is_global_zero or not partition.held_by_all(self.deepspeed_engine):
            names = self._learning()
            partition.make_state(self.deepspeed_engine, names)
            held = [fragment.copy(self._copies) for fragment in partition.fragments(self.deepspeed_engine, names)]
            files[optimizer.file_name(self.global_rank, self.world_size)] = lambda path: optimizer.save(path, held)
            size += sum(tensor.nbytes for fragment in held for tensor in fragment.tensors.values())
        return files, size

    def _copy_weights(self) -> dict[str, Tensor]:
        """Returns on rank 0 a copy of everything that differs from the base, else nothing.

        Divided parameters are gathered a few at a time, so that no GPU ever holds them all.
        """
        module: Any = self.lightning_module
        parameters = dict(module.model.named_parameters())
        copied: dict[str, Tensor] = {}
        for names in _handfuls(module.learned_names(), parameters):
            divided = [parameters[name] for name in names if hasattr(parameters[name], "ds_id")]
            with deepspeed.zero.GatheredParameters(divided, enabled=bool(divided)):
                if self.is_global_zero:
                    copied.update({name: self._copies(name, parameters[name]) for name in names})
        return copied

    def _learning(self) -> dict[int, str]:
        module: Any = self.lightning_module
        return {id(each): name for name, each in module.model.named_parameters() if each.requires_grad}

    def _position(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        engine = self.deepspeed_engine
        derived = ("state_dict", "optimizer_states", "loops", "lr_schedulers", VALIDATE_LOSS)
        return {
            "step": checkpoint["global_step"],
            VALIDATE_LOSS: checkpoint.get(VALIDATE_LOSS),
            "ranks": self.world_size,
            "zero_stage": engine.zero_optimization_stage(),
            "optimizer": {
                "step": partition.steps_taken(engine),
                "loss_scale": partition.loss_scale(engine),
            },
            "trainer": {name: value for name, value in checkpoint.items() if name not in derived},
        }

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Loads a complete, undamaged checkpoint, saved by any number of ranks at any ZeRO stage.

        The weights are in the model by now (`StageModule.resume_from`), before DeepSpeed divided them.

        Raises:
            DamagedCheckpointError: If a file is missing or changed.
            MissingStateError: If another set of parameters learned in it.
        """
        folder, module = Path(checkpoint_path), self.lightning_module
        self._verify(folder)
        assert module is not None
        if module.resume_from is None or Path(module.resume_from) != folder:
            raise ValueError(f"Set the module's resume_from to {folder} before Trainer.fit(ckpt_path=...) loads it.")
        where, engine, names = position.read(folder), self.deepspeed_engine, self._learning()
        saved = optimizer.SavedState(folder)
        saved.require(set(names.values()))
        partition.make_state(engine, names)
        partition.set_steps(engine, names, where["optimizer"]["step"])
        for fragment in partition.fragments(engine, names):
            weight = partial(weights.read_one, folder / WEIGHTS, fragment.name)  # a run in float32 had no master copies
            saved.fill(fragment, otherwise={optimizer.MASTER: weight})
        partition.set_loss_scale(engine, where["optimizer"]["loss_scale"])
        engine.global_steps = where["step"]
        trainer = module.trainer
        loops = loops_after(trainer.fit_loop.state_dict(), where["step"], trainer.accumulate_grad_batches)
        schedules = [schedule_at(config.scheduler, where["step"]) for config in trainer.lr_scheduler_configs]
        return {**where["trainer"], "state_dict": {}, "loops": {"fit_loop": loops}, "lr_schedulers": schedules}

    def _verify(self, folder: Path) -> None:
        """Reads a checkpoint once, on rank 0, for all ranks."""
        damage = None
        if self.is_global_zero:
            try:
                manifest.verify(folder)
            except manifest.DamagedCheckpointError as error:
                damage = str(error)
        damage = self.broadcast(damage)
        if damage is not None:
            raise manifest.DamagedCheckpointError(damage)


def _clip(engine: Any) -> None:
    learning = [parameter for parameter in engine.module.parameters() if parameter.requires_grad]
    engine._global_grad_norm = torch.nn.utils.clip_grad_norm_(learning, engine.gradient_clipping())


def _skip_what_is_not_finite(engine: Any) -> None:
    """Has stage 0 in float32, which is torch's optimizer itself, skip a step as DeepSpeed's other optimizers do.

    Its gradients are averaged over the ranks by then, so all ranks have the same norm.
    """
    optimizer, step = engine.optimizer, engine.optimizer.step

    @wraps(step)  # with the marks that learning-rate schedules look for
    def step_if_finite(*args: Any, **kwargs: Any) -> Any:
        if not engine.gradient_clipping():
            learning = [parameter for parameter in engine.module.parameters() if parameter.grad is not None]
            engine._global_grad_norm = torch.nn.utils.get_total_norm([each.grad for each in learning])
        optimizer.overflow = not bool(engine._global_grad_norm.isfinite())  # by this the engine knows
        return None if optimizer.overflow else step(*args, **kwargs)

    optimizer.step = step_if_finite


def _handfuls(names: list[str], parameters: dict[str, Any]) -> Iterator[list[str]]:
    """Divides names so that each part's parameters are small together, or one."""
    handful: list[str] = []
    size = 0
    for name in names:
        numbers = getattr(parameters[name], "ds_numel", parameters[name].numel())
        if handful and size + numbers > _GATHERED:
            yield handful
            handful, size = [], 0
        handful.append(name)
        size += numbers
    if handful:
        yield handful
