"""Every tensor that the architecture has, in its shape: compared with the model as transformers builds it, empty.

Only transformers knows which tensors a configuration asks for. So it is imported, with torch, for this one check: it
is what finds a projector that was forgotten, and costs a few seconds. No weight is loaded.
"""

from __future__ import annotations

import re
from typing import Any

from cxr_lightning.export.servable.finding import Finding
from cxr_lightning.export.servable.folder import Folder

_WHAT = "every tensor of the architecture is there, in its shape, and no other"
_AGAIN = "export the run again: cxr export RUN --out DIR"
_PREFIXES = re.compile(r"^(model\.)?(language_model\.)?(model\.)?")
_COMPUTED = re.compile(r"\.(position_ids|inv_freq|relative_position_index)$")

Shapes = dict[str, tuple[int, ...]]


def check_tensors(folder: Folder) -> Finding:
    """Compares names and shapes of the tensors on disk with those of the empty model."""
    try:
        wanted, twins = _wanted(folder)
    except Exception as error:  # whatever a configuration makes a library's constructor raise
        first = str(error).partition("\n")[0]
        return Finding(_WHAT, f"transformers cannot build it: {type(error).__name__}: {first}", False, _AGAIN)
    found = {_plain(name): each.shape for name, each in folder.weights.tensors.items() if not _COMPUTED.search(name)}
    lost = sorted(wanted.keys() - found.keys() - twins)
    other = sorted(found.keys() - wanted.keys())
    shaped = sorted(name for name in wanted.keys() & found.keys() if wanted[name] != found[name])
    if lost or other or shaped:
        return Finding(_WHAT, _told(lost, other, shaped, wanted, found), False, _AGAIN)
    return Finding(_WHAT, f"{len(wanted.keys() & found.keys())} tensors", True)


def _wanted(folder: Folder) -> tuple[Shapes, set[str]]:
    """Returns the shapes of the tensors that should be on disk, and those that need not, being another's twin."""
    import torch
    import transformers
    from transformers.core_model_loading import revert_weight_conversion

    config: Any = transformers.AutoConfig.from_pretrained(folder.path)
    kind: Any = getattr(transformers, folder.architecture, None)
    if kind is None:
        raise ValueError(f"it has no {folder.architecture or 'architecture that is named'}")
    with torch.device("meta"):
        model = kind(config)
    twins = {_plain(name) for name in model.all_tied_weights_keys or ()}
    stored: dict[str, Any] = revert_weight_conversion(model, dict(model.state_dict()))
    wanted = {_plain(name): tuple(each.shape) for name, each in stored.items() if not _COMPUTED.search(name)}
    return wanted, twins


def _plain(name: str) -> str:
    """Returns a name without what differs between layouts that transformers and vLLM both read."""
    name = name.replace("vision_tower.vision_model.", "vision_tower.")
    head = name.rpartition("lm_head.")[2] if "lm_head." in name else None
    return f"lm_head.{head}" if head else _PREFIXES.sub("", name)


def _told(lost: list[str], other: list[str], shaped: list[str], wanted: Shapes, found: Shapes) -> str:
    told = []
    if lost:
        told.append(f"{len(lost)} of {len(wanted)} missing, {lost[0]} first")
    if other:
        told.append(f"{len(other)} that it has not, {other[0]} first")
    if shaped:
        name = shaped[0]
        told.append(f"{len(shaped)} of another shape, {name} is {list(found[name])} and not {list(wanted[name])}")
    return "; ".join(told)
