"""One job at a time writes to a folder, its ranks know who died, and nothing of before outlives --overwrite."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.evaluation import holding, journal
from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.holding import OtherAnswersError
from cxr_lightning.evaluation.journal import Journal, RanksStalledError
from cxr_lightning.evaluation.predictions import RESULTS, PredictionsError, write_predictions
from cxr_lightning.evaluation.rank import Rank
from cxr_lightning.evaluation.tasks import CONDITIONS, Answer, Task
from cxr_lightning.model.likely import Likelihood

SETTINGS = {"model": "one"}
CASES = [Case(f"k{n}", f"p{n}", "<image>", (b"",), ("frontal",), "Clear.", None) for n in range(4)]
TASKS = [Task(case.key, name, "<image>", "Clear.", (b"",), case.key) for case in CASES for name in CONDITIONS]
PAIR = [Rank(number, 2, "a job") for number in range(2)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(journal, "_SURE_SECONDS", 0.1)
    monkeypatch.setattr(holding, "_PATIENCE_SECONDS", 0.1)


def said(*tasks: Task) -> list[Answer]:
    return [Answer(task.key, task.condition, f"Groß {task.id}", task.shown, "stop", 2) for task in tasks]


def answer_share(one: Journal, batches: int | None = None) -> None:
    for batch in one.mine(TASKS, 2)[:batches]:
        one.add(said(*batch))


@pytest.mark.quick
@pytest.mark.parametrize("other", [Rank(), Rank(0, 3, "a job"), Rank(1, 2, "another job"), PAIR[0]])
def test_no_other_job_writes_beside_ranks(tmp_path: Path, other: Rank):
    with Journal(tmp_path, SETTINGS, PAIR[0]):
        with pytest.raises(OtherAnswersError, match="Remedy: wait for it"):
            Journal(tmp_path, SETTINGS, other)
        Journal(tmp_path, SETTINGS, PAIR[1]).close()
    Journal(tmp_path, SETTINGS, other).close()


@pytest.mark.quick
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("other", [Rank(), PAIR[1]])
def test_nobody_writes_beside_a_process_that_is_alone(tmp_path: Path, other: Rank, overwrite: bool):
    with Journal(tmp_path, SETTINGS, Rank(), overwrite=overwrite) as first:
        first.add(said(TASKS[0]))
        with pytest.raises(OtherAnswersError, match="Remedy: "):
            Journal(tmp_path, SETTINGS, other, overwrite=other.count == 1)
        assert len(first.answered()) == 1


@pytest.mark.quick
def test_who_has_all_answers_keeps_others_out_while_it_scores_them(tmp_path: Path):
    with Journal(tmp_path, SETTINGS, Rank()) as one:
        answer_share(one)
        write_predictions(tmp_path, CASES, one.wait(TASKS))
        one.finish()
        assert not (tmp_path / "answers").exists()
        with pytest.raises(OtherAnswersError, match="another evaluation writes"):
            Journal(tmp_path, SETTINGS, Rank(), overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.json", "predictions.jsonl", ".lock"}
    Journal(tmp_path, SETTINGS, Rank(), overwrite=True).close()


@pytest.mark.quick
def test_overwriting_forgets_all_of_before(tmp_path: Path):
    for name in (*RESULTS, "predictions.jsonl", "evaluation.json"):
        (tmp_path / name).write_text("of before")
    (tmp_path / "kept.txt").write_text("somebody's")
    with Journal(tmp_path, SETTINGS, Rank(), overwrite=True) as anew:
        assert {path.name for path in tmp_path.iterdir()} == {"kept.txt", "evaluation.json", "answers", ".lock"}
        assert anew.answered() == {}


@pytest.mark.quick
def test_ranks_share_and_the_first_has_all(tmp_path: Path):
    one, other = (Journal(tmp_path, SETTINGS, rank) for rank in PAIR)
    answer_share(other)
    other.close()
    answer_share(one)
    known = one.wait(TASKS)
    assert known == {answer.id: answer for answer in said(*TASKS)}
    write_predictions(tmp_path, CASES, known)
    one.close(finished=True)
    late = Journal(tmp_path, SETTINGS, PAIR[1])
    assert late.mine(TASKS, 2) == []
    late.close()
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.json", "predictions.jsonl", ".lock"}


@pytest.mark.quick
@pytest.mark.parametrize("batches", [None, 1])
def test_a_rank_that_gave_up_is_named_soon(tmp_path: Path, batches: int | None, monkeypatch: pytest.MonkeyPatch):
    Journal(tmp_path, SETTINGS, PAIR[1]).close()  # of the same command, stopped before
    with Journal(tmp_path, SETTINGS, PAIR[0]) as one:
        answer_share(one)
        monkeypatch.setattr(journal, "_STALLED_SECONDS", 0.3)
        with pytest.raises(RanksStalledError, match=r"6 of 12 answers are missing.*for half an hour no rank"):
            one.wait(TASKS)  # the other has not begun yet
        monkeypatch.setattr(journal, "_STALLED_SECONDS", 60.0)
        other = Journal(tmp_path, SETTINGS, PAIR[1])
        if batches:
            answer_share(other, batches)
        other.close()
        with pytest.raises(RanksStalledError, match=r"answers are missing, and rank 1 of 2 ended before it had"):
            one.wait(TASKS)


KILLED = """
import sys, time
from pathlib import Path
from cxr_lightning.evaluation.journal import Journal
from cxr_lightning.evaluation.rank import Rank
Journal(Path(sys.argv[1]), {"model": "one"}, Rank(1, 2, "a job"))
print("here", flush=True)
time.sleep(60)
"""


def test_a_rank_that_was_killed_is_named_soon(tmp_path: Path):
    with Journal(tmp_path, SETTINGS, PAIR[0]) as one:
        answer_share(one)
        with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            other.send_signal(signal.SIGKILL)
        since = time.monotonic()
        with pytest.raises(RanksStalledError, match="rank 1 of 2 ended before"):
            one.wait(TASKS)
    assert time.monotonic() - since < 5
    Journal(tmp_path, SETTINGS, Rank()).close()


@pytest.mark.quick
def test_damaged_lines_are_asked_again(tmp_path: Path):
    with Journal(tmp_path, SETTINGS, Rank()) as one:
        one.add(said(*TASKS[:4]))
        file = tmp_path / "answers" / "rank-00000-of-00001.jsonl"
        assert file.read_bytes().isascii()
        lines = file.read_text().split("\n")
        rows: list[Any] = [json.loads(line) for line in lines[1:4]]
        rows[0]["likelihood"] = {"nats": float("nan"), "tokens": 1}
        rows[1]["text"] = None
        rows[2]["more"] = 1
        file.write_text("\n".join([lines[0], "5", "null", *map(json.dumps, rows), '{"key": "half a li']))
    with Journal(tmp_path, SETTINGS, Rank()) as one:
        assert list(one.answered()) == [TASKS[0].id]
        answer_share(one)
        assert one.wait(TASKS) == {answer.id: answer for answer in said(*TASKS)}


@pytest.mark.quick
def test_only_what_was_added_is_read_again(tmp_path: Path):
    with Journal(tmp_path, SETTINGS, Rank()) as one:
        one.add(said(TASKS[0]))
        assert len(one.answered()) == 1
        file = tmp_path / "answers" / "rank-00000-of-00001.jsonl"
        file.write_bytes(b"x" * (file.stat().st_size - 1) + b"\n")
        one.add(said(TASKS[1]))
        assert len(one.answered()) == 2
        assert list(one.answered(again=True)) == [TASKS[0].id, TASKS[1].id], "and what was known stays known"


@pytest.mark.quick
def test_a_likelihood_that_is_none_is_left_out_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    with Journal(tmp_path, SETTINGS, Rank()) as one:
        for task in TASKS[:2]:
            one.add([Answer(task.key, task.condition, "Clear.", task.key, likelihood=Likelihood(float("nan"), 3))])
        assert [answer.likelihood for answer in one.answered().values()] == [None, None]
    assert caplog.text.count("are not finite") == 1


@pytest.mark.quick
def test_what_predictions_lack_is_asked_and_not_waited_for(tmp_path: Path):
    with Journal(tmp_path, SETTINGS, Rank()) as one:
        write_predictions(tmp_path, CASES[:2], {answer.id: answer for answer in said(*TASKS)})
        answer_share(one)
        assert len(one.wait(TASKS)) == len(TASKS)
    (tmp_path / "predictions.jsonl").write_text("5\n")
    with Journal(tmp_path, SETTINGS, Rank()) as one, pytest.raises(PredictionsError, match="line 1"):
        one.answered()


@pytest.mark.quick
def test_settings_that_are_none_are_refused(tmp_path: Path):
    (tmp_path / "evaluation.json").write_text("5")
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "rank-00000-of-00001.jsonl").write_text("an answer of somebody\n")
    with pytest.raises(OtherAnswersError, match="model None, now 'one'"):
        Journal(tmp_path, SETTINGS, Rank())


@pytest.mark.quick
@pytest.mark.parametrize(("rank", "count"), [("one", "2"), ("2", "2"), ("-1", "2"), ("0", ""), ("0", "0")])
def test_a_rank_that_cannot_be_is_refused(rank: str, count: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", count)
    with pytest.raises(ValueError, match=rf"RANK='{rank}', WORLD_SIZE='{count}'.*Remedy: start ranks by torchrun"):
        Rank.here()


@pytest.mark.quick
def test_ranks_of_a_job_know_it_by_name(monkeypatch: pytest.MonkeyPatch):
    for name, value in {"RANK": "1", "WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "x", "SLURM_JOB_ID": "7"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    assert Rank.here() == Rank(1, 4, "TORCHELASTIC_RUN_ID=x SLURM_JOB_ID=7")
