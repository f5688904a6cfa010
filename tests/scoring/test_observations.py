from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.findings.observations import FIVE, OBSERVATIONS
from cxr_lightning.scoring.bootstrap import interval
from cxr_lightning.scoring.observations import SCORERS, count_observations, per_observation
from cxr_lightning.scoring.registry import scorer_named
from cxr_lightning.scoring.scorer import Texts

pytestmark = pytest.mark.quick

NORMAL = "The lungs are clear. Heart size is normal. No effusion."
REPORTS = (
    NORMAL,
    "Small left pleural effusion. Mild cardiomegaly.",
    "Large right pleural effusion.",
    "Possible pneumonia.",
    "Right lower lobe consolidation with air bronchograms. Endotracheal tube in place.",
    "Healed rib fractures. No pneumothorax.",
    "",
)


def texts_of(*pairs: tuple[str, str]) -> Texts:
    references, answers = zip(*pairs, strict=True)
    return Texts(references, answers, [frozenset()] * len(pairs))


def score(name: str, *pairs: tuple[str, str]) -> float:
    scorer = scorer_named(name)
    return float(scorer.score_of(scorer.statistics(texts_of(*pairs)).sum(axis=0, keepdims=True).astype(float))[0])


def test_micro_and_macro_f1_by_hand() -> None:
    pairs = (
        ("Left pleural effusion. Cardiomegaly.", "Right pleural effusion."),
        ("Rib fracture.", "Cardiomegaly."),
        (NORMAL, NORMAL),
    )
    # Hits: effusion, no finding. Missed: cardiomegaly, fracture. Invented: cardiomegaly.
    assert score("observations_micro_f1", *pairs) == pytest.approx(4 / 7)
    assert score("observations_macro_f1", *pairs) == pytest.approx((1 + 0 + 0 + 1) / 4)
    assert score("observations_5_micro_f1", *pairs) == pytest.approx(2 / 4)
    assert score("observations_5_macro_f1", *pairs) == pytest.approx((1 + 0) / 2)


def test_uncertain_counts_as_not_stated_but_in_one_score() -> None:
    pair = ("Pneumonia.", "Possible pneumonia.")
    assert score("observations_micro_f1", pair) == 0.0
    assert score("observations_open_micro_f1", pair) == 1.0


def test_hallucinations_and_omissions_are_means_a_report() -> None:
    pairs = ((NORMAL, "Cardiomegaly and a left effusion."), ("Pneumothorax.", NORMAL))
    assert score("hallucinated_per_report", *pairs) == 1.0, "No Finding itself is no finding"
    assert score("omitted_per_report", *pairs) == 0.5


def test_specificity_asks_for_an_answer_that_speaks_of_a_normal_chest() -> None:
    answers = (NORMAL, "No acute disease.", "Cardiomegaly.", "Possible effusion.", "", "asdf")
    assert score("normal_specificity", *((NORMAL, answer) for answer in answers)) == pytest.approx(2 / 6)
    assert np.isnan(score("normal_specificity", ("Cardiomegaly.", NORMAL))), "no normal reference, nothing to score"


@pytest.mark.parametrize("name", ["observation_sides", "observation_severity"])
def test_who_says_nothing_agrees_on_nothing(name: str) -> None:
    pairs = [("Small left pleural effusion.", "")] * 30
    assert np.isnan(score(name, *pairs))
    scorer = scorer_named(name)
    assert interval(scorer.statistics(texts_of(*pairs)), scorer.score_of).ends == [None, None]


def test_sides_and_severities_count_where_both_say_them() -> None:
    pairs = (
        ("Small left pleural effusion.", "Large left pleural effusion."),
        ("Right pleural effusion.", "Left pleural effusion."),
        ("Right pneumothorax.", "Pneumothorax."),
    )
    assert score("observation_sides", *pairs) == 0.5
    assert score("observation_severity", *pairs) == 0.0


def test_table_has_a_row_for_what_was_there_or_stated() -> None:
    texts = texts_of(
        ("Small left pleural effusion.", "Small right effusion."),
        ("Left effusion.", NORMAL),
        ("Possible edema.", "Edema."),
    )
    table = per_observation(texts, ["a", "b", "c"], draws=50)
    assert set(table) == {"Pleural Effusion", "No Finding", "Edema"}
    row = table["Pleural Effusion"]
    assert (row["support"], row["hits"], row["invented"], row["missed"]) == (2, 1, 0, 1)
    assert row["f1"] == pytest.approx(2 / 3)
    assert (row["precision"], row["recall"]) == (1.0, 0.5)
    assert row["interval"][0] <= row["f1"] <= row["interval"][1]
    assert (row["sides_said"], row["sides_agree"], row["severity_said"], row["severity_agrees"]) == (1, 0, 1, 1)
    assert table["Edema"]["uncertain_references"] == 1
    assert table["Edema"]["recall"] is None
    assert table["Edema"]["interval"] == [None, None], "one patient says nothing of others"


@given(st.lists(st.sampled_from(REPORTS), min_size=1, max_size=8))
def test_a_reference_is_its_own_best_answer(reports: list[str]) -> None:
    for scorer in SCORERS:
        best = 0.0 if scorer.better == "lower" else 1.0
        found = score(scorer.name, *zip(reports, reports, strict=True))
        if np.isfinite(found) and (scorer.name != "normal_specificity" or "" not in reports):
            assert found == best, scorer.name


@given(st.lists(st.tuples(st.sampled_from(REPORTS), st.sampled_from(REPORTS)), min_size=2, max_size=8))
def test_statistics_have_a_row_a_study_and_do_not_know_each_other(pairs: list[tuple[str, str]]) -> None:
    for scorer in SCORERS:
        whole = scorer.statistics(texts_of(*pairs))
        assert len(whole) == len(pairs)
        assert np.array_equal(whole[1:], scorer.statistics(texts_of(*pairs[1:])))


def test_counts_are_over_the_names_asked_for() -> None:
    assert count_observations(texts_of((NORMAL, NORMAL))).shape == (1, len(OBSERVATIONS), 3)
    assert count_observations(texts_of((NORMAL, NORMAL)), FIVE).shape == (1, 5, 3)
