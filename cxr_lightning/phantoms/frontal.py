"""The frontal film: a thorax and findings go in, grey values and the findings' extents come out.

What is drawn follows the order of a systematic reading: soft tissue, bones, mediastinum and heart, lungs and vessels,
then what should not be there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.phantoms.anatomy import Exposure, Patient, Thorax, mirror
from cxr_lightning.phantoms.canvas import Box, Canvas, Layer, Points, Stroke, smooth_curve
from cxr_lightning.phantoms.catalogue import Finding
from cxr_lightning.phantoms.film import Film
from cxr_lightning.phantoms.findings import shape_thorax, show

BOTH = (-1, 1)


def draw_frontal(
    rng: np.random.Generator, patient: Patient, exposure: Exposure, findings: Sequence[Finding], size: int
) -> tuple[NDArray[np.uint8], list[tuple[str, Box]]]:
    """Draws a frontal radiograph.

    Args:
        rng: Where texture and noise come from.
        patient: The build.
        exposure: Pose and exposure.
        findings: What is wrong.
        size: Side length in pixels.

    Returns:
        Grey values H x W, and the extent of every finding as (label, box); several boxes where it has several parts.
    """
    canvas = exposure.canvas(size)
    thorax = shape_thorax(rng, patient, exposure, findings)
    lungs = canvas.fill(thorax.lung(-1), thorax.lung(1), blur=0.003)
    depth = 0.62 + 0.38 * canvas.blurred(lungs, 0.04)
    film = Film(canvas, _body(canvas, thorax), lungs * depth, _vessels(canvas, thorax))
    film.density += _bones(canvas, thorax)
    _fill_mediastinum(film, thorax)
    _fill_abdomen(film, thorax, rng)
    film.density += 0.012 * canvas.clouds(rng, 18) + 0.01 * canvas.clouds(rng, 45)
    for finding in findings:
        show(film, thorax, finding)
    if exposure.wires:
        film.density += 0.3 * canvas.draw(_wires(rng), blur=0.001)
    if exposure.marker:
        film.density += 0.9 * canvas.draw(_marker(), blur=0.0008)
    grey = film.develop(rng, gamma=exposure.gamma, brightness=exposure.brightness, mottle=exposure.mottle)
    return grey, film.boxes


def _body(canvas: Canvas, thorax: Thorax) -> Layer:
    """Soft tissue: the trunk's depth, shoulders, neck, and breasts where there are any."""
    patient = thorax.patient
    x, y = canvas.grid
    half = patient.half_width + 0.05 + 0.07 * patient.habitus
    knots = [
        (0.09, -0.3), (0.095, 0.0), (0.14, 0.045), (0.3, 0.085), (0.44, 0.11), (0.56, 0.17), (0.62, 0.35),
        (half + 0.05, 0.36), (half, 0.46), (half + 0.005, 0.8), (half + 0.02, 1.4),
    ]  # fmt: skip
    flank = smooth_curve(knots)
    outline = np.concatenate([mirror(flank, 1), mirror(flank, -1)[::-1]])
    trunk = canvas.fill(outline, blur=0.006)
    across = np.clip(np.abs(x - 0.5) / 0.5, 0, 1.2)
    density = trunk * (0.70 + 0.08 * patient.habitus - 0.16 * across**2 + 0.05 * np.clip(y - 0.3, 0, 1))
    # Folds of the arm pits and the edge of the breast are the commonest lines a reader must learn to ignore.
    if patient.sex == "F":
        for side in BOTH:
            centre, low = 0.5 + side * 0.21, 0.66 + 0.08 * patient.habitus
            reach = ((x - centre) / 0.17) ** 2 + ((y - low + 0.12) / 0.155) ** 2
            density += (0.04 + 0.07 * patient.habitus) / (1 + np.exp(np.clip((reach - 1) * 9, -30, 30)))
    return np.asarray(density, dtype=np.float32)


def _bones(canvas: Canvas, thorax: Thorax) -> Layer:
    """Ribs, clavicles, shoulder blades, humeral heads and the spine."""
    posterior, anterior = [], []
    for side in BOTH:
        for number in range(10):
            posterior += _cortical(mirror(_posterior_rib(thorax, number), side), 0.024)
            if number < 8:
                anterior += _cortical(mirror(_anterior_rib(thorax, number), side), 0.027)
    bones = 0.085 * canvas.draw(posterior, blur=0.0022) + 0.055 * canvas.draw(anterior, blur=0.003)
    collars = []
    for side in BOTH:
        top = thorax.patient.apex
        knots = [(0.035, top + 0.085), (0.1, top + 0.07), (0.2, top + 0.022), (0.29, top + 0.012), (0.36, top - 0.005)]
        collars += _cortical(mirror(smooth_curve(knots), side), 0.028)
    bones += 0.12 * canvas.draw(collars, blur=0.002)
    bones += 0.07 * canvas.fill(*(_shoulder_blade(thorax, side) for side in BOTH), blur=0.006)
    bones += 0.16 * canvas.fill(*(_ball(0.5 + side * 0.475, 0.155, 0.06) for side in BOTH), blur=0.005)
    x, y = canvas.grid
    phase = (y - thorax.rib_height(0)) / np.float32(thorax.patient.spacing)
    column = np.exp(-(((x - 0.5) / 0.038) ** 4))
    return np.asarray(bones + column * (0.10 + 0.02 * np.cos(2 * np.pi * phase)), dtype=np.float32)


def _posterior_rib(thorax: Thorax, number: int) -> Points:
    y = thorax.rib_height(number)
    wall = float(thorax.wall(y + 0.07)) + 0.012
    t = np.linspace(0, 1, 12)
    rise = -0.028 * np.sin(np.pi * np.clip(t * 1.25, 0, 1)) + (thorax.patient.slope + 0.022) * t**2.2
    return np.stack([0.042 + (wall - 0.042) * t, y + rise + 0.055 * t**6], axis=1)


def _anterior_rib(thorax: Thorax, number: int) -> Points:
    y = thorax.rib_height(number)
    start, wall = y + thorax.patient.slope + 0.052, float(thorax.wall(y + 0.1)) + 0.01
    t = np.linspace(0, 1, 12)
    inner = 0.12 + 0.012 * number
    drop = (0.075 + thorax.patient.slope * 0.9 + 0.004 * number) * np.sin(np.pi / 2 * t) ** 1.3
    return np.stack([wall - (wall - inner) * t**1.15, start + drop], axis=1)


def _cortical(points_N2: Points, width: float) -> list[Stroke]:
    """Draws a bone as its cortex: a bright rim around a fainter marrow."""
    return [Stroke(points_N2, width, 1.0), Stroke(points_N2, width * 0.66, 0.68)]


def _ball(x: float, y: float, radius: float) -> Points:
    turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1)


def _shoulder_blade(thorax: Thorax, side: int) -> Points:
    half = thorax.patient.half_width
    knots = [(half - 0.055, 0.17), (half + 0.06, 0.13), (half + 0.09, 0.2), (half + 0.045, 0.34), (half + 0.02, 0.43)]
    return mirror(smooth_curve([*knots, (half - 0.02, 0.36)], closed=True), side)


def _fill_mediastinum(film: Film, thorax: Thorax) -> None:
    """Puts heart, great vessels and trachea between the lungs."""
    canvas = film.canvas
    film.cloud_over(canvas.fill(thorax.heart, blur=0.0035), 0.86)
    film.cloud_over(canvas.fill(*thorax.mediastinum, blur=0.003), 0.72)
    x, y = canvas.grid
    carina = 0.36
    windpipe = np.exp(-(((x - 0.497) / 0.017) ** 4)) / (1 + np.exp((y - carina) / np.float32(0.012)))
    film.density -= 0.12 * windpipe.astype(np.float32)
    bronchi = [
        Stroke(np.array([(0.497, carina - 0.005), (0.5 + side * 0.05, carina + 0.045)]), 0.02, 1.0) for side in BOTH
    ]
    film.density -= 0.06 * canvas.draw(bronchi, blur=0.003)
    for side in BOTH:
        centre_x, centre_y = thorax.hilum(side)
        bulge = np.exp(-(((x - centre_x) / 0.024) ** 2) - ((y - centre_y) / 0.05) ** 2)
        film.cloud_over(bulge.astype(np.float32), 0.42)


def _fill_abdomen(film: Film, thorax: Thorax, rng: np.random.Generator) -> None:
    """Puts the liver under the right dome and the stomach's gas bubble under the left one."""
    x, y = film.canvas.grid
    floor = np.where(x < 0.5, thorax.dome(-1), thorax.dome(1))
    film.density += (0.10 / (1 + np.exp(-(y - floor - 0.02) / np.float32(0.015)))).astype(np.float32)
    if rng.random() < 0.75:
        centre_x, centre_y = 0.5 + rng.uniform(0.1, 0.2), thorax.dome(1) + rng.uniform(0.065, 0.085)
        wide, high = rng.uniform(0.04, 0.08), rng.uniform(0.018, 0.032)
        reach = ((x - centre_x) / wide) ** 2 + ((y - centre_y) / high) ** 2
        film.density -= (rng.uniform(0.1, 0.24) / (1 + np.exp(np.clip((reach - 1) * 6, -30, 30)))).astype(np.float32)


def _vessels(canvas: Canvas, thorax: Thorax) -> Layer:
    """Grows the pulmonary vessels from the hila: thick and blurred at the centre, thin and sharp outwards."""
    rng = np.random.default_rng(thorax.patient.vessels)
    strokes: list[Stroke] = []
    for side in BOTH:
        x, y = thorax.hilum(side)
        for angle in np.linspace(-1.25, 1.35, 9) + rng.uniform(-0.12, 0.12, 9):
            strokes += _branch(rng, (x, y), side, float(angle), 0.0135 if angle > 0 else 0.010, 0)
    return canvas.draw(sorted(strokes, key=lambda stroke: stroke.value), blur=0.0016)


def _branch(
    rng: np.random.Generator, start: tuple[float, float], side: int, angle: float, width: float, level: int
) -> list[Stroke]:
    bends = angle + np.cumsum(rng.uniform(-0.16, 0.16, 5))
    step = 0.034 - 0.006 * level
    x = start[0] + side * np.cumsum(np.cos(bends)) * step
    y = start[1] + np.cumsum(np.sin(bends)) * step
    points_N2 = np.concatenate([np.array([start]), np.stack([x, y], axis=1)])
    strokes = [
        Stroke(points_N2[:4], width, 0.95 - 0.24 * level),
        Stroke(points_N2[3:], width * 0.75, 0.85 - 0.24 * level),
    ]
    if level < 2:
        for at, turn in ((2, 0.5), (4, -0.5), (5, 0.3)):
            point = (float(points_N2[at, 0]), float(points_N2[at, 1]))
            sign = 1.0 if rng.random() < 0.5 else -1.0
            strokes += _branch(rng, point, side, angle + sign * turn, width * 0.6, level + 1)
    return strokes


def _wires(rng: np.random.Generator) -> list[Stroke]:
    """Monitor wires across the chest, which a portable film of a sick patient rarely lacks."""
    strokes = []
    for side in BOTH:
        if rng.random() < 0.3:
            continue
        patch = (0.5 + side * rng.uniform(0.2, 0.3), rng.uniform(0.2, 0.7))
        knots = [patch, (patch[0] + side * 0.1, patch[1] + 0.06), (0.5 + side * 0.45, 0.8), (0.5 + side * 0.4, 1.1)]
        strokes += [Stroke(smooth_curve(knots), 0.004, 0.6), Stroke(_ball(*patch, 0.008), 0.008, 0.9)]
    return strokes


def _marker() -> list[Stroke]:
    """The technician's L beside the patient's left shoulder."""
    return [Stroke(np.array([(0.945, 0.03), (0.945, 0.065), (0.965, 0.065)]), 0.007, 1.0)]
