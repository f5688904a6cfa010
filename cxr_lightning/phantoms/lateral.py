"""The lateral film: the same thorax and findings from the patient's left side, the spine at the image's right.

It is simpler than the frontal one: a lateral view only accompanies some studies, to exercise everything downstream that
meets two views. Findings show where a lateral shows them, without their side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.phantoms.anatomy import FRAME_CM, Exposure, Patient
from cxr_lightning.phantoms.canvas import Canvas, Layer, Points, Stroke, smooth_curve
from cxr_lightning.phantoms.catalogue import Finding
from cxr_lightning.phantoms.film import Film

PLACES: dict[str, tuple[float, float]] = {
    "right-upper": (0.46, 0.24), "left-upper": (0.44, 0.25), "right-mid": (0.50, 0.42), "left-mid": (0.52, 0.42),
    "right-middle": (0.36, 0.56), "right-lower": (0.62, 0.60), "left-lower": (0.63, 0.58),
}  # fmt: skip
"""Where zones and lobes lie from the side, as (x, y)."""
HEARTS = {"": 0.0, "mild": 0.03, "moderate": 0.05, "marked": 0.07}


def draw_lateral(
    rng: np.random.Generator, patient: Patient, exposure: Exposure, findings: Sequence[Finding], size: int
) -> NDArray[np.uint8]:
    """Draws a lateral radiograph.

    Args:
        rng: Where texture and noise come from.
        patient: The build.
        exposure: Pose and exposure.
        findings: What is wrong.
        size: Side length in pixels.

    Returns:
        Grey values H x W.
    """
    canvas = exposure.canvas(size)
    dome = patient.dome - exposure.inspiration
    lung = canvas.fill(_lung(dome), blur=0.004)
    film = Film(canvas, _body(canvas, patient), lung * (0.6 + 0.4 * canvas.blurred(lung, 0.05)), np.zeros_like(lung))
    film.density += _bones(canvas, patient)
    swell = sum(HEARTS[finding.size] for finding in findings if finding.name == "cardiomegaly")
    film.cloud_over(canvas.fill(_heart(dome, swell), blur=0.012), 0.6)
    arch = smooth_curve([(0.42, 0.42), (0.45, 0.3), (0.53, 0.26), (0.6, 0.32), (0.63, 0.5), (0.65, 0.75)])
    film.cloud_over(canvas.draw([Stroke(arch, 0.055, 1.0)], blur=0.008), 0.25)
    trachea = np.array([(0.45, 0.0), (0.49, 0.2), (0.52, 0.38)])
    film.density -= 0.1 * canvas.draw([Stroke(trachea, 0.035, 1.0)], blur=0.004)
    x, y = canvas.grid
    hilum = np.exp(-(((x - 0.53) / 0.05) ** 2) - ((y - 0.43) / 0.06) ** 2)
    film.cloud_over(hilum.astype(np.float32), 0.4)
    film.density += 0.014 * canvas.clouds(rng, 18) + 0.014 * canvas.clouds(rng, 45)
    for finding in findings:
        _show(film, finding, dome, rng)
    return film.develop(rng, exposure)


def _lung(dome: float) -> Points:
    front = [(0.42, 0.12), (0.33, 0.2), (0.245, 0.4), (0.21, 0.6), (0.2, dome + 0.01)]
    floor = [(0.3, dome - 0.035), (0.42, dome - 0.03), (0.56, dome + 0.04), (0.7, dome + 0.12), (0.79, dome + 0.16)]
    back = [(0.84, 0.72), (0.855, 0.5), (0.825, 0.3), (0.73, 0.16), (0.56, 0.1)]
    return np.concatenate([smooth_curve(front), smooth_curve(floor), smooth_curve(back)])


def _heart(dome: float, swell: float) -> Points:
    knots = [(0.4, 0.4), (0.29, 0.52), (0.24, dome - 0.05), (0.3, dome + 0.03), (0.45 + swell, dome + 0.04)]
    return smooth_curve([*knots, (0.54 + swell, dome - 0.08), (0.55 + swell, 0.52), (0.5, 0.42)], closed=True)


def _body(canvas: Canvas, patient: Patient) -> Layer:
    front, back = 0.17 - 0.08 * patient.habitus, 0.9 + 0.06 * patient.habitus
    face = [(0.36, -0.1), (0.35, 0.06), (0.27, 0.15), (front + 0.03, 0.35), (front, 0.6), (front - 0.03, 1.2)]
    nape = [(back, 1.2), (back, 0.6), (back, 0.35), (0.84, 0.14), (0.72, 0.04), (0.7, -0.1)]
    trunk = canvas.fill(np.concatenate([smooth_curve(face), smooth_curve(nape)]), blur=0.006)
    x, y = canvas.grid
    arms = 0.12 / (1 + np.exp((y - 0.15) / 0.03))
    return np.asarray(trunk * (0.66 + 0.1 * patient.habitus + arms - 0.1 * np.abs(x - 0.5)), dtype=np.float32)


def _bones(canvas: Canvas, patient: Patient) -> Layer:
    strokes = []
    for number in range(9):
        y = patient.apex + 0.05 + 0.072 * number
        for lag in (0.0, 0.02):
            knots = [(0.78, y - 0.02 + lag), (0.62, y + 0.03 + lag), (0.42, y + 0.12 + lag), (0.26, y + 0.17 + lag)]
            strokes.append(Stroke(smooth_curve(knots), 0.018, 0.7))
    bones = 0.075 * canvas.draw(strokes, blur=0.003)
    spine = smooth_curve([(0.72, 0.0), (0.79, 0.25), (0.815, 0.5), (0.79, 0.8), (0.75, 1.05)])
    column = canvas.draw([Stroke(spine, 0.095, 1.0), Stroke(spine, 0.075, 0.8)], blur=0.004)
    # The discs between the vertebrae let more through, which makes the spine a ladder.
    discs = 0.5 + 0.5 * np.cos(2 * np.pi * canvas.grid[1] / np.float32(0.062))
    bones += column * (0.20 - 0.07 * discs**2)
    sternum = smooth_curve([(0.34, 0.16), (0.25, 0.34), (0.21, 0.54)])
    return bones + 0.12 * canvas.draw([Stroke(sternum, 0.022, 1.0)], blur=0.003)


def _show(film: Film, finding: Finding, dome: float, rng: np.random.Generator) -> None:
    """Draws what a lateral view shows of a finding."""
    canvas = film.canvas
    x, y = canvas.grid
    if finding.name == "pleural_effusion":
        depth = {"small": 0.05, "moderate": 0.12, "large": 0.22}[finding.size]
        level = dome + 0.13 - depth - 0.5 * np.clip(x - 0.62, 0, 1)
        film.cloud_over((1 / (1 + np.exp(np.clip((level - y) / 0.012, -30, 30)))).astype(np.float32), 0.85)
    elif finding.name in {"nodule", "consolidation"}:
        centre, reach = PLACES[finding.place], 0.5 * finding.centimetres / FRAME_CM or 0.1
        distance = np.hypot(x - centre[0], y - centre[1]) / reach
        shadow = 1 / (1 + np.exp(np.clip((distance - 1) * (14 if finding.name == "nodule" else 5), -30, 30)))
        film.cloud_over(shadow.astype(np.float32), 0.6)
    elif finding.name == "interstitial_oedema":
        film.cloud_over(np.full_like(film.air, 0.2))
        film.density += 0.04 * np.clip(canvas.clouds(rng, 60), 0, 2) * film.air
    elif finding.name == "atelectasis":
        band = np.array([(0.5, dome - 0.02), (0.7, dome + 0.02)])
        film.cloud_over(canvas.draw([Stroke(band, 0.014, 1.0)], blur=0.003), 0.5)
    elif finding.name == "pacemaker":
        can = smooth_curve([(0.24, 0.2), (0.27, 0.19), (0.285, 0.26), (0.255, 0.27)], closed=True)
        lead = Stroke(
            smooth_curve([(0.27, 0.2), (0.4, 0.15), (0.47, 0.35), (0.42, 0.6), (0.28, dome - 0.04)]), 0.006, 0.6
        )
        film.density += 0.5 * canvas.fill(can, blur=0.001) + 0.3 * canvas.draw([lead], blur=0.001)
    elif finding.name == "line":
        way = smooth_curve([(0.42, -0.02), (0.44, 0.16), (0.47, 0.3), (0.47, 0.41)])
        film.density += 0.2 * canvas.draw([Stroke(way, 0.008, 1.0)], blur=0.001)
