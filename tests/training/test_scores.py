"""A run scores itself while it learns: as `cxr evaluate` would, on all ranks, each step once."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cxr_lightning.reports.conversations import DESCRIBE
from cxr_lightning.scoring.registry import SCORERS
from cxr_lightning.scoring.scorer import Scorer
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.training import scores as scoring
from cxr_lightning.training.scores import Asked, scores, swapped
from tests.fitting import options

LEFT, RIGHT = "Small left pleural effusion.", "Right upper zone nodule."


def asked(patient: str, reference: str = LEFT, images: tuple[bytes, ...] = (b"film",), views: Any = ("PA",)) -> Asked:
    truth = frozenset({"pleural_effusion:left"} if reference == LEFT else {"nodule:right-upper"})
    return Asked(patient, "<image>", images, views, reference, truth)


def sample(turns: list[tuple[str, str]], summary: str, labels: list[str] | None = None) -> RawSample:
    said = [{"role": role, "content": words} for role, words in turns]
    views = [{"member": "jpg", "position": "frontal"}]
    record: Any = {"conversation": said, "summary": summary, "patient": "p", "views": views, "labels": labels}
    return RawSample("0a", record, {"jpg": b"film"})


@pytest.mark.quick
def test_scores_are_those_of_evaluation_and_part_where_the_image_is_seen():
    studies = [asked("a"), asked("b", RIGHT)]
    own, other = scores(studies, [LEFT, RIGHT]), scores(studies, [RIGHT, LEFT], "_swapped")
    assert own["score/findings_micro_f1"] == 1
    assert other["score/findings_micro_f1_swapped"] == 0
    assert {name for name in own if name.startswith("score/")} == set(own) <= {f"score/{each.name}" for each in SCORERS}
    assert own["score/rouge_l"] == 1


@pytest.mark.quick
def test_another_patient_lends_as_many_images_as_are_asked_for():
    studies = [asked("a", images=(b"1", b"2"), views=("PA", "LL")), asked("a", images=(b"3",)), asked("b", RIGHT)]
    lent = swapped(studies)
    assert lent == [(b"film", b"film"), (b"film",), (b"1",)] or lent == [(b"film", b"film"), (b"film",), (b"3",)]
    assert swapped([asked("a"), asked("a")]) is None
    assert swapped([asked("a", images=()), asked("b", images=())]) is None


@pytest.mark.quick
def test_a_conversation_is_asked_for_the_report_and_alignment_what_it_teaches():
    talk = sample([("user", "<image>\nIs there a nodule?"), ("assistant", "No.")], LEFT, ["pleural_effusion:left"])
    turns = [{"role": "user", "content": "<image>\nDescribe."}, {"role": "assistant", "content": LEFT}]
    align = Asked.of(talk, SimpleNamespace(text="summary", turns=lambda _: turns))
    assert align.question == "<image>\nDescribe."
    study = Asked.of(talk, SimpleNamespace(text="conversation", turns=lambda each: each.record["conversation"]))
    assert study.question.removeprefix("<image>\n") in DESCRIBE
    assert (study.reference, study.truth, study.images, study.views) == (
        LEFT, {"pleural_effusion:left"}, (b"film",), ("frontal",)
    )  # fmt: skip
    pairs = sample([("user", "<image>\nWhich view?"), ("assistant", "The frontal one.")], "")
    study = Asked.of(pairs, SimpleNamespace(text="conversation", turns=lambda each: each.record["conversation"]))
    assert (study.question, study.reference, study.truth) == ("<image>\nWhich view?", "The frontal one.", frozenset())


@pytest.mark.quick
def test_a_score_that_fails_ends_no_run(monkeypatch, caplog):
    def fails(texts: Any) -> Any:
        raise RuntimeError("of a patient")

    broken = Scorer("broken", "", "", "overlap", fails, np.mean)
    empty = Scorer("empty", "", "", "overlap", lambda texts: np.zeros((1, 1)), lambda sums: sums[:, 0] * np.nan)
    monkeypatch.setattr(scoring, "SCORERS", (broken, empty, SCORERS[0]))
    with caplog.at_level(logging.WARNING):
        assert set(scores([asked("a")], [LEFT])) == {f"score/{SCORERS[0].name}"}
    assert "broken is not logged" in caplog.text
    assert "of a patient" not in caplog.text


@pytest.mark.ranks
def test_a_run_on_two_ranks_under_zero_3_that_goes_on_has_each_score_once(zygote, shards, parts, tmp_path):
    run = tmp_path / "run"
    often = ["--config", "configs/zero/stage3.yaml", "--trainer.max_steps", "2", "--validate_every_n_steps", "1"]
    few = ["--panels.studies", "3", "--panels.shown", "1", "--panels.max_new_tokens", "3"]
    begin = [*options(1, shards, run, parts), *often, *few, "--checkpoint.every_n_steps", "1"]
    for number, more in enumerate((["--pause_after_step", "1"], ["--ckpt_path", "auto"])):
        group = zygote.start([*begin, *more], 2, tmp_path / f"log-{number}")
        assert zygote.wait(group) == [0, 0], (tmp_path / f"log-{number}").read_text()[-4000:]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    scored = [line for line in lines if "score/findings_micro_f1" in line]
    assert [line["step"] for line in scored] == [1, 2]
    for line in scored:
        assert 0 <= line["score/findings_micro_f1_swapped"] <= 1
        assert line["validate/loss"] > 0
    board = EventAccumulator(str(run / "tensorboard")).Reload()
    assert [each.step for each in board.Scalars("score/rouge_l")] == [1, 2]
    assert {tag for tag in board.Tags()["tensors"] if tag.startswith("study ")} == {"study 0/text_summary"}
    text = board.Tensors("study 0/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "shown another patient" in text
