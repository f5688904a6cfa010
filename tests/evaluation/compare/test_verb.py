from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from cxr_lightning.cli import run
from cxr_lightning.evaluation.cases import Case, read_cases
from cxr_lightning.shards.index import read_index
from tests.evaluation.compare.conftest import Study, Three, seeing, shuffled, write


def of_cases(cases: list[Case]) -> list[Study]:
    return [
        Study(case.key, case.patient, case.truth, case.views or ("frontal",), case.reference, case.prompt)
        for case in cases
    ]


@pytest.fixture(scope="module")
def filmed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two evaluations of packed studies, which say where their films are."""
    index, root = read_index(shards), tmp_path_factory.mktemp("filmed")
    studies = of_cases(read_cases(index, "test"))
    known = {"shards": index.fingerprint, "shards_root": str(shards)}
    good, weak = seeing(studies, 0.1), seeing(studies, 0.6, seed=3)
    first = write(root / "weak", "weak", studies, weak, shuffled(weak), **known)
    return first, write(root / "good", "good", studies, good, shuffled(good), **known)


def run_compare(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    status = run(["compare", *map(str, words)])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_two_are_compared(three: Three, tmp_path: Path, capsys) -> None:
    out = tmp_path / "new" / "out"
    status, said, _ = run_compare(capsys, three.good, three.blind, "--out", out, "--draws", "100")
    assert status == 0
    assert {path.name for path in out.iterdir()} == {"comparison.json", "index.html"}
    found = json.loads((out / "comparison.json").read_text())
    assert found["verdict"].split()[:5] == ["A", "is", "better", "than", "B:"]
    assert re.sub(r"\s+", " ", found["verdict"]) in re.sub(r"\s+", " ", said)
    assert [model["name"] for model in found["models"]] == ["good", "blind"]
    assert found["studies"] == 120
    assert {"scores", "image", "findings", "observations", "views", "needs", "method", "differ_most"} <= set(found)
    assert re.search(r"Findings, micro F1 +0\.\d\d 0\.\d\d −0\.\d\d \(−0\.\d\d to −0\.\d\d\) < 0\.001 +0\.00\d A", said)
    assert "No films: the evaluations do not say where their shards are" in " ".join(said.split())


def test_the_same_command_gives_the_same_numbers(three: Three, tmp_path: Path, capsys) -> None:
    few = ("--draws", "50", "--permutations", "200", "--studies", "3")
    for name in ("one", "two"):
        assert run_compare(capsys, three.good, three.blind, "--out", tmp_path / name, *few)[0] == 0
    for file in ("comparison.json", "index.html"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_memory_is_not_compared_unsaid(three: Three, tmp_path: Path, capsys) -> None:
    learned = shutil.copytree(three.good, tmp_path / "learned")
    metrics = json.loads((learned / "metrics.json").read_text())
    (learned / "metrics.json").write_text(json.dumps({**metrics, "seen": {"known": True, "by_key": 9, "left_out": 4}}))
    few = ("--draws", "50", "--permutations", "200", "--studies", "3")
    _, told, _ = run_compare(capsys, three.blind, learned, "--out", tmp_path / "out", *few)
    assert "B learned from these studies: it is memory that is compared." in " ".join(told.split())
    assert "it is memory that is compared" in (tmp_path / "out" / "index.html").read_text()


def test_three_are_ranked(three: Three, tmp_path: Path, capsys) -> None:
    few = ("--draws", "50", "--permutations", "4000", "--studies", "4")
    folders = (three.commonest, three.good, three.blind)
    status, said, _ = run_compare(capsys, *folders, "--out", tmp_path, *few)
    assert status == 0
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert [row["letter"] for row in found["ranking"]] == ["B", "C", "A"]
    assert re.search(r"By Findings, micro F1: 1\. B 0\.\d\d, 2\. C 0\.\d\d, 3\. A 0\.00\.", said)


def test_films_are_those_of_the_studies(filmed: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    status, said, _ = run_compare(capsys, *filmed, "--out", tmp_path, "--draws", "50", "--permutations", "100")
    assert status == 0
    assert "No films" not in said
    html = (tmp_path / "index.html").read_text()
    assert html.count("data:image/jpeg;base64,") == html.count("<article") > 0


def test_films_of_changed_or_lost_shards_are_left_out(
    filmed: tuple[Path, Path], shards: Path, tmp_path: Path, capsys
) -> None:
    for folder, change in (("other", {"shards": "another"}), ("lost", {"shards_root": str(tmp_path / "nowhere")})):
        copies = []
        for source in filmed:
            copy = tmp_path / folder / source.name
            copy.mkdir(parents=True)
            (copy / "predictions.jsonl").write_bytes((source / "predictions.jsonl").read_bytes())
            metrics = json.loads((source / "metrics.json").read_text())
            (copy / "metrics.json").write_text(json.dumps({**metrics, **change}))
            copies.append(copy)
        few = ("--out", tmp_path / "out", "--draws", "20", "--permutations", "50")
        status, said, _ = run_compare(capsys, *copies, *few)
        assert status == 0
        assert "No films: the shards" in said
        assert "<img" not in (tmp_path / "out" / "index.html").read_text()
    status, said, _ = run_compare(capsys, *copies, *few, "--shards", shards)
    assert "No films" not in said, "they are found where they are now"


def test_sets_that_differ_are_refused_or_shared(three: Three, tmp_path: Path, capsys) -> None:
    few = seeing(three.studies[:40], 0.2)
    other = write(tmp_path / "few", "few", three.studies[:40], few, shuffled(few))
    options = ("--out", tmp_path / "out", "--draws", "20", "--permutations", "50")
    status, _, told = run_compare(capsys, three.good, other, *options)
    assert status == 1
    assert "40 are shared by all" in told
    assert not (tmp_path / "out").exists()
    status, said, _ = run_compare(capsys, three.good, other, *options, "--shared", "true")
    assert status == 0
    assert "80 studies that are not shared are left out." in said


@pytest.mark.parametrize("option", ["--draws", "--permutations"])
def test_impossible_options_are_named(three: Three, tmp_path: Path, capsys, option: str) -> None:
    status, _, told = run_compare(capsys, three.good, three.blind, "--out", tmp_path, option, "0")
    assert status == 1
    assert f"{option}: must be 1 or more" in told


def test_what_evaluate_writes_is_what_compare_reads(shards: Path, model: Path, tmp_path: Path, capsys) -> None:
    """Two lengths of one untrained model, evaluated and compared from the command line on."""
    folders = []
    for tokens in ("3", "8"):
        folders.append(tmp_path / tokens)
        words = [
            "evaluate",
            str(model),
            str(shards),
            "--out",
            str(folders[-1]),
            "--limit",
            "4",
            "--max_new_tokens",
            tokens,
        ]
        assert run([*words, "--draws", "20", "--workers", "1"]) == 0
    few = ("--draws", "20", "--permutations", "50")
    status, said, _ = run_compare(capsys, *folders, "--out", tmp_path / "out", *few)
    assert status == 0
    assert "4 studies of" in said
    assert "No films" not in said


def test_an_encoder_adds_a_score_in_its_own_table(three: Three, tmp_path: Path, capsys) -> None:
    transformers = pytest.importorskip("transformers")
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "left", "right", "pacemaker", "effusion", "lungs"]
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(words))
    transformers.BertTokenizer(str(vocabulary)).save_pretrained(tmp_path / "encoder")
    tiny = transformers.BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.BertModel(tiny).save_pretrained(tmp_path / "encoder")
    few = ("--out", tmp_path / "out", "--draws", "20", "--permutations", "50")
    status, _, told = run_compare(capsys, three.good, three.blind, *few, "--bertscore", tmp_path / "encoder")
    assert status == 0, told
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [each["name"] for each in found["scores"] if each["name"].startswith("bert")]
