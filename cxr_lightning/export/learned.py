"""Whether what a run learned is in the weights that were merged: each tensor of its file, and each adapter."""

# Shapes: N inputs tried, I width of a layer's input.

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors import safe_open
from torch import Tensor, nn

from cxr_lightning.checkpoint.weights import is_adapter
from cxr_lightning.export.lending import lent, without_adapters
from cxr_lightning.export.merge import PROJECTOR, Merged
from cxr_lightning.export.proof import Check
from cxr_lightning.export.reloading import checksum
from cxr_lightning.export.trained import Model
from cxr_lightning.model.projector import as_one_layer

_TRIED = 4


def prove_learned(trained: Model, instead: Mapping[str, Tensor], sums: Mapping[str, int], dtype: torch.dtype) -> Check:
    """Compares the file of what was learned, read anew, with what was written and what was merged.

    Args:
        trained: The trained model.
        instead: Weights that were written in another form than they were learned in.
        sums: Checksum of each weight as it was written, by its name in the model without adapters.
        dtype: Data type of the export.
    """
    assert trained.origin is not None
    parameters = dict(trained.module.named_parameters())
    one = {PROJECTOR + name: each for name, each in as_one_layer(instead, PROJECTOR).items()} if instead else {}
    lost = []
    with safe_open(trained.origin, framework="pt") as file:
        names = list(file.keys())
        for name in names:
            tensor, plain = file.get_tensor(name), name.replace(".base_layer.", ".")
            if is_adapter(name) or ".base_layer." in name:
                kept = torch.equal(parameters[name], tensor)  # and that these are merged, `prove_layers` looks at
            elif plain in one:
                kept = torch.equal(one[plain], tensor.to(one[plain].dtype))
            else:
                kept = sums.get(plain) == checksum(tensor.to(dtype))
            if not kept:
                lost.append(name)
            trained.pages.give_back(tensor)
    found = f"{len(names) - len(lost)} of {len(names)} tensors" + (f", not {lost[0]}" if lost else "")
    return Check("what was learned is in it", found, bool(names) and not lost)


@torch.inference_mode()
def prove_layers(trained: Model, merged: Merged) -> Check:
    """Has each adapted layer compute with its adapter on, and merged: of what the adapter does, a hundredth may differ.

    Args:
        trained: The trained model.
        merged: Its merged weights.
    """
    names = {id(parameter): name for name, parameter in trained.module.named_parameters()}
    draw, wrong, worst = torch.Generator().manual_seed(0), [], 0.0
    for name, place in merged.adapted.items():
        layer = trained.module.get_submodule(place)
        inputs_NI = torch.randn(_TRIED, layer.in_features, generator=draw)
        with lent(layer, names, trained.read, trained.pages):
            on = layer(inputs_NI)
            with without_adapters(layer):
                off = layer(inputs_NI)
            together = nn.functional.linear(inputs_NI, merged.merge(name, torch.float32), layer.base_layer.bias)
        merged.done_with(together, name)
        does, error, scale = ((on - off).abs().max(), (on - together).abs().max(), off.abs().max())
        share = float(error / (does + 1e-4 * scale)) if float(does + scale) else 0.0
        worst = max(worst, share)
        if not share <= 0.01:
            wrong.append(name)
    total = len(merged.adapted)
    found = f"{total - len(wrong)} of {total}, off by at most {worst:.1g} of what each does"
    return Check("each adapter is merged", found + (f"; not {wrong[0]}" if wrong else ""), not wrong)
