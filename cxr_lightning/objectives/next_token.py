"""Next-token cross-entropy on answer tokens: the one loss of both stages.

Only supervised positions reach the output matrix: of a report's sequence most positions are image and prompt, and the
logits of a 150,000-word vocabulary are the largest tensor of the step. The sum is returned, not the mean: it is divided
once by the supervised tokens of the whole global batch, so that neither packing, accumulation nor the number of ranks
changes the loss.
"""

# Shapes: R rows, L positions, S supervised positions, D width, V vocabulary.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from cxr_lightning.stream.encode import IGNORED


def next_token_sum(model: Any, inputs: Mapping[str, Any], targets_RL: Tensor) -> Tensor:
    """Returns the summed negative log likelihood of the targets, a float32 scalar.

    Args:
        model: A Hugging Face image-text-to-text model: its decoder is `model.model`, its output matrix `model.lm_head`.
        inputs: What its forward takes.
        targets_RL: The token that follows each position, -100 where the loss does not look.
    """
    # No cache: with one, transformers takes packed position ids for a continued sequence, and samples would see each
    # other.
    hidden_RLD = model.model(**inputs, use_cache=False).last_hidden_state
    supervised_RL = targets_RL != IGNORED
    logits_SV = model.lm_head(hidden_RLD[supervised_RL])
    return cross_entropy(logits_SV.float(), targets_RL[supervised_RL], reduction="sum")
