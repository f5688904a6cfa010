"""A merged model held in memory, for tests that look at what it computes."""

from __future__ import annotations

from typing import Any

from cxr_lightning.export.lending import Reading, as_stored
from cxr_lightning.export.merge import Merged, serving_frame
from cxr_lightning.model.families import VlmFamily
from cxr_lightning.model.lora import Loras


def clean_model(model: Any, loras: Loras, family: VlmFamily, read: Reading = as_stored) -> Any:
    """Returns the merged model as a plain Hugging Face model."""
    merged = Merged(model, loras, family, read)
    frame, instead = serving_frame(model, merged)
    state = {name: instead[name] if name in instead else merged[name] for name in frame.state_dict()}
    frame.load_state_dict(state, assign=True)
    for name, buffer in model.named_buffers():  # what is not stored is computed, not loaded
        owner, _, last = name.replace(".base_layer.", ".").rpartition(".")
        frame.get_submodule(owner)._buffers[last] = buffer
    frame.tie_weights()
    return frame
