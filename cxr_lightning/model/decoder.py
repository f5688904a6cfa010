"""Where a family's last hidden states come from, before the output matrix.

The loss needs the states of supervised positions only, so the model is not asked for logits: of a row's positions most
are image and prompt, and a vocabulary has 150,000 entries.
"""

# Shapes: R rows, L positions, D width.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def last_hidden(model: Any, inputs: Mapping[str, Any]) -> Tensor:
    """Returns the language model's last hidden states, of shape (R, L, D).

    Args:
        model: A Hugging Face image-text-to-text model.
        inputs: What its forward takes.
    """
    # No cache: with one, transformers takes packed position ids for a continued sequence, and samples would see each
    # other.
    hidden_RLD: Tensor = model.model(**inputs, use_cache=False).last_hidden_state
    return hidden_RLD


def output_head(model: Any) -> nn.Module:
    """Returns the output matrix that makes logits of hidden states."""
    head: nn.Module = model.get_output_embeddings()
    return head
