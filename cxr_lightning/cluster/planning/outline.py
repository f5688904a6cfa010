"""The model of a configuration in shape alone: from its config.json, with what learns, and without a weight.

It is built by the functions that build the model for training, told to read no weights, so that parts, adapters,
checkpointed layers and dropout are where training has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import nn
from transformers import AutoConfig

from cxr_lightning.checkpoint.runs import open_run
from cxr_lightning.cluster.planning.kernels import use_stand_ins
from cxr_lightning.model.attention import has_windows
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.compute import Compute, let_checkpoint, set_up
from cxr_lightning.model.families import Role, VlmFamily, family_of
from cxr_lightning.model.features import PLACES, GivenFeatures, tower_of
from cxr_lightning.model.flops import ModelFlops, model_flops
from cxr_lightning.model.fused import fuse_adapters
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.opening import open_part, shapes_alone
from cxr_lightning.model.quantize import saved_by_four_bits
from cxr_lightning.model.source import ModelSource, ModelSourceError
from cxr_lightning.model.trainable import ParameterCounts, Trainable, prepare
from cxr_lightning.stream.encode import TextKind
from cxr_lightning.training.optim import Optim, parameter_groups


class PlanError(ValueError):
    """What is to be planned is not described fully enough, or asks for what training would refuse."""


@dataclass(frozen=True)
class Description:
    """The model and what learns of it, as a stage's configuration says.

    Attributes:
        source: The frozen base.
        trainable: What learns.
        loras: The adapters' settings of each role that has some.
        text: What a sample teaches.
        compute: What is checkpointed or compiled.
        features: Whether a frozen tower's features are read instead of images.
        inherited: The run whose learned weights the stage begins with.
    """

    source: ModelSource
    trainable: Trainable
    loras: Mapping[Role, Lora]
    text: TextKind
    compute: Compute = field(default_factory=Compute)
    features: bool = False
    inherited: Path | None = None

    def processor(self) -> Any:
        """Returns the processor, or None where only a config.json is at hand."""
        try:
            return load_processor(self.source)
        except ModelSourceError:
            return None


@dataclass(frozen=True)
class Sizes:
    """Numbers of parameters, and the bytes that the frozen ones take.

    Attributes:
        frozen: Bytes of the frozen parameters.
        groups: Numbers of each learning parameter, by the optimizer's groups, in its order.
        all: Numbers of every parameter, frozen ones included.
        saved: Numbers that a checkpoint saves: what learns, and what an earlier run learned.
        exported: Numbers of the merged model.
    """

    frozen: int
    groups: tuple[tuple[int, ...], ...]
    all: tuple[int, ...]
    saved: int
    exported: int

    @property
    def learning(self) -> int:
        """How many numbers learn."""
        return sum(map(sum, self.groups))


@dataclass(frozen=True)
class Outline:
    """A model without weights.

    Attributes:
        model: On the device `meta`.
        family: Its row in the table of families.
        counts: Parameters by role.
        sizes: Their numbers as memory needs them.
        flops: What a step costs.
        packs: Whether samples may share a row.
        processor: What its samples are prepared with; None where only a config.json is at hand.
        text: What a sample teaches.
        features: Whether a frozen tower's features are read instead of images.
        dtype: What it computes in.
    """

    model: Any
    family: VlmFamily
    counts: ParameterCounts
    sizes: Sizes
    flops: ModelFlops
    packs: bool
    processor: Any
    text: TextKind
    features: bool
    dtype: torch.dtype


def outline(
    described: Description, processor: Any, *, dtype: torch.dtype, device: str, divided: bool, compute: Compute
) -> Outline:
    """Builds a model without weights, ready to be traced.

    Args:
        described: The model.
        processor: What `Description.processor` returned.
        dtype: What it computes in.
        device: `cuda` or `cpu`, where it shall run.
        divided: Whether parameters are divided among ranks (ZeRO-3), where adapters compute in pieces.
        compute: What is checkpointed or compiled, here.

    Raises:
        PlanError: If training would refuse it.
    """
    source = described.source
    with shapes_alone():
        model = load_model(source, processor or _stand_in(source), dtype=dtype).to("meta")
    family = family_of(source, model.config)
    with torch.device("meta"):  # adapters are drawn nowhere
        counts = prepare(model, described.trainable, described.loras, family)
    for parameter in model.parameters():  # as the engine casts them
        parameter.data = parameter.data.to(dtype)
    flops = model_flops(model, family)  # with the tower, also where its features are read instead
    packs = family.packs and not has_windows(model_language(model).config)
    if packs:
        use_stand_ins(model, device=device, half=dtype != torch.float32)
    if not (divided or source.quantize or described.compute.compile):
        fuse_adapters(model)
    set_up(model, Compute(compute.activation_checkpointing), family)
    if described.features:
        _without_tower(model)
    _train(model)
    return Outline(
        model, family, counts, _sizes(model, family, described, dtype), flops, packs,
        processor, described.text, described.features, dtype,
    )  # fmt: skip


def model_language(model: Any) -> Any:
    """Returns the text part of a model, or a language model's own decoder."""
    return getattr(model.model, "language_model", model.model)


def _stand_in(source: ModelSource) -> Any:
    """Returns as much of a processor as building the model asks for, where there is no tokenizer."""
    if not source.composed:
        return None
    config = open_part(AutoConfig, source.language, "--model.source.language")
    return SimpleNamespace(image_token_id=int(config.get_text_config().vocab_size))


def _without_tower(model: Any) -> None:
    """Puts features where the tower is, as training does; its weights then stay in host memory."""
    side = int(model.config.vision_config.image_size)
    blank = SimpleNamespace(outline=lambda images: {"pixel_values": torch.zeros(images, 3, side, side)})
    given = GivenFeatures(tower_of(model), cast(Any, blank))
    model.set_submodule(PLACES[model.config.model_type], given)


def _train(model: nn.Module) -> None:
    """Sets training mode as `StageModule.train` does: what is frozen stays in evaluation mode."""
    model.train()
    for module in model.modules():
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()
    let_checkpoint(model)


def _sizes(model: Any, family: VlmFamily, described: Description, dtype: torch.dtype) -> Sizes:
    groups = parameter_groups(model.named_parameters(), Optim(), family)
    learning = tuple(tuple(each.numel() for each in group["params"]) for group in groups)
    everything = tuple(parameter.numel() for parameter in model.parameters())
    frozen = dtype.itemsize * (sum(everything) - sum(map(sum, learning)))
    if described.source.quantize is not None:
        frozen -= saved_by_four_bits(model, family)
    saved = sum(map(sum, learning)) + _inherited(model, described)
    return Sizes(frozen, learning, everything, saved, _exported(model, described))


def _exported(model: Any, described: Description) -> int:
    """Returns the numbers of the export: adapters merged, a linear projector written as two matrices."""
    merged = sum(each.numel() for name, each in model.named_parameters() if ".lora_" not in name)
    if not (described.source.composed and described.source.projector == "linear"):
        return merged
    return merged + int(model.config.text_config.hidden_size) * (int(model.config.text_config.hidden_size) + 1)


def _inherited(model: Any, described: Description) -> int:
    """Returns how many numbers an earlier run learned that do not learn now; they are saved again."""
    if described.inherited is None:
        return 0
    from safetensors import safe_open

    named = dict(model.named_parameters())
    with safe_open(open_run(described.inherited).weights(), framework="pt") as file:
        names = set(file.keys())
    return sum(named[name].numel() for name in names if name in named and not named[name].requires_grad)
