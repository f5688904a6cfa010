"""Learning rates by role: groups, schedule, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cxr_lightning.model.families import VLMS
from cxr_lightning.model.trainable import Trainable
from cxr_lightning.training.optim import Optim, RateError, Rates, make_optimizer, schedule_at

FAMILY = VLMS["llava"]


def parameters():
    names = {
        "model.vision_tower.layer.weight": (3, 2), "model.vision_tower.layer.bias": (3,),
        "model.multi_modal_projector.weight": (2, 2), "model.language_model.norm.weight": (4,),
        "lm_head.weight": (5, 4),
    }  # fmt: skip
    return {name: nn.Parameter(torch.ones(shape)) for name, shape in names.items()}


def made(optim, steps=10, **frozen):
    named = parameters()
    for name in frozen:
        for key, parameter in named.items():
            parameter.requires_grad_(name not in key and parameter.requires_grad)
    return make_optimizer(named.items(), optim, steps, FAMILY)


@pytest.mark.quick
def test_a_group_for_each_roles_matrices_and_vectors():
    optim = Optim(lr=1e-4, weight_decay=0.1, rates=Rates(projector=2e-5, vision=0.0))
    groups = {group["name"]: group for group in made(optim)["optimizer"].param_groups}
    assert {name: (group["initial_lr"], group["weight_decay"]) for name, group in groups.items()} == {
        "vision/matrices": (0.0, 0.1), "vision/vectors": (0.0, 0.0), "projector/matrices": (2e-5, 0.1),
        "language/matrices": (1e-4, 0.1), "language/vectors": (1e-4, 0.0),
    }  # fmt: skip
    assert [len(group["params"]) for group in groups.values()] == [1] * 5
    assert not any("vision" in group["name"] for group in made(optim, vision_tower=True)["optimizer"].param_groups)


@pytest.mark.quick
def test_the_schedule_is_the_same_share_for_all():
    optim = Optim(lr=1e-3, warmup=2, rates=Rates(projector=1e-5))
    made_ = made(optim)
    optimizer, scheduler = made_["optimizer"], made_["lr_scheduler"]["scheduler"]
    for step in range(10):
        shares = {group["lr"] / group["initial_lr"] for group in optimizer.param_groups}
        assert len({round(share, 12) for share in shares}) == 1
        assert shares.pop() == pytest.approx(optim.factor(step, 10))
        optimizer.step()
        scheduler.step()


@pytest.mark.quick
def test_a_schedule_begun_in_the_middle_has_every_groups_rate():
    optim = Optim(lr=1e-3, rates=Rates(language=5e-6))
    through, resumed = made(optim), made(optim)
    for _ in range(4):
        through["optimizer"].step()
        through["lr_scheduler"]["scheduler"].step()
    schedule_at(resumed["lr_scheduler"]["scheduler"], 4)
    rates = [[group["lr"] for group in each["optimizer"].param_groups] for each in (through, resumed)]
    assert rates[0] == rates[1]
    assert len(set(rates[0])) == 2


@pytest.mark.quick
def test_a_rate_for_what_is_frozen_is_refused():
    optim = Optim(rates=Rates(vision=1e-6))
    with pytest.raises(RateError, match=r"vision is frozen\. Remedy: .*--model\.trainable\.vision"):
        optim.require_learning(Trainable(projector="full"))
    optim.require_learning(Trainable(vision="lora"))
