"""Trains the same model on the same samples with Hugging Face's Trainer, or with TRL's SFTTrainer.

Model, adapters and trainable set are made by the code that ours uses, so all ways begin with the same weights; texts
are rendered by ours as well, so that the same tokens carry the loss. From there on it is theirs: collator, padding,
loss, optimizer.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from PIL import Image
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

sys.path.insert(0, str(Path(__file__).parent))
from asked import parser
from clock import Clock

from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import Role, vlm_family
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable, prepare
from cxr_lightning.reports.conversations import IMAGE_MARK
from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.conversation import render
from cxr_lightning.stream.encode import Encoder, TextKind
from cxr_lightning.stream.reader import ShardReader


class Studies(Dataset):  # type: ignore[type-arg]
    """The samples that ours saw, in its order, as prompt, completion and image.

    Args:
        folder: With shards and order.
        samples: Samples of a step.
        encoder: Knows which turns a stage teaches.
    """

    def __init__(self, folder: Path, samples: int, encoder: Encoder) -> None:
        self.reader = ShardReader(read_index(folder / "shards").split("train"))
        self.encoder = encoder
        numbers = {self.reader[number].key: number for number in range(len(self.reader))}
        steps = json.loads((folder / f"order-{samples}.json").read_text())
        self.numbers = [numbers[key] for step in steps for key in step]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, item: int) -> dict[str, Any]:
        sample = self.reader[self.numbers[item]]
        turns = self.encoder.turns(sample)
        prompt, answer = render(self.encoder.processor, turns)
        shown = list(sample.images.values())[: sum(turn["content"].count(IMAGE_MARK) for turn in turns)]
        images = [Image.open(io.BytesIO(data)).convert("RGB") for data in shown]
        return {"prompt": prompt.text, "completion": answer.text, "images": images}


class Collate:
    """What a plain script does: the processor on whole texts, padded to the longest, and no loss on prompts.

    Args:
        processor: Of the model.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Returns the model's inputs and labels."""
        texts = [row["prompt"] + row["completion"] for row in rows]
        images = [row["images"] for row in rows]
        batch = self.processor(
            images=images, text=texts, padding=True, padding_side="right", return_tensors="pt", add_special_tokens=False
        )
        answers = self.processor.tokenizer([row["completion"] for row in rows], add_special_tokens=False).input_ids
        labels = batch["input_ids"].clone()
        for row, answer in enumerate(answers):
            last = int(batch["attention_mask"][row].sum())
            labels[row, : last - len(answer)] = labels[row, last:] = -100
        return {**batch, "labels": labels}


class Times(TrainerCallback):
    """Tells the clock of each step.

    Args:
        clock: What counts.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        """The model is loaded."""
        self.clock.begin(model)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Is called after each step, with its loss."""
        if "loss" in logs:
            self.clock.step(float(logs["loss"]))


def main() -> None:
    """Trains and answers."""
    asked_for = parser()
    asked_for.add_argument("--trl", choices=("as-it-is", "patched"))
    asked = asked_for.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    source = ModelSource(base=str(asked.base))
    processor = load_processor(source)
    model = load_model(source, processor)
    torch.manual_seed(source.seed)
    loras: dict[Role, Lora] = {"language": Lora(rank=16, alpha=32)} if asked.stage == 2 else {}
    trainable = Trainable(projector="full", language="lora" if loras else "frozen")
    prepare(model, trainable, loras, vlm_family(model.config))
    text: TextKind = "summary" if asked.stage == 1 else "conversation"
    studies = Studies(asked.folder, asked.samples, Encoder(processor, text, max_tokens=1024))
    clock = Clock(asked.warm)
    with tempfile.TemporaryDirectory() as run:
        trainer = _trainer(asked, run, model, processor, studies)
        trainer.add_callback(Times(clock))
        trainer.train()
    clock.answer(asked.samples)


def _trainer(asked: argparse.Namespace, run: str, model: Any, processor: Any, studies: Studies) -> Trainer:
    settings = {
        "output_dir": run, "max_steps": asked.steps, "per_device_train_batch_size": asked.samples,
        "learning_rate": 1e-4, "lr_scheduler_type": "constant", "weight_decay": 0.0, "max_grad_norm": 1.0,
        "gradient_checkpointing": asked.checkpointing, "train_sampling_strategy": "sequential", "use_cpu": True,
        "bf16": False, "logging_steps": 1, "save_strategy": "no", "report_to": [], "disable_tqdm": True,
        "remove_unused_columns": False, "dataloader_num_workers": 0, "dataloader_pin_memory": False,
    }  # fmt: skip
    if asked.trl is None:
        arguments = TrainingArguments(**settings)
        return Trainer(model, arguments, train_dataset=studies, data_collator=Collate(processor))
    import datasets
    import trl
    from trl.trainer import utils

    if asked.trl == "patched":
        # Which positions go through the output matrix; the kernel's own switch, in its own module, stays as it is.
        utils._use_triton = lambda device: True
    arguments = trl.SFTConfig(**settings, max_length=1024, completion_only_loss=True)
    rows = datasets.Dataset.from_dict({"number": list(range(len(studies)))})
    rows.set_transform(lambda some: _columns([studies[number] for number in some["number"]]))
    return trl.SFTTrainer(model, arguments, train_dataset=rows, processing_class=processor)


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


if __name__ == "__main__":
    main()
