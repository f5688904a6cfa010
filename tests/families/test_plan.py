"""Every family can be planned from its configuration: as many parameters as the real model, a step of any kind."""

from __future__ import annotations

import pytest
import torch

from cxr_lightning.cluster.planning.example import Extent
from cxr_lightning.cluster.planning.memory import Case, Estimator
from cxr_lightning.cluster.planning.outline import Description
from cxr_lightning.cluster.planning.sharing import Sharing
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import family_of
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.trainable import Trainable, prepare
from tests.families.conftest import TOWERS
from tests.families.models import WRITERS

LEARNS = Trainable(projector="full", language="lora", vision="lora")
LORAS = LEARNS.loras(Lora(rank=4, alpha=8), Lora(rank=4, alpha=8))


@pytest.mark.parametrize("name", [*TOWERS, *WRITERS])
def test_every_family_is_followed_without_its_weights(name, sources):
    source = sources[name]
    estimator = Estimator(Description(source, LEARNS, LORAS, "summary"), dtype=torch.float32, device="cpu")
    model = load_model(source, load_processor(source), dtype=torch.float32)
    counts = prepare(model, LEARNS, LORAS, family_of(source, model.config))
    outline = estimator.outline()
    assert outline.counts == counts
    assert all(parameter.is_meta for parameter in outline.model.parameters())
    cases = [
        Case(Sharing(stage=stage, ranks=2, device="cpu", number=4), again, (Extent(300, 40),) * 2)
        for stage in (0, 3)
        for again in ((), ("language", "vision"))
    ]
    kept, again, *_ = estimator.memories(cases)
    assert again.parts["activations"] < kept.parts["activations"]
    assert kept.parts["weights"] == 4 * counts.total
