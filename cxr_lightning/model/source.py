"""Where a model comes from: two parts to be joined, a complete vision-language model, or a language model alone.

The same value stands in the YAML, in a run's provenance and in an export's model card, so that whoever has the run
can build the very same frozen base again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

ProjectorKind = Literal["linear", "mlp"]
SelectStrategy = Literal["default", "full"]
Quantization = Literal["nf4"]


class ModelSourceError(ValueError):
    """The description of the model does not say which model to build."""


@dataclass(frozen=True)
class ModelSource:
    """Name either `base` (a complete VLM), or `vision` and `language` (parts to be joined), or `language` for stage 0.

    Attributes:
        base: Folder or hub name of a complete image-text-to-text model (LLaVA, Qwen-VL, Gemma 3, an export of ours).
        vision: Folder or hub name of a vision tower (CLIP, SigLIP, DINOv2, ViT, Swin); of a CLIP pair the vision half
            is taken. Or the folder or `pytorch_model.bin` of a MedCLIP-ViT as it is published.
        language: Folder, hub name, or `.gguf` file of a causal language model.
        projector: `linear` is one matrix (XrayGPT), `mlp` two with GELU between (LLaVA 1.5).
        vision_layer: Which of the tower's hidden states the projector reads; None takes the family's custom.
        select: `default` drops the tower's first token (CLS), `full` keeps all; None takes what the family needs.
        chat_template: File with a Jinja chat template to use instead of the language model's own.
        quantize: `nf4` holds the frozen language model's matrices in four bits (QLoRA). Alone, it says how stage 2
            holds the base of the run that it begins with.
        seed: Seeds what is newly made: the projector's weights and the embedding of `<image>`.
    """

    base: str | None = None
    vision: str | None = None
    language: str | None = None
    projector: ProjectorKind = "linear"
    vision_layer: int | None = None
    select: SelectStrategy | None = None
    chat_template: str | None = None
    quantize: Quantization | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("base", "vision", "language"):  # `--model.source.vision null` arrives as text
            if getattr(self, name) in ("None", "null", ""):
                object.__setattr__(self, name, None)
        some = self.vision is not None or self.language is not None
        if self.base is not None and some:
            raise ModelSourceError(
                f"Both a complete model (base={self.base}) and parts (vision={self.vision}, language={self.language}) "
                "are named. Remedy: keep --model.source.base, or keep --model.source.vision with "
                "--model.source.language."
            )
        if self.base is None and self.language is None and (some or self.quantize is None):
            raise ModelSourceError(
                f"The model is not fully named (base={self.base}, vision={self.vision}, language={self.language}). "
                "Remedy: set --model.source.vision and --model.source.language to join two parts, or "
                "--model.source.base for a complete VLM."
            )

    @property
    def composed(self) -> bool:
        """Whether two parts are joined by a projector that starts untrained."""
        return self.vision is not None

    @property
    def text_only(self) -> bool:
        """Whether it is a language model alone."""
        return self.base is None and self.vision is None and self.language is not None

    @property
    def named(self) -> bool:
        """Whether it says which model, and not only how to hold it."""
        return self.base is not None or self.language is not None

    def to_json(self) -> dict[str, Any]:
        """Returns the description as it stands in `run.json`, local folders made absolute."""
        values = asdict(self)
        for name in ("base", "vision", "language", "chat_template"):
            value = values[name]
            if value is not None and Path(value).exists():
                values[name] = str(Path(value).resolve())
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ModelSource:
        """Reads back what `to_json` wrote."""
        return cls(**values)
