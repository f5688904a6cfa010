"""Next-token cross-entropy on answer tokens: the one loss of both stages.

Only supervised positions reach the output matrix: of a report's sequence most positions are image and prompt, and the
logits of a 150,000-word vocabulary are the largest tensor of the step. The sum is returned, not the mean: it is divided
once by the supervised tokens of the whole global batch, so that neither packing, accumulation nor the number of ranks
changes the loss.
"""

# Shapes: R rows, L positions, S supervised positions, D width.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cxr_lightning.model.decoder import last_hidden, output_head
from cxr_lightning.objectives.chunks import losses_through
from cxr_lightning.stream.encode import IGNORED


class TokenLosses(NamedTuple):
    """The loss of a micro-batch.

    Attributes:
        sum: Summed negative log likelihood, a float32 scalar that gradients flow through.
        each_S: Negative log likelihood of each supervised token, sample after sample, without gradients.
    """

    sum: Tensor
    each_S: Tensor


def next_token(model: Any, inputs: Mapping[str, Any], targets_RL: Tensor) -> TokenLosses:
    """Returns the negative log likelihood of the targets.

    Args:
        model: A Hugging Face image-text-to-text model.
        inputs: What its forward takes.
        targets_RL: The token that follows each position, -100 where the loss does not look.
    """
    hidden_RLD = last_hidden(model, inputs)
    supervised_RL = targets_RL != IGNORED
    hidden_SD, targets_S, head = hidden_RLD[supervised_RL], targets_RL[supervised_RL], output_head(model)
    if type(head) is nn.Linear:
        return TokenLosses(*losses_through(head, hidden_SD, targets_S))
    each_S = cross_entropy(head(hidden_SD).float(), targets_S, reduction="none")  # a head with more than a matrix
    return TokenLosses(each_S.sum(), each_S.detach())
