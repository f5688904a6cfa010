"""What should not be there, drawn: one function a finding writes into the film's layers and marks its extent.

Signs follow the primers: a meniscus for fluid, a pleural line without vessels beyond it for air, air bronchograms and
respected fissures for consolidation, Kerley lines and perihilar haze for oedema, bands and a raised dome for collapse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cxr_lightning.phantoms.anatomy import FRAME_CM, SIDES, Exposure, Patient, Thorax
from cxr_lightning.phantoms.canvas import Layer, Points, Stroke, smooth_curve
from cxr_lightning.phantoms.catalogue import Finding
from cxr_lightning.phantoms.film import Film

RATIOS = {"mild": (0.565, 0.595), "moderate": (0.60, 0.65), "marked": (0.655, 0.71)}
"""Cardiothoracic ratios of an enlarged heart."""
GRADES = {"mild": 0.65, "moderate": 0.85, "marked": 1.1}


def shape_thorax(rng: np.random.Generator, patient: Patient, exposure: Exposure, findings: Sequence[Finding]) -> Thorax:
    """Shapes a thorax by the findings that change its outlines.

    Args:
        rng: Where chance comes from.
        patient: The build.
        exposure: The study's inspiration.
        findings: What is wrong.

    Returns:
        Outlines with an enlarged heart or a raised hemidiaphragm where a finding asks for it.
    """
    ratio, raised = patient.ratio, {"right": 0.0, "left": 0.0}
    for finding in findings:
        if finding.name == "cardiomegaly":
            ratio = rng.uniform(*RATIOS[finding.size])
        if finding.name == "atelectasis":
            raised[finding.side] = rng.uniform(0.045, 0.07)
    return Thorax(patient, exposure.inspiration, ratio, (raised["right"], raised["left"]))


def show(film: Film, thorax: Thorax, finding: Finding) -> None:
    """Draws a finding.

    Args:
        film: Where to.
        thorax: The outlines it lies in.
        finding: What to draw.
    """
    _SHOWS[finding.name](film, thorax, finding, np.random.default_rng(finding.seed))


def _effusion(film: Film, thorax: Thorax, finding: Finding, rng: np.random.Generator) -> None:
    side = SIDES[finding.side]
    x, y = film.canvas.grid
    half, low = thorax.patient.half_width, float(thorax.diaphragm(side, thorax.patient.half_width))
    ranges = {"small": (0.115, 0.145), "moderate": (0.19, 0.24), "large": (0.31, 0.40)}
    depth = rng.uniform(*ranges[finding.size])
    across = np.clip(side * (x - 0.5) / half, 0, 1.1)
    # The film sees the fluid's film along the chest wall end-on, so its upper border climbs sideways.
    level = low - depth + 0.085 * (1 - across**2.2) * (1.25 if finding.size == "small" else 0.8)
    fluid = _sigmoid((y - level) / (0.010 if finding.size == "small" else 0.014))
    pleura = film.canvas.fill(thorax.lung(side), blur=0.002)
    film.mark(finding.label, fluid * pleura, 0.45)
    film.cloud_over(fluid * (side * (x - 0.5) > 0), 0.97)
    film.density += 0.05 * fluid * pleura


def _pneumothorax(film: Film, thorax: Thorax, finding: Finding, rng: np.random.Generator) -> None:
    side = SIDES[finding.side]
    whole = thorax.lung(side)
    apical, lateral = {"small": (0.07, 0.028), "moderate": (0.12, 0.06), "large": (0.19, 0.13)}[finding.size]
    apical, lateral = apical * rng.uniform(0.9, 1.15), lateral * rng.uniform(0.9, 1.15)
    distance, height = side * (whole[:, 0] - 0.5), whole[:, 1]
    floor = thorax.dome(side)
    share = np.clip((floor + 0.02 - height) / (floor - thorax.patient.apex), 0, 1)
    root = np.clip((distance - 0.06) / 0.2, 0, 1)
    fade = share**0.5 if finding.size != "small" else np.clip(share * 1.5 - 0.45, 0, 1)
    collapsed = np.stack(
        [whole[:, 0] - side * lateral * fade * root, height + apical * share**3 * (0.4 + 0.6 * root)], axis=1
    )
    lung = film.canvas.fill(collapsed)
    pleural_air = np.clip(film.canvas.fill(whole) - lung, 0, 1)
    film.vessels *= 1 - pleural_air
    film.air *= 1 - 0.10 * lung * (1.0 if finding.size == "small" else 1.8)
    film.air += 0.13 * pleural_air * film.air
    free = (share > 0.04) & (distance > 0.07)
    film.density += 0.12 * film.canvas.draw([Stroke(collapsed[free], 0.0065, 1.0)], blur=0.0012)
    film.mark(finding.label, film.canvas.blurred(pleural_air, 0.003), 0.5)


def _cardiomegaly(film: Film, thorax: Thorax, finding: Finding, _: np.random.Generator) -> None:
    film.mark(finding.label, film.canvas.fill(thorax.heart), 0.5)


def _nodule(film: Film, thorax: Thorax, finding: Finding, rng: np.random.Generator) -> None:
    side, zone = SIDES[finding.side], finding.place.partition("-")[2]
    radius = 0.5 * finding.centimetres / FRAME_CM
    top, floor = thorax.patient.apex, thorax.dome(side)
    shares = {"upper": (0.16, 0.27), "mid": (0.44, 0.56), "lower": (0.74, 0.86)}[zone]
    y = top + rng.uniform(*shares) * (floor - top)
    heart = side * (thorax.heart[:, 0] - 0.5)
    near = np.abs(thorax.heart[:, 1] - y) < 0.06
    inner = max(0.09, float(heart[near].max()) if near.any() else 0.0) + radius * 0.6
    outer = float(thorax.wall(y)) - radius * 0.9 - 0.015
    x = 0.5 + side * (rng.uniform(inner, outer) if inner < outer else outer)
    turn = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    wobble = sum(rng.normal(0, 0.05) * np.cos(k * turn + rng.uniform(0, 6.3)) for k in (2, 3, 5))
    reach = radius * (1 + wobble)
    outline = np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], axis=1)
    shadow = film.canvas.fill(outline, blur=0.0045)
    film.mark(finding.label, shadow, 0.4)
    film.cloud_over(shadow, 0.5)
    film.density += 0.05 * shadow


def _consolidation(film: Film, thorax: Thorax, finding: Finding, rng: np.random.Generator) -> None:
    side = SIDES[finding.side]
    region = film.canvas.fill(_lobe(thorax, finding.place, rng), blur=0.012)
    inside = film.canvas.fill(thorax.lung(side), blur=0.002)
    patches = _sigmoid(film.canvas.clouds(rng, 14) * 0.9 + film.canvas.clouds(rng, 34) * 0.9 + 0.9)
    opacity = region * inside * (0.42 + 0.58 * patches)
    film.mark(finding.label, region * inside, 0.5)
    bronchograms = film.vessels * opacity
    film.cloud_over(opacity, 0.80)
    film.vessels *= 1 - opacity
    film.density += 0.03 * opacity - 0.10 * bronchograms


def _lobe(thorax: Thorax, lobe: str, rng: np.random.Generator) -> Points:
    """Outlines the consolidated part of a lobe, which reaches beyond the lung where the lung is the border."""
    side = SIDES[lobe.partition("-")[0]]
    top, floor, half = thorax.patient.apex, thorax.dome(side), thorax.patient.half_width
    fissure = top + 0.50 * (floor - top)
    a, b = rng.uniform(-0.02, 0.02, 2)
    knots = {
        "right-upper": [(0.04, top + 0.06), (0.2, top + 0.0), (half, top + 0.12), (half + 0.02, fissure + a * 0.3),
                        (0.2, fissure - 0.012), (0.06, fissure - 0.015)],
        "right-middle": [(0.05, fissure + 0.02), (0.16, fissure + 0.012), (0.27 + a, fissure + 0.035),
                         (0.22, fissure + 0.15), (0.12, floor - 0.005 + b), (0.05, floor)],
        "right-lower": [(0.15, fissure + 0.17 + a), (0.25, fissure + 0.13 + b), (half - 0.05, fissure + 0.17),
                        (half - 0.04, floor + 0.02), (0.2, floor + 0.06), (0.12, floor + 0.04)],
        "left-upper": [(0.05, top + 0.08), (0.17, top + 0.01), (half - 0.03, top + 0.13), (half - 0.02, fissure + a),
                       (0.22, fissure + 0.03 + b), (0.07, fissure - 0.02)],
        "left-lower": [(0.04, fissure + 0.11), (0.14, fissure + 0.12 + a), (0.24 + b, fissure + 0.17),
                       (half - 0.06, floor - 0.02), (0.26, floor + 0.06), (0.04, floor + 0.05)],
    }[lobe]  # fmt: skip
    curve = smooth_curve(knots, closed=True)
    return np.stack([0.5 + side * curve[:, 0], curve[:, 1]], axis=1)


def _oedema(film: Film, thorax: Thorax, finding: Finding, rng: np.random.Generator) -> None:
    grade = GRADES[finding.size]
    x, y = film.canvas.grid
    lines: list[Stroke] = []
    for side in (-1, 1):
        lung = film.canvas.fill(thorax.lung(side))
        centre_x, centre_y = thorax.hilum(side)
        reach = ((x - centre_x - side * 0.05) / 0.13) ** 2 + ((y - centre_y - 0.02) / 0.2) ** 2
        film.cloud_over(np.exp(-reach).astype(np.float32) * lung, 0.42 * grade)
        for _ in range(7):
            height = rng.uniform(0.56, thorax.dome(side) + 0.05)
            outer = float(thorax.wall(height)) - 0.004
            ends = np.array([(outer, height), (outer - rng.uniform(0.03, 0.05), height + rng.normal(0, 0.004))])
            lines.append(Stroke(np.stack([0.5 + side * ends[:, 0], ends[:, 1]], axis=1), 0.0045, 1.0))
        lines += _septa(rng, thorax, side)
        film.mark(finding.label, lung * (np.abs(x - 0.5) > 0.07), 0.5)
    film.density += 0.095 * grade * film.canvas.draw(lines, blur=0.0014)
    mesh = np.clip(film.canvas.clouds(rng, 60), 0, 2)
    film.density += 0.036 * grade * mesh * film.air
    # Fluid around the vessels blurs and widens them.
    film.vessels = 0.45 * film.vessels + (0.9 + 0.5 * grade) * film.canvas.blurred(np.clip(film.vessels, 0, 1), 0.006)


def _septa(rng: np.random.Generator, thorax: Thorax, side: int) -> list[Stroke]:
    """Kerley A lines: long and straight, from the hilum outwards."""
    centre_x, centre_y = thorax.hilum(side)
    strokes = []
    for angle in rng.uniform(-1.1, 0.9, 7):
        start, length = rng.uniform(0.06, 0.1), rng.uniform(0.05, 0.09)
        way = np.array([start, start + length])[:, None] * np.array([[side * np.cos(angle), np.sin(angle)]])
        strokes.append(Stroke(np.array([[centre_x, centre_y]]) + way, 0.004, 0.8))
    return strokes


def _atelectasis(film: Film, thorax: Thorax, finding: Finding, rng: np.random.Generator) -> None:
    side = SIDES[finding.side]
    floor = thorax.dome(side)
    bands: list[Stroke] = []
    for number in range(int(rng.integers(2, 4))):
        y = floor - 0.035 - 0.042 * number + rng.uniform(-0.006, 0.006)
        inner, outer = rng.uniform(0.10, 0.14), rng.uniform(0.27, 0.33)
        tilt = rng.uniform(-0.03, 0.035)
        knots = [(inner, y - tilt / 2), (0.5 * (inner + outer), y - 0.008), (outer, y + tilt / 2)]
        curve = smooth_curve(knots)
        points_N2 = np.stack([0.5 + side * curve[:, 0], curve[:, 1]], axis=1)
        bands.append(Stroke(points_N2, rng.uniform(0.011, 0.018), 1.0))
    inside = film.canvas.fill(thorax.lung(side), blur=0.002)
    opacity = film.canvas.draw(bands, blur=0.0028) * inside
    film.mark(finding.label, opacity, 0.35)
    film.cloud_over(opacity, 0.52)
    x, y_grid = film.canvas.grid
    crowding = _sigmoid((y_grid - floor + 0.05) / 0.02) * inside * (side * (x - 0.5) > 0.05)
    film.cloud_over(crowding, 0.22)


def _pacemaker(film: Film, thorax: Thorax, finding: Finding, rng: np.random.Generator) -> None:
    # A device is put in on the left nine times in ten: most people write with the other hand.
    side = 1 if rng.random() < 0.9 else -1
    x, y = 0.5 + side * rng.uniform(0.23, 0.28), rng.uniform(0.215, 0.27)
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    wide, high = rng.uniform(0.040, 0.050), rng.uniform(0.036, 0.044)
    corner = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.6, np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.6
    can = np.stack([x + wide * corner[0], y + high * corner[1]], axis=1)
    generator = film.canvas.fill(can, blur=0.0012)
    film.density += rng.uniform(0.26, 0.42) * generator
    film.density += 0.10 * film.canvas.fill(can[:16] * 0.5 + np.array([[x, y]]) * 0.5)
    film.mark(finding.label, generator, 0.5)
    start, entry = (x - side * wide * 0.6, y - high), (0.5 + side * 0.13, 0.145)
    floor = thorax.dome(1)
    tips = [(0.5 + 0.55 * thorax.ratio * thorax.patient.half_width, floor - 0.02)]
    if finding.kind == "dual-lead":
        tips.append((0.5 - 0.045, 0.50))
    leads = []
    for number, tip in enumerate(tips):
        way = [
            start,
            (x, y - high - 0.03 - 0.006 * number),
            entry,
            (0.5 + side * 0.03, 0.2),
            (0.462, 0.3),
            (0.455, 0.45),
        ]
        below = [(0.485, floor - 0.06), tip] if number == 0 else [(0.45, 0.535), tip]
        leads.append(Stroke(smooth_curve([*way, *below]), 0.0055, 0.85))
        leads.append(Stroke(np.array([below[0], tip])[-1:] + np.array([[-0.008, 0.0], [0.0, 0.0]]), 0.011, 1.0))
    film.density += 0.18 * film.canvas.draw(leads, blur=0.0008)


def _line(film: Film, _: Thorax, finding: Finding, rng: np.random.Generator) -> None:
    tip = (0.462 + rng.uniform(-0.006, 0.004), rng.uniform(0.36, 0.43))
    ways = {
        "right internal jugular": [(0.425, -0.04), (0.432, 0.06), (0.448, 0.16), (0.458, 0.26)],
        "left internal jugular": [(0.575, -0.04), (0.572, 0.06), (0.56, 0.14), (0.51, 0.205), (0.465, 0.27)],
        "right subclavian": [(0.19, 0.27), (0.22, 0.2), (0.3, 0.155), (0.4, 0.16), (0.452, 0.22), (0.458, 0.29)],
        "left subclavian": [(0.81, 0.27), (0.78, 0.2), (0.7, 0.155), (0.6, 0.155), (0.52, 0.2), (0.466, 0.27)],
    }
    curve = smooth_curve([*ways[finding.kind], tip])
    catheter = film.canvas.draw([Stroke(curve, 0.009, 1.0)], blur=0.001)
    core = film.canvas.draw([Stroke(curve, 0.003, 1.0)])
    film.density += 0.27 * catheter - 0.05 * core
    # Boxes around its parts are tighter than one around the whole bow.
    parts = np.array_split(np.arange(len(curve)), 3)
    for part in parts:
        piece = film.canvas.draw([Stroke(curve[part[0] : part[-1] + 2], 0.0085, 1.0)])
        film.mark(finding.label, piece, 0.4)


def _sigmoid(values: Points | Layer) -> Layer:
    return np.asarray(1 / (1 + np.exp(np.clip(np.negative(values), -30, 30))), dtype=np.float32)


_SHOWS: dict[str, Callable[[Film, Thorax, Finding, np.random.Generator], None]] = {
    "pleural_effusion": _effusion,
    "pneumothorax": _pneumothorax,
    "cardiomegaly": _cardiomegaly,
    "nodule": _nodule,
    "consolidation": _consolidation,
    "interstitial_oedema": _oedema,
    "atelectasis": _atelectasis,
    "pacemaker": _pacemaker,
    "line": _line,
}
