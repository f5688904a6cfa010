from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cxr_lightning.evaluation.compare.pairs import NotEvaluatedError, OtherStudiesError, read_pairs
from cxr_lightning.evaluation.predictions import PredictionsError
from tests.evaluation.compare.conftest import Study, draw_studies, report, write

pytestmark = pytest.mark.quick


def evaluation(folder: Path, studies: list[Study], name: str = "model") -> Path:
    answers = [report(study.truth) for study in studies]
    return write(folder, name, studies, answers, answers)


def test_studies_come_in_the_order_of_the_first(tmp_path: Path) -> None:
    studies = draw_studies(12)
    pairs = read_pairs([evaluation(tmp_path / "a", studies), evaluation(tmp_path / "b", studies[::-1])])
    assert pairs.keys == tuple(study.key for study in studies)
    assert pairs.texts(pairs.models[0]) == pairs.texts(pairs.models[1])
    assert pairs.left_out == 0
    assert [model.letter for model in pairs.models] == ["A", "B"]
    assert [model.name for model in pairs.models] == ["a", "b"], "two of one name are told apart by their folders"
    assert set(pairs.views) == {"frontal", "frontal + lateral"}


def test_names_are_the_models_where_they_differ(tmp_path: Path) -> None:
    studies = draw_studies(3)
    pairs = read_pairs([evaluation(tmp_path / "a", studies, "one"), evaluation(tmp_path / "b", studies, "two")])
    assert [model.name for model in pairs.models] == ["one", "two"]


def test_other_studies_are_refused_and_counted(tmp_path: Path) -> None:
    studies = draw_studies(20)
    first, second = evaluation(tmp_path / "a", studies[:15]), evaluation(tmp_path / "b", studies[5:])
    with pytest.raises(OtherStudiesError, match=r"10 are shared by all, A .* has 15, B .* has 15.*--shared true"):
        read_pairs([first, second])
    pairs = read_pairs([first, second], shared=True)
    assert (len(pairs.keys), pairs.left_out) == (10, 10)
    assert pairs.keys == tuple(study.key for study in studies[5:15])


@pytest.mark.parametrize(
    "change", [{"reference": "Normal."}, {"prompt": "<image>\nWhy?"}, {"patient": "else"}, {"truth": frozenset()}]
)
def test_another_question_is_another_study(tmp_path: Path, change: dict[str, object]) -> None:
    studies = [replace(study, truth=frozenset({"cardiomegaly"})) for study in draw_studies(6)]
    changed = [replace(studies[0], **change), *studies[1:]]
    if "truth" in change:  # the same words, read by another labeler
        changed[0] = replace(changed[0], reference=studies[0].text)
    first, second = evaluation(tmp_path / "a", studies), evaluation(tmp_path / "b", changed)
    with pytest.raises(
        OtherStudiesError, match=rf"5 are shared.*under the same key: another {next(iter(change))} in 1"
    ):
        read_pairs([first, second])
    assert len(read_pairs([first, second], shared=True).keys) == 5


def test_nothing_shared_is_refused_even_when_asked_to_share(tmp_path: Path) -> None:
    studies = draw_studies(10)
    folders = [evaluation(tmp_path / "a", studies[:5]), evaluation(tmp_path / "b", studies[5:])]
    with pytest.raises(OtherStudiesError, match="0 are shared") as caught:
        read_pairs(folders, shared=True)
    assert "--shared" not in str(caught.value), "what would not help is not advised"


def test_what_is_no_evaluation_is_named(tmp_path: Path) -> None:
    good = evaluation(tmp_path / "good", draw_studies(3))
    with pytest.raises(NotEvaluatedError, match=r"1 folder.*name 2 to 26"):
        read_pairs([good])
    with pytest.raises(NotEvaluatedError, match=r"holds no metrics.json"):
        read_pairs([good, tmp_path])
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "metrics.json").write_text("{}")
    with pytest.raises(PredictionsError, match=r"predictions.jsonl does not exist"):
        read_pairs([good, unfinished])
    (unfinished / "predictions.jsonl").write_text("")
    with pytest.raises(NotEvaluatedError, match="no study was answered"):
        read_pairs([good, unfinished])
    (unfinished / "metrics.json").write_text("[]")
    with pytest.raises(NotEvaluatedError, match="no table of scores"):
        read_pairs([good, unfinished])
