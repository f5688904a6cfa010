"""Folders as `cxr evaluate` writes them, about drawn radiographs; a page made of them, and a browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.evaluation.cases import read_cases
from cxr_lightning.evaluation.experts.reading import reading
from cxr_lightning.shards.index import read_index

SYSTEMS = ("quokka-vl-9b", "wombat-report-2")


def write_evaluation(folder: Path, shards: Path, model: str, answer: Callable[[Any], str]) -> Path:
    """Writes what `cxr evaluate` leaves of a model that answers so."""
    index = read_index(shards)
    folder.mkdir(parents=True)
    rows = []
    for case in read_cases(index, "test"):
        base = {"key": case.key, "patient": case.patient, "reference": case.reference, "views": list(case.views)}
        base |= {"image_of": case.key, "prompt": case.prompt, "stated": [], "truth": []}
        rows.append({**base, "condition": "own", "answer": answer(case)})
        rows.append({**base, "condition": "swapped", "answer": "Said of another patient's film."})
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metrics = {"schema": 2, "model": model, "split": "test", "shards": index.fingerprint, "shards_root": str(shards)}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen studies of eight patients, every second with a lateral film; films go from dark to bright."""
    from cxr_lightning.shards.packing import pack

    root = tmp_path_factory.mktemp("table")
    ramp = np.tile(np.linspace(10, 245, 200).astype(np.uint8), (160, 1))
    rows = []
    for number in range(16):
        sides = [("PA", ramp), ("LATERAL", ramp[:, ::-1])][: 1 + number % 2]
        for view, gray in sides:
            name = f"{number}-{view}.png"
            film = gray.copy()
            film[:16, 8 * number : 8 * number + 8] = 128  # no two are one
            Image.fromarray(film).save(root / name)
            row = {"study_id": f"s{number}", "patient_id": f"p{number // 2}", "image": name, "view": view}
            rows.append({**row, "report": f"FINDINGS: Nodule of {number + 3} mm. No effusion.", "split": "test"})
    (root / "studies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path_factory.mktemp("packed") / "shards"
    pack("table", root, out=out, size=200, workers=1)
    return out


@pytest.fixture(scope="session")
def outs(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two systems: one says always the same, one half of what is there; each ends in a mark of its own."""
    root = tmp_path_factory.mktemp("outs")
    quokka, wombat = SYSTEMS
    return [
        write_evaluation(
            root / "folder-of-q", shards, quokka, lambda case: f"The lungs are clear.\n\nNo effusion. Q{case.key}"
        ),
        write_evaluation(
            root / "folder-of-w", shards, wombat, lambda case: f"{case.reference.split('.')[0]}. W{case.key}"
        ),
    ]


@pytest.fixture(scope="session")
def made(outs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A page of six studies for two readers, one repeated, and its key."""
    page = tmp_path_factory.mktemp("page") / "reading.html"
    reading(*map(str, outs), out=page, studies=6, repeats=1)
    return page, json.loads(page.with_suffix(".key.json").read_text())


def saved(
    file: Path, key: dict[str, Any], reader: str, judge: Callable[[str, tuple[str, ...]], dict[str, Any]], seat: int = 0
) -> Path:
    """Writes what the page saves of a reader who judges so, by the item and the systems behind each report."""
    items = {}
    for item in key["seats"][seat]:
        reports = key["items"][item]["reports"]
        items[item] = {label: judge(item, tuple(sorted(reports[label]["systems"]))) for label in reports}
    kind = {"schema": 1, "kind": "cxr reading answers", "page": key["page"], "reader": reader, "seat": seat}
    file.write_text(json.dumps({**kind, "items": items}))
    return file


def judged(score: int, *errors: str, comment: str = "", seconds: float = 20.0) -> dict[str, Any]:
    """One report's judgement: accurate from 4 on."""
    wrong = list(errors) or (["missed"] if score < 4 else [])
    return {"accurate": score >= 4, "score": score, "errors": wrong, "comment": comment, "seconds": seconds}
