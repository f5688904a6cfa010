"""An export whose answers differ from film to film and from question to question."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cxr_lightning.export.package import export
from cxr_lightning.serve.films import open_film


@pytest.fixture(scope="session")
def model(runs, tmp_path_factory) -> Path:
    """An exported folder, its weights stirred: six steps teach to say full stop, whatever is shown."""
    folder = tmp_path_factory.mktemp("served") / "tiny-cxr"
    export(runs["stage2"], out=folder)
    stir(folder)
    return folder


def stir(folder: Path, seed: int = 0) -> None:
    weights = folder / "model.safetensors"
    random = torch.Generator().manual_seed(seed)
    state = load_file(weights)
    for name, tensor in state.items():
        if tensor.ndim == 2:
            noise = torch.randn(tensor.shape, generator=random) / tensor.shape[1] ** 0.5
            state[name] = (tensor + noise * (4 if "projector" in name else 1)).to(tensor.dtype)
    save_file(state, weights, metadata={"format": "pt"})


@pytest.fixture(scope="session")
def films(phantoms):
    """Films of several sizes and shapes."""
    drawn = [open_film(path) for path in sorted((phantoms / "images").glob("*.png"))[:4]]
    return [drawn[0], drawn[1][:40, :], np.kron(drawn[2], np.ones((5, 5), np.uint8)), drawn[3][:, 20:]]
