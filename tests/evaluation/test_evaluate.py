from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from cxr_lightning.checkpoint.studies import trained_on, write_studies
from cxr_lightning.evaluation.asking import Manner, RefusesError, WorkerError, answerer, ask
from cxr_lightning.evaluation.cases import NoCaseError, commonest, read_cases, training_references
from cxr_lightning.evaluation.evaluate import evaluate
from cxr_lightning.evaluation.journal import OtherAnswersError
from cxr_lightning.evaluation.opening import find_model
from cxr_lightning.evaluation.refusal import TrainedOnError
from cxr_lightning.evaluation.tasks import CONDITIONS, Task, plan_tasks
from cxr_lightning.serve.folder import NotAnExportError
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.index import read_index
from tests.serve.test_remote import open_desk

DEMO_KEYS = [f"findings_micro_f1{ending}" for ending in ("", "_swapped", "_blank", "_commonest")]


def test_cases_come_from_the_split_with_truth(shards: Path) -> None:
    cases = read_cases(read_index(shards), "test")
    assert len(cases) == 12
    assert all(case.prompt.count("<image>") == len(case.images) == 1 for case in cases)
    unknown = [case for case in cases if case.labels is None]
    assert len(unknown) == 2, "one without labels, one with labels of another vocabulary"
    assert all(isinstance(case.truth, frozenset) for case in cases)


def test_a_worker_that_fails_is_told_as_other_errors_are(model: Path) -> None:
    tasks = [Task(f"s{n}", "own", "<image>\nWhat?", "Nothing.", (), f"s{n}") for n in range(2)]
    with pytest.raises(WorkerError, match="A process that generated answers failed") as caught:
        list(ask(find_model(str(model)), [[task] for task in tasks], Manner(2, workers=2, device="cpu")))
    assert isinstance(caught.value, ValueError), "cli.py prints these without a traceback"


def test_limit_takes_the_same_studies_every_time(shards: Path) -> None:
    index = read_index(shards)
    few = {case.key for case in read_cases(index, "test", limit=3)}
    more = {case.key for case in read_cases(index, "test", limit=5)}
    assert len(few) == 3
    assert few < more


def test_commonest_text_is_of_the_training_studies(shards: Path) -> None:
    index = read_index(shards)
    train = [case.reference for case in read_cases(index, "train")]
    assert commonest(training_references(index, "test")) == max(sorted(set(train)), key=train.count)


def test_empty_split_is_named(shards: Path) -> None:
    with pytest.raises(NoCaseError, match=r"train: 18.*Choose another --split"):
        read_cases(read_index(shards), "validate")


def test_tasks_show_own_other_and_blank_images(shards: Path) -> None:
    cases = read_cases(read_index(shards), "test")
    patient = {case.key: case.patient for case in cases}
    tasks = plan_tasks(cases)
    assert [task.condition for task in tasks] == [condition for condition in CONDITIONS for _ in cases]
    for task in tasks:
        same = patient[task.key] == patient[task.shown]
        assert same == (task.condition != "swapped")


def test_answers_do_not_depend_on_workers_or_batch(shards: Path, model: Path) -> None:
    tasks = plan_tasks(read_cases(read_index(shards), "test", limit=4))

    def answers(batch: int, workers: int) -> set[tuple[str, str, str, float]]:
        batches = [tasks[start : start + batch] for start in range(0, len(tasks), batch)]
        said = [each for part in ask(find_model(str(model)), batches, Manner(6, workers=workers)) for each in part]
        assert all(each.likelihood is not None for each in said)
        return {(each.key, each.condition, each.text, round(each.likelihood.nats, 3)) for each in said}

    assert answers(4, 1) == answers(4, 2) == answers(1, 1)


def test_blank_image_is_the_same_for_all(shards: Path, model: Path) -> None:
    tasks = [task for task in plan_tasks(read_cases(read_index(shards), "test")) if task.condition == "blank"]
    same = [task for task in tasks if task.prompt == tasks[0].prompt]
    assert len({answer.text for answer in answerer(find_model(str(model)), Manner(6), "cpu")(same)}) == 1


def test_model_with_weights_missing_is_refused(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "projector" in name)
    save_file(
        {name: tensor for name, tensor in weights.items() if name != lost},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(NotAnExportError, match=r"1 weights are missing.*projector.*export the run again"):
        answerer(find_model(str(folder)), Manner(4), "cpu")


def test_evaluate_writes_answers_numbers_and_page(shards: Path, model: Path, tmp_path: Path) -> None:
    run = tmp_path / "stage1"
    run.mkdir()
    (run / "metrics.jsonl").write_text('{"step": 1, "train/loss": 2.0}\n{"step": 2, "train/loss": 1.0}\n')
    out = tmp_path / "out"
    evaluate(str(model), shards, out=out, workers=1, max_new_tokens=4, draws=50, runs=[run])
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["studies"] == 12
    for key in DEMO_KEYS:
        low, high = metrics["intervals"][key]
        assert low is None or 0.0 <= low <= metrics[key] <= high <= 1.0
    rows = [json.loads(line) for line in (out / "predictions.jsonl").open()]
    assert len(rows) == 36
    assert {row["condition"] for row in rows} == set(CONDITIONS)
    written = {"index.html", "metrics.json", "predictions.jsonl", "rexrank.json", "evaluation.json"}
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == written
    assert "stage1" in (out / "index.html").read_text()


def test_the_scores_are_written_into_the_models_card(shards: Path, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    evaluate(str(folder), shards, out=tmp_path / "one", workers=1, limit=3, max_new_tokens=2, draws=20)
    assert not (folder / "README.md").exists(), "a model of others gets no card"
    own = "# Mine\n\n## Evaluation\n\nNone yet.\n\n## Licences\n\nKept.\n"
    (folder / "README.md").write_text(own)
    evaluate(str(folder), shards, out=tmp_path / "theirs", workers=1, limit=3, max_new_tokens=2, draws=20)
    assert (folder / "README.md").read_text() == own, "a card that others wrote is theirs"
    (folder / "provenance.json").write_text('{"data": {}}')
    for limit in (3, 4):
        evaluate(str(folder), shards, out=tmp_path / f"out{limit}", workers=1, limit=limit, max_new_tokens=2, draws=20)
    card = (folder / "README.md").read_text()
    assert card.count("## Evaluation") == card.count("4 studies of") == 1
    assert card.startswith("# Mine\n\n## Evaluation\n\n4 studies")
    assert card.endswith("## Licences\n\nKept.\n")
    found = json.loads((tmp_path / "out4" / "metrics.json").read_text())
    assert "ROUGE-L" in card
    assert found["verdict"] in card
    assert "it may have seen these" in found["verdict"]
    evaluate(str(folder), shards, out=tmp_path / "few", workers=1, limit=2, max_new_tokens=2, draws=20)
    assert (folder / "README.md").read_text() == card, "the scores of more studies stay"


def test_command_line_parses(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from jsonargparse import auto_cli

    with pytest.raises(SystemExit):
        auto_cli(evaluate, args=["--help"], as_positional=True)
    shown = capsys.readouterr().out
    assert "--max_new_tokens" in shown
    assert "Score a model" in shown


def test_what_cannot_be_is_told_before_anything_is_asked(
    shards: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cxr_lightning.cli import run

    for options, told in (
        ({"seed": -1}, "--seed -1"),
        ({"device": "cuda:7"}, "--device cuda:7: torch cannot compute there"),
        ({"learned_by": tmp_path / "absent"}, r"studies\.npy"),
    ):
        with pytest.raises(ValueError, match=told):
            evaluate(str(model), shards, out=tmp_path / "out", **options)
    with pytest.raises(ValueError, match=r"films.*--may_leave_site"):
        evaluate("http://8.8.8.8:8000", shards, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert run(["evaluate", "judgee", "x"]) == 2
    assert "Did you mean evaluate judge?" in capsys.readouterr().err


def test_a_try_that_came_to_nothing_stands_in_nobodys_way(shards: Path, tmp_path: Path) -> None:
    with open_desk() as desk:
        desk.statuses = [400] * 20
        with pytest.raises(RefusesError):
            evaluate(desk.url, shards, out=tmp_path / "out", limit=4, draws=20, parallel=1)
        for answers in (tmp_path / "out" / "answers").glob("*.jsonl"):
            answers.write_text("")
        desk.statuses = []
        evaluate(desk.url, shards, out=tmp_path / "out", limit=5, draws=20)
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == 15


def test_a_servers_oddities_end_nothing(shards: Path, tmp_path: Path) -> None:
    with open_desk() as desk:
        desk.statuses = [400]
        evaluate(desk.url, shards, out=tmp_path / "out", limit=4, draws=20)
        desk.models = ["another"]
        with pytest.raises(OtherAnswersError, match="another at"):
            evaluate(desk.url, shards, out=tmp_path / "out", limit=4, draws=20)
        desk.statuses = [400] * 20
        with pytest.raises(RefusesError, match=r"has refused 4 of 12 questions.*What was answered is kept"):
            evaluate(desk.url, shards, out=tmp_path / "all", limit=4, draws=20)
    rows = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").open()]
    assert [row["finish"] for row in rows].count("refused") == 1
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["health"]["remarks"][0].startswith("The server refused 1 questions")


def test_wrong_folders_are_named(shards: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="index"):
        evaluate(str(model), tmp_path, out=tmp_path / "out")
    with pytest.raises(NotAnExportError, match=r"config\.json"):
        evaluate(str(tmp_path), shards, out=tmp_path / "out")
    with pytest.raises(NotAnExportError, match="there is no such folder"):
        evaluate(str(tmp_path / "absent"), shards, out=tmp_path / "out")
    with pytest.raises(ValueError, match=r"--batch 0: must be 1 or more"):
        evaluate(str(model), shards, out=tmp_path / "out", batch=0)
    assert not (tmp_path / "out").exists()


def test_a_server_is_asked_by_its_url_and_known_by_its_export(shards: Path, model: Path, tmp_path: Path) -> None:
    learned = shutil.copytree(model, tmp_path / "learned")
    write_studies(learned, trained_on([read_index(shards)], []))
    with open_desk() as desk:
        desk.statuses = [503, 429]
        evaluate(desk.url, shards, out=tmp_path / "out", limit=4, draws=20, parallel=3)
        assert len(desk.asked) == 12 + 2, "each question once, and again what was refused for the moment"
        with pytest.raises(TrainedOnError, match="4 of the 4"):
            evaluate(desk.url, shards, out=tmp_path / "no", limit=4, split="train", learned_by=learned)
    rows = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").open()]
    assert {row["answer"] for row in rows} == {"L 58 x 64"}
    assert all(row["likelihood"] is None for row in rows)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["grounding"] is None
    assert metrics["verdict"].startswith("Nothing says which studies")
