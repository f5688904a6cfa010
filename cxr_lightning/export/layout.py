"""The names under which weights are stored: the ones that transformers and vLLM both read.

transformers 5 stores a CLIP or SigLIP tower's weights as `vision_tower.embeddings...`; vLLM looks for the older
`vision_tower.vision_model.embeddings...`, which transformers still reads. So the older names are written. For the rest
transformers' own conversion is asked, with tensors that have no values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

_TOWERS = ("clip_vision_model", "siglip_vision_model")
_TOWER_PART = re.compile(r"(vision_tower\.)(?!vision_model\.)")


class UnknownLayoutError(ValueError):
    """Transformers stores weights of this family in another form than the model holds them."""


def stored_names(frame: Any) -> dict[str, str]:
    """Returns under which name each weight is stored; weights that are another's twin are not stored.

    Args:
        frame: The plain model, without values.

    Raises:
        UnknownLayoutError: If a weight would not be stored as it is.
    """
    twins = set(frame.all_tied_weights_keys or ())
    held: Mapping[str, Tensor] = {name: each for name, each in frame.state_dict().items() if name not in twins}
    stored = {id(tensor): name for name, tensor in revert_weight_conversion(frame, dict(held)).items()}
    lost = [name for name, tensor in held.items() if id(tensor) not in stored]
    if lost:
        raise UnknownLayoutError(
            f"Models of type {frame.config.model_type} store {lost[0]} and {len(lost) - 1} more weights in other "
            "forms than they hold them, and a streaming export cannot. Remedy: tune a model of a family that "
            "docs/models.md lists."
        )
    names = {name: stored[id(tensor)] for name, tensor in held.items()}
    if getattr(getattr(frame.config, "vision_config", None), "model_type", None) in _TOWERS:
        names = {name: _TOWER_PART.sub(r"\1vision_model.", place) for name, place in names.items()}
    return names
