from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPORTS = {
    "normal": ("The lungs are clear. No pleural effusion or pneumothorax. Heart size is normal.", []),
    "effusion": ("Small left pleural effusion. No pneumothorax.", ["pleural_effusion:left"]),
    "nodule": ("2.5 cm nodule in the right upper zone. Dual-lead pacemaker.", ["nodule:right-upper", "pacemaker"]),
}


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty studies of fifteen patients as users list theirs; one has no known labels, one has foreign ones."""
    root = tmp_path_factory.mktemp("table")
    draw = np.random.default_rng(0)
    rows = []
    for number in range(30):
        text, labels = list(REPORTS.values())[number % 7 % 3]
        shades = Image.fromarray(draw.integers(0, 255, (10, 9), dtype=np.uint8))
        shades.resize((72, 80), Image.Resampling.BICUBIC).save(root / f"{number}.png")
        split = "train" if number < 18 else "test"
        row = {"study_id": f"s{number}", "patient_id": f"p{number // 2}", "image": f"{number}.png", "view": "PA"}
        rows.append({**row, "report": f"FINDINGS: {text}", "labels": labels, "split": split})
    del rows[-1]["labels"]
    rows[-2]["labels"] = ["Cardiomegaly"]
    (root / "studies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture(scope="session")
def shards(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table packed."""
    from cxr_lightning.shards.packing import pack

    out = tmp_path_factory.mktemp("packed") / "shards"
    pack("table", table, out=out, size=64, workers=1)
    return out


@pytest.fixture(scope="session")
def runs(shards: Path, parts: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both stages trained on these shards; those of other tests have learned from others."""
    from tests.fitting import train_both

    return train_both(shards, parts, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llava in an exported folder: weights, tokenizer, processor, chat template."""
    from cxr_lightning.model.compose import load_model, load_processor
    from cxr_lightning.model.source import ModelSource
    from cxr_lightning.model.tiny import write_language, write_tower

    folder = tmp_path_factory.mktemp("model")
    tower, language = write_tower(folder / "tower"), write_language(folder / "language", layers=1)
    source = ModelSource(vision=str(tower), language=str(language), projector="mlp")
    processor = load_processor(source)
    load_model(source, processor).save_pretrained(folder / "export")
    processor.save_pretrained(folder / "export")
    return folder / "export"
