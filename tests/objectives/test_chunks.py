"""Losses and gradients of chunks are those of the whole, and nothing as large as all logits is ever made."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from cxr_lightning.objectives import chunks

POSITIONS, WIDTH, VOCABULARY = 37, 16, 50


def _example(dtype=torch.float32, *, bias=False, learns=True):
    torch.manual_seed(0)
    head = nn.Linear(WIDTH, VOCABULARY, bias=bias).to(dtype).requires_grad_(learns)
    hidden = torch.randn(POSITIONS, WIDTH, dtype=dtype, requires_grad=True)
    return head, hidden, torch.randint(0, VOCABULARY, (POSITIONS,))


def _gradients(head, hidden):
    found = [hidden.grad, *(parameter.grad for parameter in head.parameters())]
    hidden.grad = None
    head.zero_grad(set_to_none=True)
    return found


@pytest.mark.quick
@pytest.mark.parametrize("chunk", [1, 7, POSITIONS, 1000])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("learns", [False, True])
def test_chunks_give_the_losses_and_gradients_of_the_whole(monkeypatch, chunk, bias, learns):
    monkeypatch.setattr(chunks, "_LOGITS", chunk * VOCABULARY)
    head, hidden, targets = _example(bias=bias, learns=learns)
    whole = cross_entropy(head(hidden), targets, reduction="none")
    (0.3 * whole.sum()).backward()
    theirs = _gradients(head, hidden)
    total, each = chunks.losses_through(head, hidden, targets)
    (0.3 * total).backward()
    torch.testing.assert_close(each, whole.detach(), atol=1e-6, rtol=0)
    torch.testing.assert_close(total, whole.sum())
    for ours, reference in zip(_gradients(head, hidden), theirs, strict=True):
        assert (ours is None) == (reference is None)
        if ours is not None:
            torch.testing.assert_close(ours, reference, atol=1e-6, rtol=1e-5)


@pytest.mark.quick
def test_half_precision_keeps_its_types_and_sums_in_float32():
    head, hidden, targets = _example(torch.bfloat16)
    total, each = chunks.losses_through(head, hidden, targets)
    total.backward()
    assert total.dtype == each.dtype == torch.float32
    assert hidden.grad.dtype == head.weight.grad.dtype == torch.bfloat16
    reference = cross_entropy(head(hidden).float(), targets, reduction="sum")
    assert abs(float((total - reference).detach())) < 0.02 * float(reference.detach())


@pytest.mark.quick
def test_no_gradients_are_made_where_none_are_asked_for():
    head, hidden, targets = _example()
    with torch.no_grad():
        total, _ = chunks.losses_through(head, hidden, targets)
    assert not total.requires_grad
    assert "forward" not in vars(head)


@pytest.mark.quick
def test_no_tensor_is_as_large_as_all_logits(monkeypatch):
    monkeypatch.setattr(chunks, "_LOGITS", 4 * VOCABULARY)
    head, hidden, targets = _example()
    largest = 0

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.numel())
            return out

    with Largest():
        total, _ = chunks.losses_through(head, hidden, targets)
        total.backward()
    assert largest == VOCABULARY * WIDTH  # the gradient of the matrix; all logits would be 1,850 numbers


@pytest.mark.quick
def test_an_empty_batch_is_no_loss():
    head, hidden, targets = _example()
    total, each = chunks.losses_through(head, hidden[:0], targets[:0])
    total.backward()
    assert total.item() == 0.0
    assert each.numel() == 0
    assert float(head.weight.grad.abs().max()) == 0.0


@pytest.mark.quick
def test_a_kernel_is_used_where_its_gradients_of_the_matrix_are_ours_too():
    def plain(hidden, weight, bias, targets):
        each = cross_entropy(hidden @ weight.T, targets, reduction="none")
        return each.sum(), each.detach()

    def half(hidden, weight, bias, targets):
        return plain(hidden, weight / 2 + weight.detach() / 2, bias, targets)

    assert chunks._same(plain, "cpu")
    assert not chunks._same(half, "cpu")
