"""Splits: stable, disjoint, of the shares asked for."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.shards.identity import hashed
from cxr_lightning.shards.splits import Fractions, Prescribed, SplitConflict, assign_splits, split_of
from cxr_lightning.study import SPLITS

pytestmark = pytest.mark.quick

KNOWN = ["test", "train", "train", "train", "train", "test", "train", "train", "train", "train"]
NAMES = st.lists(st.text(min_size=1), min_size=1, max_size=30)


def test_known_patients_keep_their_split_for_ever():
    # Written down once: a change here would move patients between train and test of everybody's shards.
    assert [split_of(hashed(name, "patient"), Fractions()) for name in "abcdefghij"] == KNOWN


@given(NAMES, NAMES)
def test_more_patients_move_nobody(names, others):
    some = assign_splits([Prescribed(name, None, "") for name in names], Fractions())
    all_ = assign_splits([Prescribed(name, None, "") for name in [*others, *names]], Fractions())
    assert some == {name: all_[name] for name in some}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([None, *SPLITS])), max_size=12))
def test_a_prescription_holds_for_all_studies_of_a_patient_or_is_refused(pairs):
    studies = [Prescribed(patient, split, f"t:{line}") for line, (patient, split) in enumerate(pairs)]
    wanted = {patient: {split for name, split in pairs if name == patient and split} for patient, _ in pairs}
    if any(len(splits) > 1 for splits in wanted.values()):
        with pytest.raises(SplitConflict):
            assign_splits(studies, Fractions())
        return
    given_splits = assign_splits(studies, Fractions())
    assert all(given_splits[patient] in splits for patient, splits in wanted.items() if splits)


def test_shares_are_met_and_a_salt_draws_others():
    counts = Counter(split_of(str(number), Fractions(0.7, 0.1, 0.2)) for number in range(5000))
    assert abs(counts["train"] - 3500) < 150
    assert abs(counts["test"] - 1000) < 120
    moved = sum(split_of(str(n), Fractions()) != split_of(str(n), Fractions(salt="other")) for n in range(1000))
    assert 200 < moved < 500


@given(st.text())
def test_a_share_of_nothing_stays_empty(name):
    assert split_of(name, Fractions(0.5, 0.0, 0.5)) != "validate"
    assert split_of(name, Fractions(0.5, 0.5, 0.0)) != "test"
    assert split_of(name, Fractions(0.0, 0.0, 1.0)) == "test"


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.2), (-0.1, 0.6, 0.5), (float("nan"), 0.5, 0.5)])
def test_shares_that_do_not_add_up_are_refused(shares):
    with pytest.raises(ValueError, match="sum to 1"):
        Fractions(*shares)


def test_a_secret_changes_every_hash():
    assert hashed("p", "patient") != hashed("p", "patient", "secret")
    assert hashed("p", "patient") != hashed("p", "study")
