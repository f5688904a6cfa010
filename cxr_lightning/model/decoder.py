"""Where a family's last hidden states come from, before the output matrix.

The loss needs the states of supervised positions only, so the model is not asked for logits: of a row's positions most
are image and prompt, and a vocabulary has 150,000 entries.
"""

# Shapes: R rows, S samples of a packed row, L positions, D width; 3 of time, height, width.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

_QFORMER = ("blip-2", "instructblip")
_GRIDS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
"""Families whose positions run along an image's height and width, too."""


def last_hidden(model: Any, inputs: Mapping[str, Any]) -> Tensor:
    """Returns the language model's last hidden states, of shape (R, L, D).

    Args:
        model: A Hugging Face image-text-to-text model.
        inputs: What its forward takes; `mm_token_type_ids` tells image positions (1) from text (0) for every family
            that asks.
    """
    # No cache: with one, transformers takes packed position ids for a continued sequence, and samples would see each
    # other.
    if model.config.model_type in _QFORMER:
        return _behind_qformer(model, inputs)
    if model.config.model_type == "gemma3":  # where images are, attention runs in both directions
        inputs = {_GEMMA_NAMES.get(name, name): value for name, value in inputs.items()}
    if model.config.model_type in _GRIDS and "segment_lengths" in inputs:
        inputs = {**inputs, "position_ids": _grid_positions(model, inputs)}
    hidden_RLD: Tensor = model.model(**inputs, use_cache=False).last_hidden_state
    return hidden_RLD


_GEMMA_NAMES = {"mm_token_type_ids": "token_type_ids"}


def _grid_positions(model: Any, inputs: Mapping[str, Any]) -> Tensor:
    """Returns positions of a packed row along time, height and width, of shape (3, 1, L).

    The family's own rule counts whole rows, so each sample is a row of its own for it.
    """
    samples = inputs["input_ids"][0].split(inputs["segment_lengths"])
    ids_SL = pad_sequence(samples, batch_first=True)
    mask_SL = pad_sequence([torch.ones_like(ids_L) for ids_L in samples], batch_first=True)
    types_SL = (ids_SL == model.config.image_token_id).int()
    grid = inputs.get("image_grid_thw")
    places_3SL, _ = model.model.get_rope_index(ids_SL, types_SL, image_grid_thw=grid, attention_mask=mask_SL)
    return torch.cat([places_3SL[:, row, : len(ids_L)] for row, ids_L in enumerate(samples)], 1)[:, None]


def _behind_qformer(model: Any, inputs: Mapping[str, Any]) -> Tensor:
    """Runs BLIP-2's whole forward, which knows no model without head, and lets no position reach the head.

    The whole one, since the query tokens hang on the outermost module: under ZeRO-3 they are there only within it.
    """
    nowhere = torch.empty(0, dtype=torch.long, device=inputs["input_ids"].device)
    outputs = model(**inputs, use_cache=False, output_hidden_states=[-1], logits_to_keep=nowhere)
    hidden_RLD: Tensor = outputs.language_model_outputs.hidden_states[-1]  # transformers puts the normalised one last
    return hidden_RLD


def output_head(model: Any) -> nn.Module:
    """Returns the output matrix that makes logits of hidden states."""
    head: nn.Module = model.get_output_embeddings()
    return head
