"""Adapters computed in one piece give what PEFT's pieces give, and leave to PEFT what is not plain LoRA."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from cxr_lightning.model.fused import fuse_adapters


def layers(**settings) -> tuple[nn.Module, nn.Module]:
    """Returns a small network with adapters that have learned something, as PEFT computes it and fused."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 4, bias=False))
    config = LoraConfig(r=3, lora_alpha=7, target_modules=["0", "2"], **settings)
    plain = inject_adapter_in_model(config, network)
    for name, parameter in plain.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    fused = copy.deepcopy(plain)
    assert fuse_adapters(fused) == 2
    return plain, fused


def run(network: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Returns output and all gradients."""
    torch.manual_seed(1)
    x = x.clone().requires_grad_()
    y = network(x)
    y.square().sum().backward()
    grads = {name: each.grad for name, each in network.named_parameters() if each.grad is not None}
    return {"y": y.detach(), "x": x.grad, **grads}


@pytest.mark.quick
@pytest.mark.parametrize("everything", [False, True])
def test_fused_adapters_compute_the_same(everything):
    plain, fused = layers()
    for network in (plain, fused):
        network.requires_grad_(everything)
        for name, parameter in network.named_parameters():
            if "lora_" in name:
                parameter.requires_grad_(True)
    x = torch.randn(2, 5, 6)
    ours, theirs = run(fused, x), run(plain, x)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, msg=name)


@pytest.mark.quick
@pytest.mark.parametrize("settings", [{"lora_dropout": 0.5}, {"use_dora": True}, {"use_rslora": True}])
def test_dropout_dora_and_rslora_are_right_as_well(settings):
    plain, fused = layers(**settings)
    x = torch.randn(5, 6)
    ours, theirs = run(fused, x), run(plain, x)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, msg=name)


@pytest.mark.quick
def test_adapters_can_be_switched_off_and_run_under_autocast():
    plain, fused = layers()
    x = torch.randn(5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fused(x), plain(x))
    for network in (plain, fused):
        for module in network.modules():
            if hasattr(module, "enable_adapters"):
                module.enable_adapters(False)
    assert torch.equal(fused(x), plain(x))
