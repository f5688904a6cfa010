"""Films that are nearly the same are found among many, none of them missed."""

from __future__ import annotations

import time

import numpy as np
import pytest

from cxr_lightning.shards.inspection.alike import find_alike
from cxr_lightning.shards.looks import SAME, turned

pytestmark = pytest.mark.quick


def looks(number: int, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).integers(0, 1 << 64, (number, 4), dtype=np.uint64)
    found[:, 3] &= np.uint64((1 << 64) - 2)  # a look has 255 bits
    return found


def flipped(look: np.ndarray, bits: np.ndarray) -> np.ndarray:
    changed = look.copy()
    for bit in bits.tolist():
        changed[bit // 64] ^= np.uint64(1 << (63 - bit % 64))
    return changed


@pytest.mark.parametrize("way", [0, 1, 2], ids=["as it is", "inverted", "mirrored"])
def test_none_is_missed(way):
    among, chance = looks(2000), np.random.default_rng(1)
    for place in range(200):
        bits = chance.permutation(255)[: place % (SAME + 1)]
        among[1000 + place] = flipped(turned(among[place : place + 1])[way][0], bits)
    found = find_alike(among)
    assert list(zip(found.one.tolist(), found.two.tolist(), strict=True)) == [(n, 1000 + n) for n in range(200)]
    assert not found.left_out


def test_one_bit_more_is_another_film():
    among = looks(2)
    among[1] = flipped(among[0], np.arange(SAME + 1) * 3)
    assert not len(find_alike(among).one)


def test_equal_looks_are_paired_with_the_first_and_nothing_with_nothing():
    among = np.repeat(looks(3), 3, axis=0)
    among[3:6] = 0
    found = find_alike(among)
    assert list(zip(found.one.tolist(), found.two.tolist(), strict=True)) == [(0, 1), (0, 2), (6, 7), (6, 8)]


@pytest.mark.parametrize("number", [0, 1])
def test_few_are_alike_to_none(number):
    assert not len(find_alike(looks(number)).one)


def test_the_same_film_ten_thousand_times_costs_little():
    start = time.process_time()
    assert len(find_alike(np.repeat(looks(1), 10_000, axis=0)).one) == 9_999
    assert time.process_time() - start < 2
