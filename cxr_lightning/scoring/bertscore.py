"""BERTScore: how alike the words of answer and reference are to a language model, each word with its best partner.

Enters a local encoder and texts; leaves one F a study, whose mean over studies is the score (Zhang et al. 2020).
Equal to the bert-score package, without its rescaling and its weights by rarity; torchmetrics 1.9 is not. Its numbers
lie close together, and depend on encoder and layer, which are named with it.

Shapes: B pairs of a batch, K tokens of the reference, C of the answer, H hidden width.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.scoring.bootstrap import ratio_of_sums
from cxr_lightning.scoring.scorer import Scorer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class _Side:
    """One side of a batch.

    Attributes:
        states: Hidden states of unit length, zero where there is padding.
        real: Where there is no padding.
        counted: Where there is neither padding nor a special token: only these are averaged over.
    """

    states: Tensor
    real: Tensor
    counted: Tensor


class BertScore:
    """An encoder that scores pairs of texts."""

    def __init__(self, encoder: Path, *, layer: int | None = None, device: str = "cpu") -> None:
        """Loads an encoder from disk; nothing is fetched.

        Args:
            encoder: Folder of a Hugging Face encoder with its tokenizer.
            layer: Hidden layer to compare, 1 for the first; the last if not given. The authors chose one for each
                encoder by how well it agrees with people: 17 of roberta-large, 9 of bert-base-uncased.
            device: Where to compute.

        Raises:
            ValueError: If the folder holds no encoder, or not that many layers.
        """
        if not (encoder / "config.json").is_file():
            raise ValueError(
                f"{encoder}: holds no config.json, so it is no encoder. "
                "Remedy: name the folder that save_pretrained or a download of the encoder wrote."
            )
        layers = _layers(encoder)
        if layer is not None and layers is not None and not 1 <= layer <= layers:
            raise ValueError(f"{encoder}: has layers 1 to {layers}, not {layer}. Remedy: choose one of them.")
        from transformers import AutoModel, AutoTokenizer

        self.layer = layer
        self.device = device
        self.tokenizer: Any = AutoTokenizer.from_pretrained(encoder, local_files_only=True)
        self.model: Any = AutoModel.from_pretrained(encoder, local_files_only=True).eval().to(device)
        self.longest = _longest(self.tokenizer, self.model.config)

    def score(self, references: Sequence[str], answers: Sequence[str], *, batch: int = 32) -> NDArray[np.float64]:
        """Scores every answer.

        Args:
            references: What was to be said, per study.
            answers: What was said, per study.
            batch: Pairs at once. It does not change the scores beyond rounding.

        Returns:
            F (N), mostly from 0 to 1; 0 where either side is empty.
        """
        import torch

        pairs = list(zip(references, answers, strict=True))
        # Alike lengths side by side, so that little is padded.
        order = sorted(range(len(pairs)), key=lambda at: len(pairs[at][0]) + len(pairs[at][1]))
        scores = np.zeros(len(pairs))
        with torch.inference_mode():
            for start in range(0, len(order), batch):
                some = order[start : start + batch]
                wanted, given = (self._encode([pairs[at][side] for at in some]) for side in (0, 1))
                scores[some] = _f_measure(wanted, given).cpu().numpy()
        return scores

    def _encode(self, texts: Sequence[str]) -> _Side:
        import torch

        inputs = self.tokenizer(
            [_readable(text) for text in texts],
            padding=True,
            truncation=True,
            max_length=self.longest,
            return_tensors="pt",
        ).to(self.device)
        out = self.model(**inputs, output_hidden_states=self.layer is not None)
        states_BTH = out.last_hidden_state if self.layer is None else out.hidden_states[self.layer]
        real_BT = inputs["attention_mask"].bool()
        special = [each for each in (self.tokenizer.cls_token_id, self.tokenizer.sep_token_id) if each is not None]
        ends_BT = torch.isin(inputs["input_ids"], torch.tensor(special, device=self.device))
        states_BTH = torch.nn.functional.normalize(states_BTH.float(), dim=-1) * real_BT[..., None]
        return _Side(states_BTH, real_BT, real_BT & ~ends_BT)


def bertscore(encoder: Path, *, layer: int | None = None, device: str = "cpu", batch: int = 32) -> Scorer:
    """Makes the score of one encoder.

    Args:
        encoder: Folder of a Hugging Face encoder with its tokenizer.
        layer: Hidden layer to compare; the last if not given.
        device: Where to compute.
        batch: Pairs at once.

    Returns:
        The score, named "bertscore"; the encoder is loaded now, so that what is wrong with it is told before anything
        is generated.

    Raises:
        ValueError: If the folder holds no encoder, or not that many layers.
    """
    scorer = BertScore(encoder, layer=layer, device=device)

    def collect(texts: Any) -> NDArray[np.float64]:
        scores = scorer.score(texts.references, texts.answers, batch=batch)
        return np.stack([scores, np.ones_like(scores)], axis=1)

    where = f"{encoder.name}, {'last layer' if layer is None else f'layer {layer}'}"
    return Scorer("bertscore", "BERTScore", f"words alike to {where}", "learned", collect, ratio_of_sums)


def _readable(text: str) -> str:
    """Takes away what no tokenizer reads: spaces around, and halves of characters."""
    return text.strip().encode("utf-8", "replace").decode("utf-8")


def _f_measure(wanted: _Side, given: _Side) -> Tensor:
    """Matches each token with the most alike of the other side, special ones included as in bert-score (B)."""
    import torch

    alike_BCK = given.states @ wanted.states.transpose(1, 2)
    # Padding is alike to nothing: as in bert-score, it takes part with 0.
    precision_B = _mean(alike_BCK.max(dim=2).values, given.counted)
    recall_B = _mean(alike_BCK.max(dim=1).values, wanted.counted)
    f_B = 2 * precision_B * recall_B / (precision_B + recall_B)
    silent_B = ~(given.counted.any(dim=1) & wanted.counted.any(dim=1))
    return torch.nan_to_num(f_B, nan=0.0).masked_fill(silent_B, 0.0)


def _mean(values_BT: Tensor, counted_BT: Tensor) -> Tensor:
    return (values_BT * counted_BT).sum(dim=1) / counted_BT.sum(dim=1).clamp(min=1)


def _layers(encoder: Path) -> int | None:
    """Reads from an encoder's configuration how many layers it has."""
    config = json.loads((encoder / "config.json").read_text())
    return config.get("num_hidden_layers") or config.get("n_layers")


def _longest(tokenizer: Any, config: Any) -> int:
    """Says how many tokens a text may have; RoBERTa's positions begin behind that of padding."""
    positions = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    if "roberta" in getattr(config, "model_type", ""):
        positions -= config.pad_token_id + 1
    return int(min(tokenizer.model_max_length, positions))
