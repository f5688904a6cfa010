"""The LightningDataModule: which shards, how many samples a step, and from which step on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from torch.utils.data import DataLoader

from cxr_lightning.shards.index import ShardIndex, read_index, verify
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.stream.encode import Encoder
from cxr_lightning.stream.loader import Place, TrainLoader, train_loader, validate_loader
from cxr_lightning.stream.order import Order, accumulation
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.rows import Batch, Layout
from cxr_lightning.study import Split


class OtherShardsError(ValueError):
    """A run is resumed on shards, or with a batch size or seed, that would change which samples come next."""


class ShardDataModule(pl.LightningDataModule):
    """Batches from indexed WebDataset shards.

    Args:
        shards: Folder with `index.json` and the tars.
        global_batch: Samples an optimizer step sees over all ranks and accumulation; the number of ranks never changes
            it.
        micro_batch: Samples a rank computes at once.
        epochs: Passes over the training split; may be a fraction.
        layout: `packed` lays samples end to end in a row, `padded` one a row; `auto` packs where the family can.
        max_tokens: Longest sample in tokens, image tokens included; longer answers are cut and counted.
        validate_samples: How many samples of the validation split each validation uses.
        validate_split: Name of the validation split.
        workers: Worker processes a rank.
        prefetch: Optimizer steps that each worker holds ready.
        seed: Seed of the order.
    """

    def __init__(
        self,
        shards: str,
        global_batch: int = 128,
        micro_batch: int = 16,
        epochs: float = 1.0,
        layout: Layout | str = "auto",
        max_tokens: int = 1024,
        validate_samples: int = 512,
        validate_split: Split = "validate",
        workers: int = 2,
        prefetch: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if layout not in ("auto", "packed", "padded"):
            raise ValueError(f"--data.layout={layout} is not known. Remedy: choose auto, packed or padded.")
        self.shards, self.global_batch, self.micro_batch, self.epochs = Path(shards), global_batch, micro_batch, epochs
        self.layout_wish, self.max_tokens, self.seed = layout, max_tokens, seed
        self.validate_samples, self.validate_split = validate_samples, validate_split
        self.workers, self.prefetch = workers, prefetch
        self.index: ShardIndex = read_index(self.shards)
        verify(self.index, digests=False)  # presence and size now; each sample's checksum when it is read
        self.order = Order(len(self.index.split("train")), global_batch, seed)
        self.first_step = 0
        self._encoder: Encoder | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training: what the epochs make, or `trainer.max_steps` where that is fewer."""
        steps = self.order.steps(self.epochs)
        limit = -1 if self.trainer is None else self.trainer.max_steps
        return steps if limit < 0 else min(steps, limit)

    @property
    def encoder(self) -> Encoder:
        """The encoder of the model that is trained."""
        assert self._encoder is not None, "setup() has not run"
        return self._encoder

    def setup(self, stage: str) -> None:
        """Takes processor and text kind from the module that is trained."""
        assert self.trainer is not None
        module: Any = self.trainer.lightning_module
        self._encoder = Encoder(module.processor, module.text, self.max_tokens)

    @property
    def layout(self) -> Layout:
        """How samples lie in rows: as wished, or as the model's family allows; known once the model is built."""
        assert self.trainer is not None
        module: Any = self.trainer.lightning_module
        if self.layout_wish == "packed" and not module.packs:
            raise ValueError(
                "--data.layout=packed: samples of this model would see each other in one row. "
                "Remedy: set --data.layout to auto or padded."
            )
        return "packed" if self.layout_wish != "padded" and module.packs else "padded"

    def train_dataloader(self) -> TrainLoader:
        """Returns this rank's training loader, from the step where the run stands."""
        place = self._place()
        return train_loader(
            self.index.split("train"),
            self.encoder,
            self.order,
            place,
            layout=self.layout,
            micro_batch=self.micro_batch,
            accumulation=accumulation(self.global_batch, self.micro_batch, place.ranks),
            first=self.first_step,
            last=self.steps,
            workers=self.workers,
            prefetch=self.prefetch,
        )

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Returns this rank's validation loader; none where the split is empty."""
        split = self.index.split(self.validate_split)
        if not len(split) or self.validate_samples < 1:
            return []
        return validate_loader(
            split,
            self.encoder,
            self._place(),
            layout=self.layout,
            micro_batch=self.micro_batch,
            samples=self.validate_samples,
            workers=min(self.workers, 1),
            prefetch=self.prefetch,
        )

    def first_samples(self, count: int) -> list[RawSample]:
        """Returns the first validation samples, for panels that a person looks at."""
        reader = ShardReader(self.index.split(self.validate_split))
        return [reader[number] for number in range(min(count, len(reader)))]

    def state_dict(self) -> dict[str, Any]:
        """Returns the position: one counter, and what must be the same for it to mean the same."""
        assert self.trainer is not None
        return {"step": self.trainer.global_step, **self._identity()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a saved position.

        Raises:
            OtherShardsError: If shards, global batch or seed are not those of the run.
        """
        for name, now in self._identity().items():
            if state_dict[name] != now:
                raise OtherShardsError(
                    f"The checkpoint was made with {name}={state_dict[name]}, now it is {now}: the stream would go on "
                    "with other samples. Remedy: resume with the same --data.shards, --data.global_batch and "
                    "--data.seed, or start a new run."
                )
        self.first_step = int(state_dict["step"])

    def _identity(self) -> dict[str, Any]:
        return {"shards": self.index.fingerprint, "global_batch": self.global_batch, "seed": self.seed}

    def _place(self) -> Place:
        assert self.trainer is not None
        return Place(self.trainer.global_rank, self.trainer.world_size)
