"""`cxr describe`: what an exported model says about a radiograph."""

from __future__ import annotations

from pathlib import Path

from cxr_lightning.serve.dialogue import QUESTION, Dialogue


def describe(
    model: str, image: Path, *, question: str = QUESTION, max_new_tokens: int = 256, device: str | None = None
) -> None:
    """Ask an exported model about one radiograph and print its answer.

    The answer is a language model's, not a radiologist's: for research, not for care.

    Args:
        model: Folder that `cxr export` wrote.
        image: The radiograph: PNG, JPEG or DICOM.
        question: What to ask about it.
        max_new_tokens: Longest answer in tokens.
        device: Where to compute, such as cpu or cuda; by default a GPU if there is one.
    """
    from cxr_lightning.serve.films import open_film
    from cxr_lightning.serve.opening import open_responder

    responder = open_responder(model, device=device)
    print(responder.answers([Dialogue.ask(open_film(image), question=question)], max_new_tokens=max_new_tokens)[0])
