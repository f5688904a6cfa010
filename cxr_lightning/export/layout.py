"""The names under which weights are stored: the ones that transformers and vLLM both read.

transformers 5 stores a CLIP or SigLIP tower's weights as `vision_tower.embeddings...`; vLLM looks for the older
`vision_tower.vision_model.embeddings...`, which transformers still reads. So the older names are written.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

_TOWERS = ("clip_vision_model", "siglip_vision_model")
_TOWER_PART = re.compile(r"(vision_tower\.)(?!vision_model\.)")


def write_serving_names(folder: Path, tower: str) -> None:
    """Renames the vision tower's weights in the safetensors files of a folder.

    Args:
        folder: The folder that `save_pretrained` wrote.
        tower: The tower's model type; towers that vLLM does not hold keep their names.
    """
    if tower not in _TOWERS:
        return
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            tensors = {_older(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        save_file(tensors, path, metadata={"format": "pt"})
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        content = json.loads(index.read_text())
        content["weight_map"] = {_older(name): file for name, file in content["weight_map"].items()}
        index.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def _older(name: str) -> str:
    return _TOWER_PART.sub(r"\1vision_model.", name)
