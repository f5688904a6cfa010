"""RadGraph-F1, CheXbert-F1, RadCliQ, RaTEScore and GREEN, through the `radeval` package and weights on disk.

Enters a folder of weights; leaves scores. The package runs in a process of its own: it changes settings of the
interpreter that imports it, asks the network for data as it is imported, and for RaTEScore pins packages of another
age, so it may live in another environment. Nothing is downloaded: the process cannot look up an address.

The folder is laid out as the package and the Hugging Face Hub have their caches; what is missing in it is told with the
commands that fetch it, to be run where there is a network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.scoring.bootstrap import Sums, ratio_of_sums
from cxr_lightning.scoring.labels import HIT, INVENTED, MISSED, micro_f1
from cxr_lightning.scoring.scorer import Scorer, Texts

_WORKER = Path(__file__).with_name("radeval_worker.py")
_HUB, _CHEXBERT, _RADGRAPH = "hub", "chexbert", "radgraph/0.1.18"
_SCORERS_REPOSITORY = "StanfordAIMI/RRG_scorers"

FIVE = (1, 4, 5, 7, 9)
"""Of CheXbert's 14 labels those that papers report: cardiomegaly, edema, consolidation, atelectasis, effusion."""


class Weight(NamedTuple):
    """A file that a score needs.

    Attributes:
        repository: Where it is on the Hugging Face Hub.
        file: Its name there, or one that a whole repository must have.
        cache: The cache in the folder of weights that holds it.
        whole: Whether all of the repository is needed.
    """

    repository: str
    file: str
    cache: str = _HUB
    whole: bool = True

    def lies_in(self, folder: Path) -> bool:
        """Says whether the file is there.

        Args:
            folder: The folder of weights.
        """
        place = folder / self.cache
        name = self.repository.replace("/", "--")
        unpacked = place / self.file.removesuffix(".tar.gz") / "config.json"
        return any(place.glob(f"models--{name}/snapshots/*/{self.file}")) or (not self.whole and unpacked.is_file())

    def command(self, folder: Path) -> str:
        """Returns the command that fetches it.

        Args:
            folder: The folder of weights.
        """
        file = "" if self.whole else f" {self.file}"
        return f"hf download {self.repository}{file} --cache-dir {folder / self.cache}"


_BERT = Weight("bert-base-uncased", "config.json")
_CHEXBERT_HEADS = Weight(_SCORERS_REPOSITORY, "chexbert.pth", _CHEXBERT, whole=False)
WEIGHTS = {
    "radgraph": (Weight(_SCORERS_REPOSITORY, "radgraph-xl.tar.gz", _RADGRAPH, whole=False),),
    "chexbert": (_CHEXBERT_HEADS, _BERT),
    "radcliq": (
        Weight(_SCORERS_REPOSITORY, "radgraph.tar.gz", _RADGRAPH, whole=False),
        _CHEXBERT_HEADS,
        _BERT,
        Weight("distilroberta-base", "config.json"),
    ),
    "ratescore": (
        Weight("Angelakeke/RaTE-NER-Deberta", "config.json"),
        Weight("FremyCompany/BioLORD-2023-C", "config.json"),
    ),
    "green": (Weight("StanfordAIMI/GREEN-radllama2-7b", "config.json"),),
}
"""What each score needs. RadGraph's archives name an encoder of their own, which belongs in the hub's cache too."""


@dataclass(frozen=True)
class _Process:
    """The package in another process.

    Attributes:
        weights: Folder of weights.
        python: Interpreter that has the package.
        remembered: What it said, by what it was asked: several scores are made of one answer.
    """

    weights: Path
    python: str
    remembered: dict[str, Any]

    def ask(self, metric: str, texts: Texts) -> Any:
        """Returns what the package makes of texts: a number a study, or CheXbert's labels of both sides.

        Raises:
            RuntimeError: The process failed.
        """
        question = json.dumps([metric, list(texts.references), list(texts.answers)])
        key = sha256(question.encode()).hexdigest()
        if key not in self.remembered:
            self.remembered[key] = self._run(metric, question)
        return self.remembered[key]

    def _run(self, metric: str, question: str) -> Any:
        folder = str(self.weights.resolve())
        offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        places = {"HF_HUB_CACHE": f"{folder}/{_HUB}", "XDG_CACHE_HOME": folder}
        with tempfile.TemporaryDirectory() as scratch:  # some of its scores write files where they stand
            found = Path(scratch, "found.json")
            # -P: beside the worker lies this file, which would be imported in the package's place.
            command = [self.python, "-P", str(_WORKER), str(found)]
            environment = {**os.environ, **offline, **places}
            done = subprocess.run(
                command, input=question, text=True, capture_output=True, cwd=scratch, env=environment, check=False
            )
            said = json.loads(found.read_text()) if found.is_file() else {}
        if "found" not in said:
            # Not its stderr: that may hold parts of reports.
            reason = said.get("error", f"its process ended with status {done.returncode}")
            raise RuntimeError(
                f"radeval could not compute {metric!r}: {reason}. Remedy: if a model is not found, fetch it into "
                f"{self.weights / _HUB} (hf download NAME --cache-dir ...); otherwise try it alone in {self.python}."
            )
        return said["found"]


def radeval_scorers(metrics: Sequence[str], weights: Path, *, python: Path | None = None) -> tuple[Scorer, ...]:
    """Makes scores of the `radeval` package.

    Args:
        metrics: Keys of `WEIGHTS`.
        weights: Folder of weights.
        python: Interpreter of an environment that has the package; this one if not given.

    Returns:
        The scores, in the order asked for; chexbert makes four. They compute when asked, in another process.

    Raises:
        ValueError: If there is no such score, weights are missing, or the package is.
    """
    unknown = [metric for metric in metrics if metric not in WEIGHTS]
    if unknown:
        raise ValueError(f"radeval: no score {unknown[0]!r}. Remedy: choose of {', '.join(WEIGHTS)}.")
    missing = dict.fromkeys(weight for metric in metrics for weight in WEIGHTS[metric] if not weight.lies_in(weights))
    if missing:
        commands = "\n".join(f"  {weight.command(weights)}" for weight in missing)
        raise ValueError(
            f"{weights}: lacks weights for {', '.join(metrics)}. Nothing is downloaded while scoring. "
            f"Remedy: fetch them once, where there is a network:\n{commands}"
        )
    interpreter = str(python or sys.executable)
    _require_package(interpreter)
    process = _Process(weights, interpreter, {})
    return tuple(scorer for metric in metrics for scorer in _MAKERS[metric](process))


def _require_package(python: str) -> None:
    find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('radeval') is None)"
    try:
        done = subprocess.run([python, "-c", find], capture_output=True, check=False)
    except OSError as error:
        raise ValueError(f"{python}: is no interpreter of Python ({error.strerror}). Remedy: name one.") from error
    if done.returncode:
        raise ValueError(
            f"{python}: has no package radeval. Remedy: pip install 'cxr-lightning[radeval]', "
            "or install radeval in an environment of its own and name its interpreter."
        )


def _mean_of(metric: str, name: str, title: str, meaning: str) -> Callable[[_Process], tuple[Scorer, ...]]:
    """Makes a score that is a mean over studies."""

    def make(process: _Process) -> tuple[Scorer, ...]:
        def collect(texts: Texts) -> NDArray[np.float64]:
            scores = np.array(process.ask(metric, texts), dtype=np.float64)
            return np.stack([scores, np.ones_like(scores)], axis=1)

        better: Any = "lower" if metric == "radcliq" else "higher"
        return (Scorer(name, title, meaning, "learned", collect, ratio_of_sums, better),)

    return make


def _chexbert(process: _Process) -> tuple[Scorer, ...]:
    """Makes CheXbert-F1 of counts of labels, which add up; the package gives it of a whole set alone."""

    def collect(texts: Texts) -> NDArray[np.int64]:
        labels = process.ask("chexbert", texts)
        true_NL, said_NL = (np.array(labels[side], dtype=np.bool_) for side in ("references", "answers"))
        return np.stack([true_NL & said_NL, ~true_NL & said_NL, true_NL & ~said_NL], axis=-1).astype(np.int64)

    sets = (("chexbert", "all 14 labels", slice(None)), ("chexbert_5", "the five usual labels", list(FIVE)))
    kinds = (("micro", micro_f1), ("macro", _macro_of_all))
    return tuple(
        Scorer(
            f"{name}_{kind}_f1",
            f"CheXbert {'5, ' if '5' in name else ''}{kind} F1",
            f"{meaning} as CheXbert reads them",
            "learned",
            collect,
            lambda sums, some=some, score=score: score(sums[:, some]),  # type: ignore[misc]
        )
        for name, meaning, some in sets
        for kind, score in kinds
    )


def _macro_of_all(sums: Sums) -> NDArray[np.float64]:
    """Takes the mean F1 of all labels, 0 for one that never is there nor said, as scikit-learn and the package do."""
    total_DL = 2 * sums[..., HIT] + sums[..., INVENTED] + sums[..., MISSED]
    return np.asarray((2 * sums[..., HIT] / np.maximum(total_DL, 1)).mean(axis=1))


_MAKERS = {
    "radgraph": _mean_of("radgraph", "radgraph_f1", "RadGraph-F1", "shared entities, by whether they have relations"),
    "chexbert": _chexbert,
    "radcliq": _mean_of(
        "radcliq", "radcliq_v1", "RadCliQ-v1", "errors that a radiologist would count; lower is better"
    ),
    "ratescore": _mean_of("ratescore", "ratescore", "RaTEScore", "alike medical entities, negation heeded"),
    "green": _mean_of("green", "green", "GREEN", "matched findings by errors, as a language model counts them"),
}
