"""What others measured when they trained models of 7 billion parameters on A100s, and what is predicted for it.

`python -m tests.cluster.planning.published` prints the tables of docs/plan.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from cxr_lightning.cluster.planning.example import Extent
from cxr_lightning.cluster.planning.gathering import DEEPSPEED, Limits
from cxr_lightning.cluster.planning.memory import GIB, Case, Estimator, Memory
from cxr_lightning.cluster.planning.outline import Description
from cxr_lightning.cluster.planning.sharing import Sharing
from cxr_lightning.cluster.planning.trace import Loss, our_loss
from cxr_lightning.model.decoder import last_hidden, output_head
from cxr_lightning.model.flops import Work
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable

GB = 10**9
LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000,
    "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip
QWEN = {**LLAMA, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 151936}
"""Qwen-7B is a Llama whose queries, keys and values have biases, as Qwen2 is."""
CLIP = {
    "architectures": ["CLIPVisionModel"], "model_type": "clip_vision_model", "hidden_size": 1024,
    "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14,
    "projection_dim": 768,
}  # fmt: skip
ALONE = Sharing(stage=0, ranks=1)
MFU, PEAK = 0.3, 312e12
"""What `cxr plan` assumes if nothing else is said, of what an A100 can do at most in bfloat16."""


def whole_logits(model: Any, inputs: Any, targets_RL: Tensor) -> Tensor:
    """Returns the loss as transformers computes it: logits of all positions at once, in float32."""
    logits = output_head(model)(last_hidden(model, inputs)).float()
    shifted = logits[..., :-1, :].contiguous()
    return cross_entropy(shifted.flatten(0, -2), targets_RL[..., :-1].reshape(-1), reduction="sum")


@dataclass(frozen=True)
class Program:
    """Who measured, with what.

    Attributes:
        name: Of the program.
        source: Where the figures are.
        config: The language model's config.json.
        vision: The tower's; None for a language model alone.
        gpu: What was measured on.
        unit: Of the figures.
        whole: Whether a figure is of the whole GPU; else of its tensors (`torch.cuda.max_memory_allocated`).
        lora: Of the language model; None for full fine-tuning.
        loss: How the program computes it.
        limits: Its settings for gathering.
        sharing: Its other settings.
    """

    name: str
    source: str
    config: dict[str, Any]
    gpu: str
    unit: int
    whole: bool = False
    vision: dict[str, Any] | None = None
    lora: Lora | None = None
    loss: Loss = whole_logits
    limits: Limits = DEEPSPEED
    sharing: Sharing = ALONE


@dataclass(frozen=True)
class Published:
    """One figure.

    Attributes:
        program: Who measured.
        measured: What, in the program's unit.
        tokens: Of each sample.
        samples: Of a micro-batch.
        again: Whether activations were computed again.
        more: What else the way of sharing was.
        quantize: The frozen weights' type.
        reason: Why the prediction is further off than a quarter, if it is.
    """

    program: Program
    measured: float
    tokens: int
    samples: int = 1
    again: bool = True
    more: tuple[tuple[str, Any], ...] = ()
    quantize: str | None = None
    reason: str = ""

    @property
    def sharing(self) -> Sharing:
        """How ranks shared."""
        return replace(self.program.sharing, **dict(self.more))

    def __str__(self) -> str:
        sharing, lora = self.sharing, self.program.lora
        learns = "full" if lora is None else f"LoRA r{lora.rank}"
        words = [learns, *(["nf4"] if self.quantize else []), f"{self.samples} x {self.tokens}"]
        words += [f"ZeRO-{sharing.stage} on {sharing.ranks}"] if sharing.stage else []
        words += ["checkpointing"] if self.again else []
        words += ["offloaded optimizer"] * sharing.offload_optimizer + ["and weights"] * sharing.offload_parameters
        return ", ".join(words)


LITGPT = Program(
    "LitGPT, Llama 2", "https://github.com/Lightning-AI/litgpt/blob/main/tutorials/resource-tables.md", LLAMA,
    "A100 40 GB", GB, lora=Lora(rank=8, alpha=16, dropout=0.05, targets=("q_proj", "v_proj")), loss=our_loss,
)  # fmt: skip
"""It computes its loss in pieces, too. Its longest sample has 1304 tokens."""
QWEN_LORA = Program(
    "Qwen", "https://github.com/QwenLM/Qwen/blob/main/README.md", QWEN, "A100 80 GB", GB, whole=True,
    lora=Lora(rank=64, alpha=16, targets=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj")),
    sharing=replace(ALONE, accumulation=8),
)  # fmt: skip
QWEN_FULL = replace(
    QWEN_LORA, lora=None, limits=Limits(prefetch=15_099_494, persist=40_960),  # "auto": by the width of the model
    sharing=Sharing(stage=3, ranks=2, accumulation=8, bucket=4096**2, sub_group=10**9, fused=True),
)  # fmt: skip
CHENYAOFO = Program(
    "DeepSpeed 0.14, LLaMA", "https://gist.github.com/chenyaofo/d4cd6a20ab4b95cb3a49491747e2139a", LLAMA,
    "A800 80 GB", GIB, sharing=Sharing(stage=2, ranks=8, accumulation=2, bucket=500_000_000),
)  # fmt: skip
_OPTIMIZER = ("offload_optimizer", True)
_THREE = ("stage", 3)

FIGURES = [
    Published(LITGPT, 21.30, 1304, again=False),
    Published(LITGPT, 29.07, 1304, 2, again=False),
    Published(LITGPT, 14.14, 1304, again=False, quantize="nf4"),
    *(
        Published(QWEN_LORA, measured, tokens)
        for tokens, measured in ((256, 20.1), (512, 20.4), (1024, 21.5), (2048, 23.8), (4096, 29.7), (8192, 36.6))
    ),
    *(Published(QWEN_FULL, both / 2, tokens) for tokens, both in ((256, 139.2), (512, 148.0), (1024, 162.0))),
    Published(CHENYAOFO, 44.8, 4096, 1, again=False),
    Published(CHENYAOFO, 23.5, 4096, 1, reason="weights and an eighth of the optimizer's state alone are 22.0 GiB"),
    Published(CHENYAOFO, 16.9, 4096, 1, more=(_OPTIMIZER,)),
    Published(CHENYAOFO, 38.6, 4096, 4),
    Published(CHENYAOFO, 75.7, 4096, 2, again=False, more=(_THREE,)),
    Published(CHENYAOFO, 20.4, 4096, 2, more=(_THREE,)),
    Published(CHENYAOFO, 39.1, 4096, 8, more=(_THREE,)),
    Published(CHENYAOFO, 9.4, 4096, 2, more=(_THREE, _OPTIMIZER)),
    Published(
        CHENYAOFO, 7.9, 4096, 4, more=(_THREE, _OPTIMIZER, ("offload_parameters", True)),
        reason="the row above took more with half the samples and less offloaded",
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Speed:
    """How fast a training was.

    Attributes:
        program: Who measured.
        measured: Seconds.
        work: What was computed in them.
        gpus: GPUs.
        what: What was measured, in words.
        reason: Why the prediction is further off than a quarter, if it is.
    """

    program: Program
    measured: float
    work: Work
    gpus: int
    what: str
    reason: str = ""


def _rows(rows: int, tokens: int) -> Work:
    return Work(rows * tokens, rows * tokens**2, rows * tokens, 0, 0, 0)


LLAVA = Program(
    "LLaVA-1.5", "https://github.com/haotian-liu/LLaVA/blob/main/README.md", LLAMA, "A100 80 GB", GB, vision=CLIP,
)  # fmt: skip
_CAPTIONS, _TOKENS = 558_000, 600
"""Images with a caption each; an image has 576 tokens, and a caption some 20."""
SPEEDS = [
    *(
        Speed(QWEN_LORA, seconds, _rows(8, tokens), 1, f"a step of 8 x {tokens}, LoRA, checkpointing", reason)
        for tokens, seconds, reason in (
            (256, 1.2, "rows of 256 tokens do not fill a GPU"),
            (512, 1.5, ""), (1024, 2.8, ""), (2048, 5.2, ""), (4096, 10.1, ""), (8192, 21.3, ""),
        )
    ),
    Speed(
        LLAVA, 3.5 * 3600, replace(_rows(_CAPTIONS, _TOKENS), images=_CAPTIONS), 8,
        "stage 1 (projector), 558 thousand captions, checkpointing",
    ),
]  # fmt: skip


class Predictor:
    """Predicts figures; those of one model are followed together.

    Args:
        folder: Where configurations may be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._estimators: dict[Any, Estimator] = {}

    def predict(self, figure: Published) -> Memory:
        """Returns what is predicted to be needed."""
        roles = ("language",) if figure.again else ()
        case = Case(figure.sharing, roles, (Extent(figure.tokens, figure.tokens, 0),) * figure.samples)
        return self._estimator(figure.program, figure.quantize).memories([case])[0]

    def seconds(self, speed: Speed) -> float:
        """Returns how long it is predicted to take."""
        flops = self._estimator(speed.program, None).outline(checkpointing=("language",)).flops.of(speed.work)
        return flops / (speed.gpus * PEAK * MFU)

    def _estimator(self, program: Program, quantize: str | None) -> Estimator:
        key = (id(program), quantize)
        if key not in self._estimators:
            learns = Trainable(projector="frozen", language="lora" if program.lora else "full")
            if program.vision is not None:
                learns = Trainable(projector="full")
            parts = {"language": self._config(program.config), "vision": self._config(program.vision)}
            source = ModelSource(**parts, projector="mlp" if program.vision else "linear", quantize=quantize)
            described = Description(source, learns, learns.loras(program.lora or Lora()), "report")
            self._estimators[key] = Estimator(
                described, dtype=torch.bfloat16, layout="padded", loss=program.loss, limits=program.limits
            )
        return self._estimators[key]

    def _config(self, config: dict[str, Any] | None) -> str | None:
        if config is None:
            return None
        model = self.folder / f"{config['model_type']}-{config.get('vocab_size')}"
        model.mkdir(exist_ok=True)
        (model / "config.json").write_text(json.dumps(config))
        return str(model)


def predicted(figure: Published, predictor: Predictor) -> float:
    """Returns what is predicted, in the unit of the figure and of what it counts."""
    memory = predictor.predict(figure)
    return (memory.total if figure.program.whole else memory.tensors) / figure.program.unit


def sizes(predictor: Predictor) -> Iterator[str]:
    """Yields the rows of the table of memory in docs/plan.md."""
    yield "| measured by | on | training | counted | published | predicted | ratio |"
    yield "|---|---|---|---|---|---|---|"
    for figure in FIGURES:
        program, found = figure.program, predicted(figure, predictor)
        unit, counted = "GB" if program.unit == GB else "GiB", "GPU" if program.whole else "tensors"
        yield (
            f"| {program.name} | {program.gpu} | {figure} | {counted} | "
            f"{figure.measured:.1f} {unit} | {found:.1f} {unit} | {found / figure.measured:.2f} |"
        )


def speeds(predictor: Predictor) -> Iterator[str]:
    """Yields the rows of the table of speeds."""
    yield "| measured by | on | training | published | predicted | ratio |"
    yield "|---|---|---|---|---|---|"
    for speed in SPEEDS:
        program, found = speed.program, predictor.seconds(speed)
        unit, name = (3600, "h") if speed.measured > 3600 else (1, "s")
        gpus = f"{speed.gpus} x {program.gpu}" if speed.gpus > 1 else program.gpu
        yield (
            f"| {program.name} | {gpus} | {speed.what} | {speed.measured / unit:.1f} {name} | "
            f"{found / unit:.1f} {name} | {found / speed.measured:.2f} |"
        )


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        for table in (sizes, speeds):
            for row in table(Predictor(Path(folder))):
                print(row, flush=True)
