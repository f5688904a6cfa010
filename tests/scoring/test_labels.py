from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.findings.located import LABELS
from cxr_lightning.scoring.labels import count_labels, macro_f1, micro_f1, score_labels

pytestmark = pytest.mark.quick

SETS = st.lists(
    st.tuples(*[st.frozensets(st.sampled_from(LABELS), max_size=4)] * 2), min_size=1, max_size=30
).map(lambda pairs: ([pair[0] for pair in pairs], [pair[1] for pair in pairs]))  # fmt: skip


def score(rule, truths, stated) -> float:
    return float(rule(count_labels(truths, stated).sum(axis=0, keepdims=True).astype(float))[0])


def test_micro_f1_by_hand() -> None:
    truths = [{"cardiomegaly", "line"}, {"pacemaker"}, set()]
    stated = [{"cardiomegaly"}, {"pacemaker", "line"}, {"nodule:left-mid"}]
    assert score(micro_f1, truths, stated) == pytest.approx(2 * 2 / (2 * 2 + 2 + 1))


def test_wrong_side_is_missed_and_invented() -> None:
    counts = count_labels([{"atelectasis:left"}], [{"atelectasis:right"}]).sum(axis=(0, 1))
    assert counts.tolist() == [0, 1, 1]


@given(SETS)
def test_f1_agrees_with_its_definition(sets) -> None:
    truths, stated = sets
    true = np.array([[label in s for label in LABELS] for s in truths])
    said = np.array([[label in s for label in LABELS] for s in stated])
    hits = (true & said).sum()
    if true.sum() and said.sum() and hits:
        precision, recall = hits / said.sum(), hits / true.sum()
        assert score(micro_f1, truths, stated) == pytest.approx(2 * precision * recall / (precision + recall))
    per_label = [
        2 * (true & said)[:, k].sum() / (true[:, k].sum() + said[:, k].sum())
        for k in range(len(LABELS))
        if true[:, k].any()
    ]
    assert score(macro_f1, truths, stated) == pytest.approx(np.mean(per_label) if per_label else float(not said.any()))


@given(SETS)
def test_truth_scores_one_against_itself(sets) -> None:
    truths, _ = sets
    assert score(micro_f1, truths, truths) == 1.0
    assert score(macro_f1, truths, truths) == 1.0


def test_table_has_a_row_for_each_label_in_sight() -> None:
    rows = score_labels(count_labels([{"line"}, {"line"}, set()], [{"line"}, set(), {"pacemaker"}]))
    assert {row.label: (row.hits, row.invented, row.missed, row.support) for row in rows} == {
        "pacemaker": (0, 1, 0, 0),
        "line": (1, 0, 1, 2),
    }


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 studies need as many answers, found 1"):
        count_labels([set(), set()], [set()])
