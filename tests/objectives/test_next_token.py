"""The loss is Hugging Face's own, computed on fewer positions."""

from __future__ import annotations

import torch

from cxr_lightning.export.trial import trial_inputs
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.source import ModelSource
from cxr_lightning.objectives.next_token import IGNORED, next_token


def test_it_equals_hugging_faces_loss(parts):
    source = ModelSource(vision=parts["siglip"], language=parts["language"])
    processor = load_processor(source)
    model = load_model(source, processor)
    inputs = trial_inputs(processor)
    labels = inputs["input_ids"].clone()
    labels[:, :20] = IGNORED
    targets = torch.full_like(labels, IGNORED)
    targets[:, :-1] = labels[:, 1:]
    ours = next_token(model, inputs, targets).sum / (targets != IGNORED).sum()
    torch.testing.assert_close(ours, model(**inputs, labels=labels).loss, atol=1e-6, rtol=0)


def test_no_target_is_no_loss_and_no_nan(parts):
    source = ModelSource(vision=parts["siglip"], language=parts["language"])
    processor = load_processor(source)
    inputs = trial_inputs(processor)
    loss = next_token(load_model(source, processor), inputs, torch.full_like(inputs["input_ids"], IGNORED))
    assert float(loss.sum) == 0.0
    assert loss.each_S.numel() == 0
