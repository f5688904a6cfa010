"""What can be wrong with a phantom: chance goes in, a list of located findings with sizes comes out.

Combinations that a film cannot show apart (fluid over a nodule, collapse behind fluid) are not drawn together, so the
truth beside an image is what a reader could see in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cxr_lightning.phantoms.anatomy import FRAME_CM

Size = Literal["", "small", "moderate", "large", "mild", "marked"]

ZONES = tuple(f"{side}-{zone}" for side in ("right", "left") for zone in ("upper", "mid", "lower"))
LOBES = ("right-upper", "right-middle", "right-lower", "left-upper", "left-lower")

WEIGHTS: dict[str, float] = {
    "pleural_effusion:left": 1.3,
    "pleural_effusion:right": 1.3,
    "pneumothorax:left": 1.0,
    "pneumothorax:right": 1.0,
    "cardiomegaly": 0.9,
    **{f"nodule:{zone}": 0.8 for zone in ZONES},
    **{f"consolidation:{lobe}": 0.9 for lobe in LOBES},
    "interstitial_oedema": 1.4,
    "atelectasis:left": 1.1,
    "atelectasis:right": 1.1,
    "pacemaker": 0.7,
    "line": 1.4,
}
"""How readily each label is chosen, before combinations are refused."""

LABELS = tuple(WEIGHTS)
COUNTS = (0.24, 0.35, 0.29, 0.12)
"""Shares of 1, 2, 3 and 4 findings among studies that are not normal."""
NORMAL_SHARE = 0.30
"""Share of normal studies among patients who have nothing chronic."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One located finding.

    Attributes:
        label: One of `LABELS`.
        size: How large, in a reader's words; empty where readers do not say.
        centimetres: Diameter of a nodule or mass, else 0.
        kind: The device's make or the shadow's name ("dual-lead", "right internal jugular", "mass").
        seed: Seed of what is drawn.
    """

    label: str
    size: Size = ""
    centimetres: float = 0.0
    kind: str = ""
    seed: int = 0

    @property
    def name(self) -> str:
        """The label without its place."""
        return self.label.partition(":")[0]

    @property
    def place(self) -> str:
        """The label's place: a side, zone, lobe, or empty."""
        return self.label.partition(":")[2]

    @property
    def side(self) -> str:
        """The side of the place: "right", "left" or empty."""
        return self.place.partition("-")[0]


def choose(rng: np.random.Generator, chronic: frozenset[str], build: int = 0) -> tuple[Finding, ...]:
    """Chooses what one study shows.

    Args:
        rng: Where chance comes from.
        chronic: Labels that the patient has at every visit.
        build: Seed of what is chronic, so that it looks the same at every visit.

    Returns:
        Findings in the order of `LABELS`; none for a normal study.
    """
    chosen = sorted(chronic)
    if not chosen and rng.random() < NORMAL_SHARE:
        return ()
    wanted = 1 + int(rng.choice(len(COUNTS), p=COUNTS))
    order = rng.choice(
        len(LABELS), size=len(LABELS), replace=False, p=np.array(list(WEIGHTS.values())) / sum(WEIGHTS.values())
    )
    for label in (LABELS[i] for i in order):
        if len(chosen) >= wanted:
            break
        if label not in chosen and not any(_clash(label, other) or _clash(other, label) for other in chosen):
            chosen.append(label)
    lasting = np.random.default_rng(build)
    return tuple(_size(lasting if label in chronic else rng, label) for label in sorted(chosen, key=LABELS.index))


def _clash(label: str, other: str) -> bool:
    """Tells whether a film could not show both labels apart."""
    (name, _, place), (other_name, _, other_place) = label.partition(":"), other.partition(":")
    pair = (name, other_name)
    side, other_side = place.partition("-")[0], other_place.partition("-")[0]
    if pair == ("pneumothorax", "interstitial_oedema") or pair == ("pneumothorax", "pneumothorax"):
        return True
    if (label, other) in {("cardiomegaly", "nodule:left-lower"), ("pacemaker", "nodule:left-upper")}:
        return True
    if not side or side != other_side:
        return False
    if name == "pneumothorax":
        return other_name != "atelectasis"
    if pair == ("nodule", "nodule"):
        return False
    if name in {"consolidation", "nodule"} and name == other_name:
        return True
    if name == "nodule" and other_name == "consolidation":
        return _hides(other_place, place)
    basal = place.endswith(("lower", "middle")) or name in {"pleural_effusion", "atelectasis"}
    return basal and other_name in {"pleural_effusion", "atelectasis"}


def _hides(lobe: str, zone: str) -> bool:
    """Tells whether a consolidated lobe lies over a zone."""
    covered = {"upper": ("upper", "mid"), "middle": ("mid", "lower"), "lower": ("lower",)}
    return zone.partition("-")[2] in covered[lobe.partition("-")[2]]


def _size(rng: np.random.Generator, label: str) -> Finding:
    """Gives a label a size and a kind."""
    seed = int(rng.integers(2**31))
    name = label.partition(":")[0]
    if name in {"pleural_effusion", "pneumothorax"}:
        sizes: tuple[Size, ...] = ("small", "moderate", "large")
        return Finding(label, size=sizes[int(rng.choice(3, p=(0.4, 0.4, 0.2)))], seed=seed)
    if name == "nodule":
        diameter = rng.uniform(0.092, 0.135) if rng.random() < 0.3 else rng.uniform(0.06, 0.082)
        centimetres = round(diameter * FRAME_CM, 1)  # as it is told, so that one told as 3.0 cm is told as a mass
        return Finding(label, centimetres=centimetres, kind="mass" if centimetres >= 3.0 else "nodule", seed=seed)
    if name in {"cardiomegaly", "interstitial_oedema"}:
        grades: tuple[Size, ...] = ("mild", "moderate", "marked")
        return Finding(label, size=grades[int(rng.choice(3, p=(0.35, 0.45, 0.2)))], seed=seed)
    if name == "pacemaker":
        return Finding(label, kind=str(rng.choice(["dual-lead", "single-lead"], p=(0.6, 0.4))), seed=seed)
    if name == "line":
        ways = ["right internal jugular", "left subclavian", "right subclavian", "left internal jugular"]
        return Finding(label, kind=str(rng.choice(ways, p=(0.5, 0.2, 0.2, 0.1))), seed=seed)
    return Finding(label, seed=seed)
