from __future__ import annotations

import json
from pathlib import Path

import pytest

from cxr_lightning.evaluation.curves import HEIGHT, WIDTH, CurveError, draw_chart, read_curves

pytestmark = pytest.mark.quick


def write_run(folder: Path, steps: int) -> Path:
    folder.mkdir()
    rows = [{"step": n, "train/loss": 3.0 / n, "train/lr": 1e-3} for n in range(1, steps + 1)]
    rows += [{"step": steps, "validate/loss": 0.5}, {"step": steps, "train/loss": float("nan")}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_losses_become_lines_inside_the_frame(tmp_path: Path) -> None:
    (curve,) = read_curves([write_run(tmp_path / "stage1", 1000)])
    assert set(curve.series) == {"train/loss", "validate/loss"}
    chart = draw_chart(curve)
    assert chart.name == "stage1"
    points = [tuple(map(float, pair.split(","))) for _, line, _ in chart.lines for pair in line.split()]
    assert len(points) < 300
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert 3 <= len(chart.rows) <= 7


def test_how_a_run_scored_itself_is_drawn_beside_its_losses(tmp_path: Path) -> None:
    run = write_run(tmp_path / "stage2", 10)
    names = ("score/findings_micro_f1", "score/findings_micro_f1_swapped", "score/rouge_l")
    lines = [{"step": step, **dict.fromkeys(names, 0.1 * step)} for step in (4, 8)]
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    losses, scores = read_curves([run])
    assert (losses.what, scores.what) == ("loss", "findings, micro F1")
    assert set(scores.series) == {"own image", "another patient’s"}
    assert scores.series["own image"] == ((4.0, 0.4), (8.0, 0.8))
    assert draw_chart(scores).lines[0][2] == 0.8


def test_missing_and_broken_runs_are_named(tmp_path: Path) -> None:
    with pytest.raises(CurveError, match="does not exist"):
        read_curves([tmp_path])
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nnot json\n')
    with pytest.raises(CurveError, match="line 2"):
        read_curves([tmp_path])


def test_run_without_losses_has_no_curve(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "speed": 3}\n')
    assert read_curves([tmp_path]) == []
