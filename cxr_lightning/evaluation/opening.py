"""One word names what is evaluated: an export, a run, any vision-language model as a baseline, or a server's URL.

A run is scored as it stands, adapters on, in the numbers it trained in; an export as whoever serves it loads it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_lightning.checkpoint.runs import open_run
from cxr_lightning.serve.folder import NotAnExportError, fingerprint_of, require_export
from cxr_lightning.serve.opening import is_url


@dataclass(frozen=True)
class Model:
    """What is evaluated.

    Attributes:
        word: What the user wrote.
        folder: The export, the baseline's folder, or the run; None behind a URL.
        checkpoint: The run's checkpoint; None where it is no run.
        fingerprint: Twelve digits that differ between two models; behind a URL what the server calls its model.
        shown: What to show of a URL: no password.
    """

    word: str
    folder: Path | None
    checkpoint: Path | None
    fingerprint: str
    shown: str = ""

    @property
    def name(self) -> str:
        """What to show."""
        if self.folder is None:
            return f"{self.fingerprint} at {self.shown}"
        name = self.folder.resolve().name
        return name if self.checkpoint is None else f"{name}/{self.checkpoint.name}"


def find_model(word: str, *, served_model: str | None = None, api_key: str | None = None, direct: bool = True) -> Model:
    """Finds what a word names, and looks at its files, or asks the server what it serves; nothing large is loaded.

    Args:
        word: A folder that `cxr export` wrote, a run directory or one of its checkpoints, the folder or hub name of a
            vision-language model, or a URL.
        served_model: Which of a server's models; None takes the only one.
        api_key: What a server asks for; None takes CXR_API_KEY.
        direct: Whether a server is never asked by way of a proxy that the environment names.

    Raises:
        NotAnExportError: It is none of these, or is not complete.
        ServerError: There is no such server.
    """
    if is_url(word):
        from cxr_lightning.serve.remote import Remote

        remote = Remote(word, model=served_model, api_key=api_key, direct=direct)
        remote.close()
        return Model(word, None, None, remote.name, remote.shown)
    path = Path(word)
    if (path / "run.json").is_file() or path.parent.name == "checkpoints":
        run = open_run(path)
        checkpoint = run.checkpoint()
        digest = hashlib.sha256((checkpoint / "manifest.json").read_bytes()).hexdigest()[:12]
        return Model(word, run.folder, checkpoint, digest)
    if not path.exists():
        path = _from_hub(word)
    require_export(path)
    return Model(word, path, None, fingerprint_of(path))


def load(model: Model, device: str | None = None) -> Any:
    """Loads a model that lies in a folder, ready to answer.

    Args:
        model: The model.
        device: Where to compute; None takes a GPU if there is one.

    Returns:
        A `serve.local.Local`: in bfloat16 on a GPU, in float32 elsewhere, where half precision is slow and inexact.
    """
    import torch

    from cxr_lightning.serve.local import Local

    assert model.folder is not None
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if place.startswith("cuda") else torch.float32
    if model.checkpoint is None:
        return Local(model.folder, place, dtype)
    from cxr_lightning.export.trained import learn, load_base

    run = open_run(model.checkpoint)
    trained = learn(load_base(run), model.checkpoint)
    size = run.provenance["data"]["image_size"]
    module = trained.module.to(dtype)
    return Local.around(module, trained.processor, name=model.name, image_size=size, device=place)


def _from_hub(word: str) -> Path:
    """Returns the folder of a model of the hub, fetched if it is not on this machine yet."""
    parts = word.split("/")
    if len(parts) != 2 or not all(parts) or word.startswith((".", "~")) or Path(parts[0]).exists():
        raise NotAnExportError(
            f"{word}: there is no such folder. Remedy: name an export, a run, a model as ORGANISATION/NAME, or a URL."
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(word, allow_patterns=["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]))
    except (OSError, ValueError) as error:  # what the hub raises is one of these, offline or unknown
        told = f"{type(error).__name__}"
        raise NotAnExportError(
            f"{word}: there is no such folder, and no such model could be fetched ({told}). Remedy: fetch it first "
            "(hf download), or name a folder."
        ) from error
