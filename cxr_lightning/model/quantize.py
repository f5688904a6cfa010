"""The frozen language model's matrices in four bits, so that a large one fits beside what learns (QLoRA).

Dettmers et al., QLoRA: Efficient Finetuning of Quantized LLMs, NeurIPS 2023: NF4 in blocks of 64 by bitsandbytes. The
scales stay in float32: quantised a second time they would depend on the device in their last bits, and what was trained
could not be made again exactly. Embeddings, output matrix, projector and tower are left as they are.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from cxr_lightning.model.families import VlmFamily, role_of
from cxr_lightning.model.source import ModelSource

_BLOCK = 64


class QuantizationError(ValueError):
    """The language model cannot be held in four bits here."""


def require_possible(source: ModelSource, language: str, precision: str, *, zero_3: bool) -> None:
    """Refuses what a language model in four bits cannot do.

    Args:
        source: Says whether it is held so.
        language: How it learns: frozen, lora or full.
        precision: What the trainer computes in.
        zero_3: Whether parameters are divided among ranks.

    Raises:
        QuantizationError: If it shall learn in full, be divided, or compute in another type than bfloat16.
    """
    wrong = ""
    if source.quantize is None:
        return
    if language == "full":
        wrong = "four-bit weights cannot learn. Remedy: set --model.trainable.language to lora or frozen."
    elif zero_3:
        wrong = "ZeRO stage 3 divides floats, not four-bit weights. Remedy: choose strategy.stage 2 or less."
    elif not precision.startswith("bf16"):
        wrong = f"what is around it computes in bfloat16, not {precision}. Remedy: set --trainer.precision bf16-true."
    if wrong:
        raise QuantizationError(f"--model.source.quantize={source.quantize}: {wrong}")
    _bitsandbytes()


def require_untaught(learned: Iterable[str], family: VlmFamily) -> None:
    """Refuses to round away what an earlier run learned in full.

    Args:
        learned: Names of the weights that it learned, adapters aside.
        family: Which of them are language.

    Raises:
        QuantizationError: If some are.
    """
    taught = [name for name in learned if role_of(name, family) == "language"]
    if taught:
        raise QuantizationError(
            f"--model.source.quantize: the run to begin with learned {taught[0]} in full, and four bits would lose "
            "that. Remedy: export that run, and name the export as --model.source.base."
        )


def held_as(base: str, source: ModelSource, lora: object) -> str:
    """Returns the fingerprint that learned weights carry: adapters beside four-bit weights are of another base.

    Args:
        base: Fingerprint of the base as it was published.
        source: How it is held.
        lora: Settings of the adapters among the weights; None where there are none.
    """
    return base if source.quantize is None or lora is None else f"{base}-{source.quantize}"


def quantize(model: Any, family: VlmFamily, *, device: torch.device | str = "cpu") -> None:
    """Replaces the language model's linear layers by layers of four-bit weights, in place.

    Args:
        model: The frozen base in the data type that it computes in.
        family: Which layers are language.
        device: Where the weights are quantised; they stay where the model is.

    Raises:
        QuantizationError: If bitsandbytes is not installed.
    """
    bits = _bitsandbytes()
    for parent, last, layer in list(_layers(model, family)):
        bare = bits.nn.Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            compute_dtype=layer.weight.dtype,
            compress_statistics=False,
            quant_type="nf4",
            device="meta",
        )
        weight = bits.nn.Params4bit(
            layer.weight.data, requires_grad=False, blocksize=_BLOCK, compress_statistics=False, quant_type="nf4"
        )
        bare.weight, bare.bias = weight.to(device).to(layer.weight.device), layer.bias
        bare.weight.module = bare
        # On CPUs with AVX-512 a layer in evaluation mode would order its weights anew for generation alone, and frozen
        # layers are in that mode while adapters beside them learn.
        bare.support_avx512bf16_for_cpu = False
        setattr(parent, last, bare.eval())
    model.is_loaded_in_4bit = True  # PEFT asks for it before it looks at the layers


def rounded(weight_OI: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns the values that four bits leave of a matrix.

    Adapters that were learned beside four-bit weights correct these values, not the published ones: merged with these
    they are the model that was trained.

    Args:
        weight_OI: The matrix.
        dtype: Data type that it had when it was quantised for training.

    Raises:
        QuantizationError: If bitsandbytes is not installed.
    """
    bits = _bitsandbytes()
    codes, state = bits.functional.quantize_4bit(
        weight_OI.to(dtype), blocksize=_BLOCK, compress_statistics=False, quant_type="nf4"
    )
    values: Tensor = bits.functional.dequantize_4bit(codes, state)
    return values


def rounds(model: Any, family: VlmFamily) -> set[str]:
    """Returns the names of the weights that are held in four bits where a language model is."""
    names = {module: name for name, module in model.named_modules()}
    return {f"{names[layer]}.weight" for _, _, layer in _layers(model, family)}


def numel(parameter: Tensor) -> int:
    """Returns how many numbers a parameter holds: two four-bit ones lie in a byte."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else int(torch.Size(state.shape).numel())


def saved_by_four_bits(model: Any, family: VlmFamily) -> int:
    """Returns how many bytes fewer a frozen language model takes in four bits, scales counted.

    Args:
        model: The model as it is, adapters included; shapes are enough.
        family: Which layers are language.
    """
    weights = [layer.weight for _, _, layer in _layers(model, family) if not layer.weight.requires_grad]
    each = (weight.numel() * (weight.element_size() - 0.5) - 4 * -(-weight.numel() // _BLOCK) for weight in weights)
    return int(sum(each))


def _layers(model: Any, family: VlmFamily) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module is not head and role_of(f"{name}.weight", family) == "language":
            parent, _, last = name.rpartition(".")
            yield model.get_submodule(parent), last, module


def _bitsandbytes() -> Any:
    try:
        return importlib.import_module("bitsandbytes")
    except (ImportError, RuntimeError) as error:
        raise QuantizationError(
            f"--model.source.quantize=nf4 needs bitsandbytes, which cannot be imported ({error}). Remedy: pip install "
            "'cxr-lightning[qlora]', or leave the option out."
        ) from error
