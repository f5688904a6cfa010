"""Drawn chest radiographs with reports and known findings, to train, test and debug without patient data."""

from __future__ import annotations

from cxr_lightning.phantoms.archive import draw
from cxr_lightning.phantoms.phantom import Phantom, draw_study

__all__ = ["Phantom", "draw", "draw_study"]
