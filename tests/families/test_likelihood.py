"""How likely an answer is, asked as a server's prompt is, is what training's loss says of it, for every family."""

from __future__ import annotations

import pytest
import torch

from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.likelihood import likelihoods
from cxr_lightning.objectives.next_token import next_token
from cxr_lightning.stream.encode import images
from tests.families.conftest import TOWERS, sample
from tests.families.models import WRITERS
from tests.families.test_processors import encoded

ANSWERS = ("Small left pleural effusion.", "No acute findings. The lungs are clear and the heart is of normal size.")


@pytest.fixture(scope="module", params=(*TOWERS, *WRITERS))
def family(request, sources):
    """Processor and model of a family."""
    processor = load_processor(sources[request.param])
    return processor, load_model(sources[request.param], processor)


def asked(samples):
    """Returns first questions, answers and films."""
    turns = [each.record["conversation"] for each in samples]
    return [each[:1] for each in turns], [each[1]["content"] for each in turns], [images(each)[:1] for each in samples]


def test_it_is_the_loss_of_training_alone_and_in_a_batch(family):
    processor, model = family
    samples = [sample(answer[:1], 1, answer=answer) for answer in ANSWERS]
    together = likelihoods(model, processor, *asked(samples))
    for each, found in zip(samples, together, strict=True):
        del each.record["conversation"][2:]
        _, batch = encoded(processor, [each])
        with torch.no_grad():
            losses = next_token(model, batch["inputs"], batch["targets_RL"])
        assert found.tokens == len(losses.each_S)
        assert found.nats == pytest.approx(float(losses.sum), rel=1e-4)
        [alone] = likelihoods(model, processor, *asked([each]))
        assert found.nats == pytest.approx(alone.nats, rel=1e-4)


def test_nothing_said_is_an_end_alone(family):
    processor, model = family
    [empty] = likelihoods(model, processor, *asked([sample("e", 1, answer="")]))
    [longer] = likelihoods(model, processor, *asked([sample("e", 1)]))
    assert 0 < empty.tokens <= 2 < longer.tokens
