"""Runs in the process, and perhaps the environment, of the `radeval` package: texts come in by stdin, numbers leave.

    python -P radeval_worker.py FILE < QUESTION

QUESTION is JSON, [score, references, answers]. FILE becomes JSON: {"found": ...} or {"error": "..."}. It imports
nothing of this project, since the environment need not have it, and no text leaves it.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

NAMES = {"radgraph": "radgraph", "radcliq": "radcliq", "ratescore": "ratescore", "green": "green"}
KEYS = {"radgraph": "radgraph_partial", "radcliq": "radcliq_v1"}
"""Of the numbers that a score has, the one that papers mean by its name."""
_SHORTEST = 3
NOTHING = "None."
"""Stands for a text of fewer than three letters: RaTEScore drops such texts, and every pair behind one is another's."""


def prepare() -> None:
    """Imports the package so that it stays off the network.

    Raises:
        ImportError: It is not there.
    """

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("no network while scoring")

    socket.getaddrinfo = refuse
    try:
        import nltk

        nltk.download = lambda *_, **__: False  # the package calls it as it is imported, for a score not used here
    except ImportError:
        pass
    import radeval

    # radeval 2.2.1 imports RadGraph's parts by the name the package had before; on Linux that is another one.
    sys.modules.setdefault("RadEval", radeval)


def compute(score: str, references: list[str], answers: list[str]) -> Any:
    """Computes one score.

    Args:
        score: Its name.
        references: What was to be said.
        answers: What was said.

    Returns:
        A number a study, or for chexbert the labels of both sides.

    Raises:
        ValueError: The package left a study out.
    """
    prepare()
    if score == "chexbert":
        import torch
        from radeval.metrics.f1chexbert.f1chexbert import F1CheXbert

        labeler = F1CheXbert(device="cuda" if torch.cuda.is_available() else "cpu")
        return {"references": labeler.get_labels(references), "answers": labeler.get_labels(answers)}
    from radeval import RadEval

    if score == "ratescore":
        references, answers = (
            [text if len(text.strip()) >= _SHORTEST else NOTHING for text in side] for side in (references, answers)
        )
    found = RadEval(metrics=[NAMES[score]], per_sample=True, show_progress=False)(refs=references, hyps=answers)
    scores = [float(number) for number in found[KEYS.get(score, score)]]
    if len(scores) != len(answers):
        raise ValueError(f"the package gave {len(scores)} scores for {len(answers)} pairs")
    return scores


def main() -> None:
    """Answers the question of stdin."""
    score, references, answers = json.load(sys.stdin)
    try:
        said = {"found": compute(score, references, answers)}
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"}
    Path(sys.argv[1]).write_text(json.dumps(said))


if __name__ == "__main__":
    main()
