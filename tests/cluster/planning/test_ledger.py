"""What is counted on tensors without content is what an allocator would see."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from cxr_lightning.cluster.planning.kernels import stand_ins
from cxr_lightning.cluster.planning.ledger import Book, Ledger

pytestmark = pytest.mark.quick
KIB = 1024


def test_storages_count_while_they_are_alive():
    ledger = Ledger()
    with ledger:
        one = torch.empty(KIB, device="meta")
        seen = one.view(2, -1)[0]
        assert ledger.total == 4 * KIB
        two = one + 1
        assert ledger.total == 8 * KIB
        del one
        assert ledger.total == 8 * KIB  # a view holds what it is seen through
        del seen, two
    assert ledger.total == 0
    assert ledger.most["activations"] == 8 * KIB


def test_what_autograd_keeps_and_what_is_computed_again():
    def most(again: bool) -> int:
        with torch.device("meta"):
            layers = [nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)) for _ in range(8)]
            states = torch.empty(128, 64, requires_grad=True)
        ledger = Ledger()
        ledger.ignore([*(weight for layer in layers for weight in layer.parameters()), states])
        book = Book(ledger)
        with ledger:
            for layer in layers:
                states = (
                    torch.utils.checkpoint.checkpoint(layer, states, use_reentrant=False) if again else layer(states)
                )
            forward = ledger.total
            states.sum().backward()
        assert book.worst().total() >= forward
        return forward

    each = 128 * 64 * 4
    assert most(again=False) == 8 * (4 + 4 + 1) * each  # before and after GELU, and the result
    assert most(again=True) == 8 * each


def test_attention_keeps_no_scores():
    ledger = Ledger()
    with torch.device("meta"):
        query, key, value = (torch.empty(1, 4, 1000, 16, requires_grad=True) for _ in range(3))
    ledger.ignore([query, key, value])
    with ledger, stand_ins(divided=False):
        functional.scaled_dot_product_attention(query, key, value, is_causal=True).sum().backward()
    rows = 4 * 1000
    assert ledger.most["activations"] < 4 * rows * (6 * 16 + 2) < 4 * 4 * 1000 * 1000


def test_numbers_stay_where_their_values_are():
    with Ledger():
        positions = torch.arange(5, device="meta")
        ones = torch.ones(3, dtype=torch.int64, device="meta")
        assert positions.tolist() == [0, 1, 2, 3, 4]
        assert ones.all()
        table = torch.empty(10, 4, device="meta")
        assert table[positions].shape == (5, 4)
        assert table[positions].is_meta


def test_books_are_kept_side_by_side():
    ledger = Ledger()
    one, other = Book(ledger), Book(ledger)
    with ledger:
        kept = torch.empty(KIB, device="meta")
        with one.for_a_moment("exchange", 100):
            pass
        other.enter("exchange", 7)
        del kept
    assert one.worst() == {"activations": 4 * KIB, "exchange": 100}
    assert other.worst() == {"activations": 4 * KIB, "exchange": 7}
    assert one.worst() == {}
