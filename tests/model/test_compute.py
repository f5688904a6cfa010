"""Checkpointed and compiled layers give the same losses and gradients, and the former keep less."""

from __future__ import annotations

import pytest
import torch
from transformers import OPTConfig, OPTForCausalLM

from cxr_lightning.export.trial import trial_inputs
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.compute import Compute, NothingToComputeSoError, let_checkpoint, set_up
from cxr_lightning.model.families import VlmFamily, vlm_family
from cxr_lightning.model.source import ModelSource
from cxr_lightning.objectives.next_token import next_token


def step(parts, compute, tower="siglip"):
    """Returns loss, the projector's gradient, and how many numbers were kept for the backward pass."""
    source = ModelSource(vision=parts[tower], language=parts["language"])
    processor = load_processor(source)
    model = load_model(source, processor)
    model.model.multi_modal_projector.requires_grad_(True)
    set_up(model, compute, vlm_family(model.config))
    model.eval()
    let_checkpoint(model)
    inputs = trial_inputs(processor)
    targets = inputs["input_ids"].roll(-1, 1)
    kept = 0

    def keep(tensor):
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = next_token(model, inputs, targets).sum
    loss.backward()
    return float(loss.detach()), model.model.multi_modal_projector.weight.grad, kept


@pytest.mark.parametrize("roles", [("language",), ("vision",), ("language", "vision")])
@pytest.mark.parametrize("tower", ["siglip", "swin"])
def test_checkpointing_changes_no_bit_and_keeps_less(parts, roles, tower):
    loss, gradient, kept = step(parts, Compute(), tower)
    again, same, fewer = step(parts, Compute(activation_checkpointing=roles), tower)
    assert again == loss
    assert torch.equal(gradient, same)
    if "language" in roles:  # nothing below the projector needs a gradient, so a frozen tower keeps nothing anyway
        assert fewer < 0.7 * kept


def test_a_frozen_layer_with_dropout_of_its_own_stays_without(parts):
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=50, hidden_size=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=16,
        max_position_embeddings=32, dropout=0.5,
    )  # fmt: skip
    model = OPTForCausalLM(config).requires_grad_(False).eval()
    embeddings = torch.randn(1, 8, 16, requires_grad=True)
    family = VlmFamily(vision=(), projector=(), language=("model.", "lm_head."))
    plain = model(inputs_embeds=embeddings).logits
    set_up(model, Compute(activation_checkpointing=("language",)), family)
    let_checkpoint(model)
    again = model(inputs_embeds=embeddings).logits
    assert torch.equal(plain, again)
    slopes = [torch.autograd.grad(logits.square().sum(), embeddings)[0] for logits in (plain, again)]
    assert torch.equal(*slopes)


@pytest.mark.slow
def test_compiling_changes_no_loss(parts):
    loss, gradient, _ = step(parts, Compute())
    again, same, _ = step(parts, Compute(compile=True))
    assert abs(again - loss) < 1e-4
    torch.testing.assert_close(gradient, same, atol=1e-4, rtol=1e-3)


def test_a_role_without_layers_is_refused(parts):
    with pytest.raises(NothingToComputeSoError, match="projector has no layers"):
        step(parts, Compute(activation_checkpointing=("projector",)))
