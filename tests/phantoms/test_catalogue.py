"""The mix of findings: shares, sizes, and combinations that a film can show apart."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cxr_lightning.phantoms.catalogue import LABELS, LOBES, ZONES, Finding, choose

pytestmark = pytest.mark.quick


def draw_many(count: int) -> list[tuple[Finding, ...]]:
    return [choose(np.random.default_rng(i), frozenset()) for i in range(count)]


def test_there_are_twenty_one_places_to_be_ill() -> None:
    # Two sides of effusion, pneumothorax and atelectasis, six zones, five lobes, and four that have no place.
    assert len(LABELS) == len(set(LABELS)) == 2 * 3 + len(ZONES) + len(LOBES) + 4


def test_mix_of_normal_and_ill() -> None:
    counts = np.array([len(findings) for findings in draw_many(2000)])
    assert 0.25 < (counts == 0).mean() < 0.35
    assert 1.4 < counts.mean() < 1.9
    assert counts.max() <= 4


def test_every_label_is_drawn() -> None:
    seen = Counter(finding.label for findings in draw_many(2000) for finding in findings)
    assert set(seen) == set(LABELS)
    assert min(seen.values()) > 2000 * 0.03


@given(seed=st.integers(0, 2**32), chronic=st.frozensets(st.sampled_from(["pacemaker", "cardiomegaly"])))
def test_combinations_can_be_told_apart(seed: int, chronic: frozenset[str]) -> None:
    findings = choose(np.random.default_rng(seed), chronic)
    labels = {finding.label for finding in findings}
    assert len(labels) == len(findings)
    assert chronic <= labels
    for side in ("left", "right"):
        assert len(labels & {f"pleural_effusion:{side}", f"atelectasis:{side}", f"pneumothorax:{side}"}) <= 2
        assert not {f"pleural_effusion:{side}", f"pneumothorax:{side}"} <= labels
        assert not {f"pleural_effusion:{side}", f"atelectasis:{side}"} <= labels
        assert not {f"pleural_effusion:{side}", f"consolidation:{side}-lower"} <= labels
        assert not {f"consolidation:{side}-lower", f"nodule:{side}-lower"} <= labels


@example(seed=1297)  # a nodule that rounding makes 3.0 cm wide
@given(seed=st.integers(0, 2**32))
def test_sizes_are_honest(seed: int) -> None:
    for finding in choose(np.random.default_rng(seed), frozenset()):
        if finding.name == "nodule":
            # A nodule is less than 3 cm wide, a mass 3 cm or more.
            assert (finding.centimetres >= 3.0) == (finding.kind == "mass")
            assert 2.0 < finding.centimetres < 6.0
        else:
            assert finding.centimetres == 0


def test_what_is_chronic_looks_the_same_at_every_visit() -> None:
    visits = [choose(np.random.default_rng(i), frozenset({"pacemaker"}), build=5) for i in range(20)]
    devices = {finding for findings in visits for finding in findings if finding.label == "pacemaker"}
    assert len(devices) == 1
