"""What the canvas draws lies where the pose says, and boxes hold what they are drawn around."""

from __future__ import annotations

import numpy as np
import pytest

from cxr_lightning.phantoms.canvas import Canvas, Stroke, smooth_curve

pytestmark = pytest.mark.quick

SQUARE = np.array([(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)])


def test_box_is_the_outline() -> None:
    canvas = Canvas(128)
    assert canvas.box(canvas.fill(SQUARE), 0.5) == pytest.approx((0.25, 0.25, 0.75, 0.75), abs=0.02)


def test_nothing_has_no_box() -> None:
    canvas = Canvas(64)
    assert canvas.box(canvas.draw([])) is None


def test_pose_moves_and_magnifies() -> None:
    canvas = Canvas(128, scale=0.5, shift=(0.1, -0.1))
    assert canvas.box(canvas.fill(SQUARE), 0.5) == pytest.approx((0.475, 0.275, 0.725, 0.525), abs=0.02)


def test_grid_undoes_the_pose() -> None:
    canvas = Canvas(64, angle=0.05, scale=1.1, shift=(0.02, 0.01))
    x, y = canvas.grid
    placed = canvas.place(np.array([[x[10, 20], y[10, 20]]]))[0]
    assert placed == pytest.approx((20.5 / 64, 10.5 / 64), abs=1e-5)


def test_curve_passes_its_knots() -> None:
    knots = [(0.1, 0.1), (0.5, 0.2), (0.9, 0.8)]
    curve = smooth_curve(knots)
    for knot in knots:
        assert np.abs(curve - knot).sum(axis=1).min() < 1e-9


def test_later_stroke_wins() -> None:
    line = np.array([(0.1, 0.5), (0.9, 0.5)])
    layer = Canvas(64).draw([Stroke(line, 0.1, 1.0), Stroke(line, 0.1, 0.25)])
    assert layer.max() == pytest.approx(0.25, abs=0.01)


def test_wide_blur_keeps_the_mean() -> None:
    canvas = Canvas(128)
    square = canvas.fill(SQUARE)
    assert canvas.blurred(square, 0.05).mean() == pytest.approx(square.mean(), abs=0.01)
