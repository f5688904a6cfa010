"""DeepSpeed ZeRO under Lightning, on CUDA with NCCL and on CPU ranks with gloo by the same class.

The one place that configures DeepSpeed. Lightning's strategy refuses CPU ranks for no reason that DeepSpeed shares
(its check of the accelerator, of device indices, and a device index of None); those three are overridden here. Saving
goes aside first: a checkpoint has its name only once every rank's file is written and listed with its checksum.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy
from torch import Tensor

if not torch.cuda.is_available():  # DeepSpeed looks for an accelerator when it is imported
    os.environ.setdefault("DS_ACCELERATOR", "cpu")

import deepspeed

from cxr_lightning.checkpoint import manifest, weights
from cxr_lightning.checkpoint.runs import WEIGHTS


class OtherRanksError(ValueError):
    """A checkpoint's optimizer state is cut for another number of ranks."""


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
        # DeepSpeed would compile a shared-memory collective at first use; gloo does without a compiler on the node.
        importlib.import_module("deepspeed.comm.torch").build_shm_op = lambda: None  # type: ignore[attr-defined]
        self.set_world_ranks()
        self._init_deepspeed_distributed()

    @contextmanager
    def model_sharded_context(self) -> Iterator[None]:
        """Lets the model load whole: weights come from safetensors files, and the engine divides them afterwards."""
        yield

    def _setup_model_and_optimizer(self, model: Any, optimizer: Any, lr_scheduler: Any = None) -> tuple[Any, Any]:
        engine, zero_optimizer, _, _ = deepspeed.initialize(
            args=argparse.Namespace(device_rank=self.local_rank),
            config=self.config,
            model=model,
            model_parameters=[parameter for parameter in model.parameters() if parameter.requires_grad],
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
            dist_init_required=False,
        )
        return engine, zero_optimizer

    def grad_norm(self) -> float | None:
        """Returns the norm of all gradients of the last step, before clipping."""
        norm = self.deepspeed_engine.get_global_grad_norm()
        return None if norm is None else float(norm)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Saves what learns, its optimizer state and the position; the folder appears complete or not at all."""
        final = Path(self.broadcast(str(filepath)))
        partial = final.with_name(final.name + ".partial")
        if self.is_global_zero:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self.barrier()
        super().save_checkpoint(checkpoint, partial, storage_options)
        self._save_weights(partial / WEIGHTS)
        self.barrier()
        if self.is_global_zero:
            manifest.write(partial)
            _publish(partial, final)
        self.barrier()

    def _save_weights(self, path: Path) -> None:
        module: Any = self.lightning_module
        parameters = dict(module.model.named_parameters())
        names = module.learned_names()
        divided = [parameters[name] for name in names if hasattr(parameters[name], "ds_id")]
        with deepspeed.zero.GatheredParameters(divided, enabled=bool(divided)):
            if self.is_global_zero:
                tensors: dict[str, Tensor] = {name: parameters[name] for name in names}
                weights.save(path, tensors, base=module.base_fingerprint, lora=module.lora_settings())

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Loads a complete, undamaged checkpoint.

        Raises:
            DamagedCheckpointError: If a file is missing or changed.
            OtherRanksError: If it was saved by another number of ranks.
            OtherBaseError: If it was learned on another base model.
            OtherLoraError: If its adapters were learned with other settings.
        """
        folder = Path(checkpoint_path)
        manifest.verify(folder)
        module: Any = self.lightning_module
        weights.read(folder / WEIGHTS, base=module.base_fingerprint)
        weights.require_lora(folder / WEIGHTS, module.lora_settings())
        saved = len(list((folder / "checkpoint").glob("*zero_pp_rank_*optim_states.pt")))
        if saved and saved != self.world_size:
            raise OtherRanksError(
                f"{folder} holds the optimizer state of {saved} ranks, and {self.world_size} are running. "
                f"Remedy: resume with {saved} ranks, or start a new run from its weights with --model.init_from."
            )
        return super().load_checkpoint(folder, weights_only)


def _publish(partial: Path, final: Path) -> None:
    """Gives a finished folder its name; what had the name before goes only afterwards."""
    old = final.with_name(final.name + ".old")
    shutil.rmtree(old, ignore_errors=True)  # left over, should a process have died right here
    if final.exists():
        final.rename(old)
    partial.rename(final)
    shutil.rmtree(old, ignore_errors=True)
