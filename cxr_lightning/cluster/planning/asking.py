"""The command line of `cxr plan`: that of a `cxr fit`, read and not built, and what it is to be planned for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from lightning.pytorch.cli import LightningArgumentParser

from cxr_lightning.cluster.planning.memory import GIB
from cxr_lightning.cluster.planning.outline import Description, PlanError
from cxr_lightning.cluster.planning.scaling import Machines
from cxr_lightning.cluster.planning.sharing import Sharing
from cxr_lightning.cluster.planning.workload import Batching
from cxr_lightning.model.compute import Compute
from cxr_lightning.model.families import Role
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable
from cxr_lightning.stream.datamodule import ShardDataModule
from cxr_lightning.stream.sets import ShardSet
from cxr_lightning.training.fit import FitCli, open_cli
from cxr_lightning.training.peak import known
from cxr_lightning.training.precision import computed_in, stored_in
from cxr_lightning.training.stage import StageModule, source_of

_DESCRIPTION = """Plan a training before a GPU is there.

Told are memory by ZeRO stage, what fits, hours and sizes, for many nodes.

Take the command line of the fit and write plan for fit; configurations may stand without --config. Nothing is loaded:
of models config.json is read, and tokenizer and preprocessor if they are there; of shards their index. Before there are
shards, say how many --samples there will be, of how many --tokens.
Two parts may be planned for stage 2 before stage 1 was trained (--model.source.vision, --model.source.language).
"""
NODES = "1,2,4,8,16,32,64,128"
_MEMORY = {
    "a100": 80,
    "a800": 80,
    "h100": 80,
    "h200": 141,
    "b200": 180,
    "a40": 48,
    "l40s": 48,
    "a10": 24,
    "v100": 32,
    "t4": 16,
}


class PlanCli(FitCli):
    """Reads the command line of a fit, and builds nothing."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds what it is to be planned for."""
        super().add_arguments_to_parser(parser)
        whole, part = PositiveInt | None, PositiveFloat | None
        add = parser.add_argument
        add("--gpus", type=whole, default=None, help="GPUs in all; if not said, those of --trainer.num_nodes nodes.")
        add("--gpus_per_node", type=PositiveInt, default=8, help="GPUs of a node.")
        add("--gpu", type=str, default="a100", help="Kind of GPU, as in its name: a100, h100, l40s ...")
        add("--gpu_memory", type=part, default=None, help="GiB of one GPU; if not said, of the largest of its kind.")
        add("--gpu_tflops", type=part, default=None, help="10^12 operations a second of a kind that is not known.")
        add("--mfu", type=float, default=0.3, help="Share of the GPU's operations that the model's work will reach.")
        add("--network", type=PositiveFloat, default=25.0, help="GB a second that each GPU sends to other nodes.")
        add("--nodes", type=str, default=NODES, help="Numbers of nodes for the table of scaling.")
        add("--samples", type=whole, default=None, help="Training samples there will be, before there are shards.")
        add("--tokens", type=whole, default=None, help="Tokens of each, those of its images included.")
        add("--answer_tokens", type=whole, default=None, help="Tokens of each answer; if not said, all but the image.")
        add("--image_side", type=PositiveInt, default=512, help="Pixels of an image's side, if families keep it.")
        add("--out", type=str | None, default=None, help="Folder for plan.json and scaling.png.")

    def before_instantiate_classes(self) -> None:
        """Derives nothing."""

    def instantiate_classes(self) -> None:
        """Builds nothing."""


@dataclass(frozen=True)
class Asked:
    """What is to be planned, and for what.

    Attributes:
        config: All that was said, as the parser has it.
    """

    config: Any

    @classmethod
    def read(cls, args: Sequence[str]) -> Asked:
        """Reads a command line; leading words are configurations."""
        words = list(args)
        leading = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
        named = [each for word in words[:leading] for each in ("--config", word)]
        return cls(open_cli([*named, *words[leading:]], PlanCli, "cxr plan", _DESCRIPTION).config)

    def require(self) -> None:
        """Refuses what cannot be planned for, before anything takes time.

        Raises:
            PlanError: If something is not known of the GPUs, or of how they share the work.
        """
        _ = self.limit, self.sharing, self.nodes
        if self.device == "cuda":
            _ = self.machines

    @property
    def device(self) -> str:
        """`cuda` or `cpu`."""
        return "cpu" if self.config.trainer.accelerator == "cpu" else "cuda"

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return computed_in(self.config.trainer.precision)

    @property
    def stored(self) -> torch.dtype:
        """What the model is loaded in."""
        return stored_in(self.config.trainer.precision)

    @property
    def ranks(self) -> int:
        """GPUs in all."""
        if self.config.gpus is not None:
            return int(self.config.gpus)
        devices = str(self.config.trainer.devices)
        return (int(devices) if devices.isdigit() else self.per_node) * int(self.config.trainer.num_nodes)

    @property
    def per_node(self) -> int:
        """GPUs of a node."""
        return int(self.config.gpus_per_node)

    @property
    def nodes(self) -> list[int]:
        """Numbers of nodes for the table of scaling.

        Raises:
            PlanError: If they are no numbers.
        """
        try:
            counts = sorted({int(each) for each in self.config.nodes.split(",")})
        except ValueError:
            counts = []
        if not counts or counts[0] < 1:
            raise PlanError(f"--nodes={self.config.nodes} is no list of numbers. Remedy: write --nodes {NODES}.")
        return counts

    @property
    def limit(self) -> int | None:
        """Bytes of one GPU; None for a rank on a CPU, if not said.

        Raises:
            PlanError: If nobody knows.
        """
        if self.device == "cpu" and self.config.gpu_memory is None:
            return None
        size = self.config.gpu_memory or _MEMORY.get(self.config.gpu.lower())
        if size is None:
            raise PlanError(
                f"How much memory a {self.config.gpu} has is not known here. Remedy: add --gpu_memory with its GiB."
            )
        return int(size * GIB)

    @property
    def machines(self) -> Machines:
        """What there is to compute with.

        Raises:
            PlanError: If nobody knows how fast it is.
        """
        peak = known(self.config.gpu)
        if self.config.gpu_tflops is None and peak is None:
            raise PlanError(
                f"How fast a {self.config.gpu} is is not known here. Remedy: add --gpu_tflops with what its data sheet "
                "says of dense matrix products, or choose a known kind (a100, h100, l40s ...)."
            )
        if not 0 < self.config.mfu <= 1:
            raise PlanError(f"--mfu={self.config.mfu} is no share. Remedy: give more than 0, and 1 at most; say, 0.3.")
        rate = self.config.gpu_tflops
        if rate is None and peak is not None:
            rate = peak.half if self.dtype != torch.float32 else peak.tf32
        return Machines(self.per_node, 1e12 * float(rate), self.config.mfu, 1e9 * self.config.network)

    @property
    def sharing(self) -> Sharing:
        """How ranks share what they hold.

        Raises:
            PlanError: If another strategy than ours is configured.
        """
        strategy = self.config.trainer.strategy
        if not str(getattr(strategy, "class_path", strategy)).endswith(".ZeroStrategy"):
            raise PlanError(
                "trainer.strategy is not ZeroStrategy, and of others nothing is known here. Remedy: leave "
                "trainer.strategy as configs/ has it."
            )
        said = strategy.init_args
        return Sharing(
            stage=said.stage,
            ranks=self.ranks,
            device="cpu" if self.device == "cpu" else "cuda",
            number=self.dtype.itemsize,
            bucket=said.bucket_mb * 1_000_000,
            offload_optimizer=said.offload_optimizer,
            offload_parameters=said.offload_parameters,
        )

    @property
    def checkpointing(self) -> tuple[Role, ...]:
        """Roles whose activations are computed again."""
        return self.described.compute.activation_checkpointing

    @property
    def described(self) -> Description:
        """The model and what learns of it.

        Raises:
            PlanError: If no model is named.
        """
        model = self.config.model
        module, _, name = model.class_path.rpartition(".")
        stage: type[StageModule] = getattr(importlib.import_module(module), name)
        said = model.init_args
        trainable, compute = Trainable(**_plain(said.trainable)), said.compute
        vision = said.get("vision_lora")
        loras = trainable.loras(_lora(said.lora), None if vision is None else _lora(vision))
        roles: Any = tuple(compute.activation_checkpointing)
        return Description(
            _source(said), trainable, loras, stage.text, Compute(roles, compute.compile),
            self.config.data.features is not None, None if said.init_from is None else Path(said.init_from),
        )  # fmt: skip

    def batching(self, *, packs: bool) -> Batching:
        """Returns how samples are batched.

        Args:
            packs: Whether samples of the model may share a row.
        """
        data = self.config.data
        layout: Any = "packed" if packs and data.layout != "padded" else "padded"
        most = -1 if self.config.trainer.max_steps is None else int(self.config.trainer.max_steps)
        return Batching(data.global_batch, data.micro_batch, data.row_tokens, data.epochs, most, layout)

    def shards(self) -> ShardDataModule:
        """Opens the index of the shards."""
        said = _plain(self.config.data)
        if not isinstance(said["shards"], str):
            said["shards"] = [each if isinstance(each, str) else ShardSet(**_plain(each)) for each in said["shards"]]
        return ShardDataModule(**{**said, "features": None})


def _source(said: Any) -> ModelSource:
    given = None if said.source is None else ModelSource(**_plain(said.source))
    if given is not None and given.named:
        return given
    if said.init_from is None:
        raise PlanError(
            "No model is named. Remedy: name the run to begin with by --model.init_from; or, before there is one, the "
            "model by --model.source.base, or by --model.source.vision and --model.source.language."
        )
    earlier = source_of(said.init_from)
    return earlier if given is None else ModelSource(**{**earlier.to_json(), "quantize": given.quantize})


def _lora(said: Any) -> Lora:
    values = _plain(said)
    return Lora(**{**values, "targets": tuple(values["targets"])})


def _plain(said: Any) -> dict[str, Any]:
    values: dict[str, Any] = said.as_dict() if hasattr(said, "as_dict") else dict(vars(said))
    return values
