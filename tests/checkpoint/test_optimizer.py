"""Optimizer state written by some ranks and read by others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.checkpoint.copies import HostCopies
from cxr_lightning.checkpoint.optimizer import Fragment, MissingStateError, SavedState, file_name, save

pytestmark = pytest.mark.quick
KINDS = ("exp_avg", "exp_avg_sq")


def cut(lengths: dict[str, int], bounds: list[int]) -> list[list[tuple[str, int, int]]]:
    """Lays parameters end to end and cuts the row at `bounds`, as ZeRO does: for each rank (name, first, last)."""
    edges = [0, *sorted(bounds), sum(lengths.values())]
    ranks = []
    for begin, end in pairwise(edges):
        held, place = [], 0
        for name, length in lengths.items():
            first, last = max(begin, place), min(end, place + length)
            if first < last:
                held.append((name, first - place, last - place))
            place += length
        ranks.append(held)
    return ranks


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whoever_cut_it_whoever_reads_it(tmp_path_factory, data):
    lengths = {f"layer.{n}": data.draw(st.integers(1, 40)) for n in range(data.draw(st.integers(1, 5)))}
    whole = sum(lengths.values())
    writers, readers = (data.draw(st.lists(st.integers(0, whole), max_size=4)) for _ in range(2))
    random = np.random.default_rng(whole)
    state = {
        (kind, name): torch.from_numpy(random.normal(size=size)) for name, size in lengths.items() for kind in KINDS
    }
    folder = tmp_path_factory.mktemp("state")
    shares = cut(lengths, writers)
    for rank, held in enumerate(shares):
        pieces = [
            Fragment(name, first, {kind: state[kind, name][first:last].clone() for kind in KINDS})
            for name, first, last in held
        ]
        save(folder / file_name(rank, len(shares)), pieces)
    saved = SavedState(folder)
    for held in cut(lengths, readers):
        for name, first, last in held:
            into = Fragment(name, first, {kind: torch.full((last - first,), torch.nan).double() for kind in KINDS})
            saved.fill(into)
            for kind in KINDS:
                assert torch.equal(into.tensors[kind], state[kind, name][first:last])


def test_what_is_not_there_is_named(tmp_path):
    save(tmp_path / file_name(0, 1), [Fragment("a", 0, {"exp_avg": torch.ones(4)})])
    saved = SavedState(tmp_path)
    with pytest.raises(MissingStateError, match=r"exp_avg\) for b, which learns now"):
        saved.fill(Fragment("b", 0, {"exp_avg": torch.ones(4)}))
    with pytest.raises(MissingStateError, match="for a"):  # longer now than it was
        saved.fill(Fragment("a", 2, {"exp_avg": torch.ones(4)}))


def test_masters_begin_as_the_weights_where_none_were_saved(tmp_path):
    save(tmp_path / file_name(0, 1), [Fragment("a", 0, {"exp_avg": torch.ones(4)})])
    into = Fragment("a", 1, {"exp_avg": torch.zeros(2), "master": torch.zeros(2)})
    SavedState(tmp_path).fill(into, otherwise={"master": lambda: torch.arange(4.0).view(2, 2)})
    assert into.tensors["master"].tolist() == [1.0, 2.0]


def test_copies_do_not_follow_training():
    copies, moving = HostCopies(), torch.arange(4.0)
    first = Fragment("a", 0, {"exp_avg": moving}).copy(copies)
    moving += 1
    assert first.tensors["exp_avg"].tolist() == [0.0, 1.0, 2.0, 3.0]
    again = Fragment("a", 0, {"exp_avg": moving}).copy(copies)
    assert again.tensors["exp_avg"].data_ptr() == first.tensors["exp_avg"].data_ptr()  # its room is used again
