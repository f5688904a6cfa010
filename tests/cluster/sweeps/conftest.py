from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from cxr_lightning.cluster.sweeps import submission
from cxr_lightning.cluster.sweeps.verb import sweep
from tests.fitting import ROOT

LR = "model.init_args.optim.lr"


class Begun:
    """A sweep's file, and its folder once it was begun."""

    def __init__(self, file: Path, told: dict) -> None:
        self.file, self.told, self.folder = file, told, Path(told["folder"])
        self.write()

    def write(self, **changes: object) -> None:
        self.told |= changes
        self.file.write_text(yaml.safe_dump(self.told))

    def run(self, *options: str) -> None:
        sweep([str(self.file), "--poll", "0.2", *options])

    def said(self, trial: str) -> str:
        return (self.folder / "jobs" / trial / "rank-0.log").read_text()

    def starts(self) -> dict[str, int]:
        return {path.parent.name: path.read_text().count("==") for path in self.folder.glob("jobs/*/rank-0.log")}


@pytest.fixture
def begun(tmp_path: Path, shards: Path, parts: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Begun:
    """A sweep over learning rates, whose trials are pretended by a small program; the command line is the real one."""
    monkeypatch.setattr(submission, "PROGRAM", (sys.executable, str(Path(__file__).with_name("pretend.py"))))
    monkeypatch.chdir(ROOT)
    told = {
        "folder": str(tmp_path / "sweep"),
        "configs": ["configs/stage1.yaml", "configs/scale/cpu.yaml"],
        "options": {
            "data.shards": str(shards), "data.global_batch": 8, "data.micro_batch": 4, "data.epochs": 20,
            "model.source.vision": parts["siglip"], "model.source.language": parts["language"],
        },
        "parameters": {LR: {"grid": [1e-4, 1e-3, 1e-2]}},
        "parallel": 2,
        "jobs": {"executor": "local"},
    }  # fmt: skip
    return Begun(tmp_path / "sweep.yaml", told)
