"""The LightningDataModule: which shards, how many samples a step, and from which step on."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from cxr_lightning.shards.index import ShardIndex
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.stream.ahead import Ahead
from cxr_lightning.stream.cache import INDEXES, RUNS, RunCache, default_folder
from cxr_lightning.stream.encode import Encoder
from cxr_lightning.stream.features import FeatureFolder, ShardFeatures, files_of
from cxr_lightning.stream.lengths import Lengths, Line, fit_lines
from cxr_lightning.stream.loader import Fetch, Place, TrainLoader, train_loader, validate_loader
from cxr_lightning.stream.mixture import Mixture
from cxr_lightning.stream.order import RUN, WINDOW, Batches, accumulation
from cxr_lightning.stream.pixels import Decode
from cxr_lightning.stream.planning import Plan, plan_within
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.rows import Batch, Layout
from cxr_lightning.stream.sets import ShardSet, ShardSets
from cxr_lightning.stream.skipped import UNUSABLE
from cxr_lightning.stream.staging import Source, Staging
from cxr_lightning.study import Split

log = logging.getLogger(__name__)


class OtherShardsError(ValueError):
    """A run is resumed on shards, or with a batch size or seed, that would change which samples come next."""


class ShardDataModule(pl.LightningDataModule):
    """Batches from indexed WebDataset shards.

    Args:
        shards: Folder or URL with `index.json`; or a list of such, or of `{path, weight}`.
        global_batch: Samples an optimizer step sees over all ranks and accumulation; the number of ranks never changes
            it.
        micro_batch: Samples a rank computes at once: on average where they are packed into rows of equal work.
        row_tokens: Most tokens a rank computes at once, instead of `micro_batch`: the accumulation follows from it.
        epochs: Passes over the training split; may be a fraction.
        decode: `exact` for the pixels of the model's image processor; `scaled` lets JPEG decoding shrink large images.
        layout: `packed` lays samples end to end in a row, `padded` one a row; `auto` packs where the family can.
        max_tokens: Longest sample in tokens, image tokens included; longer answers are cut and counted.
        validate_samples: How many samples of the validation split each validation uses.
        validate_split: Name of the validation split.
        workers: Threads a rank that read ahead; 0 reads when a step asks.
        prefetch: Optimizer steps that each of them may hold ready.
        seed: Seed of the order.
        shuffle_run: Samples that are read together: neighbours in a shard.
        shuffle_window: Samples among which each is put anywhere; a training split that is no larger is permuted whole.
        cache: Folder on the node's disk for shards in remote storage, shared by its ranks; also for a slow file system.
            Without it, remote shards go to the temporary folder.
        cache_gb: Most that it may hold.
        stage_to: Folder on the node's own disk to which shards are copied before training, once a node; `$NAME` stands
            for a variable of each node's environment. Without it, they are read where they lie.
        max_bad: Share of a split's samples that may be unusable before the run stops; 0 stops at the first.
        features: Folder with a frozen vision tower's features (`cxr features`), read instead of images; what lacks in
            it is computed first.
    """

    def __init__(
        self,
        shards: str | list[ShardSet | str],
        global_batch: int = 128,
        micro_batch: int = 16,
        row_tokens: int | None = None,
        epochs: float = 1.0,
        decode: Decode = "exact",
        layout: Layout | str = "auto",
        max_tokens: int = 1024,
        validate_samples: int = 512,
        validate_split: Split = "validate",
        workers: int = 2,
        prefetch: int = 2,
        seed: int = 0,
        shuffle_run: int = RUN,
        shuffle_window: int = WINDOW,
        cache: str | None = None,
        cache_gb: float = 16.0,
        stage_to: str | None = None,
        max_bad: float = 0.001,
        features: str | None = None,
    ) -> None:
        super().__init__()
        if layout not in ("auto", "packed", "padded"):
            raise ValueError(f"--data.layout={layout} is not known. Remedy: choose auto, packed or padded.")
        if not 0 <= max_bad < 1:
            raise ValueError(f"--data.max_bad={max_bad} is no share. Remedy: give 0 or more, and less than 1.")
        self.shards, self.global_batch, self.micro_batch, self.epochs = shards, global_batch, micro_batch, epochs
        self.row_tokens = row_tokens
        self.layout_wish, self.max_tokens, self.seed = layout, max_tokens, seed
        self.decode: Decode = decode
        self.validate_samples, self.validate_split = validate_samples, validate_split
        self.workers, self.prefetch = workers, prefetch
        self.shuffle_run, self.max_bad = shuffle_run, max_bad
        folder = Path(cache) if cache else default_folder()
        self.sets = ShardSets.open(shards, folder / INDEXES)
        self.sets.require_shards(max_bad)
        self.staging = None if stage_to is None else Staging(stage_to)
        needs_cache = self.staging is None and (cache or self.sets.remote)
        self.cache = RunCache(folder / RUNS, int(cache_gb * 1e9)) if needs_cache else None
        self.batches = Batches(self.sets.order(seed, shuffle_run, shuffle_window), global_batch)
        self._require_room(shuffle_window)
        self.first_step = 0
        self.features = None if features is None else FeatureFolder(features)
        self._encoder: Encoder | None = None
        self._plan: Plan | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training: what the epochs make, or `trainer.max_steps` where that is fewer."""
        steps = self.batches.steps(self.epochs)
        limit = -1 if self.trainer is None else self.trainer.max_steps
        return steps if limit < 0 else min(steps, limit)

    @property
    def index(self) -> ShardIndex:
        """The index of the first set."""
        return self.sets.indexes[0]

    @property
    def encoder(self) -> Encoder:
        """The encoder of the model that is trained."""
        assert self._encoder is not None, "setup() has not run"
        return self._encoder

    def setup(self, stage: str) -> None:
        """Takes processor and text kind from the module that is trained."""
        assert self.trainer is not None
        module: Any = self.trainer.lightning_module
        self._encoder = Encoder(module.processor, module.text, self.max_tokens, self.decode)

    @property
    def validates(self) -> bool:
        """Whether there is anything to validate on."""
        return self.validate_samples > 0 and len(self.sets.samples(self.validate_split)) > 0

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

    @property
    def plan(self) -> Plan:
        """How global batches are divided into rows."""
        assert self._plan is not None, "prepare_rows() has not run"
        return self._plan

    def prepare_rows(self, image_work: float = 0.0) -> int:
        """Decides how global batches are divided into rows; once the model is there, and before the engine is.

        Args:
            image_work: What an image costs beside its tokens, in tokens of the language model.

        Returns:
            The accumulation: rows that each rank computes in a step.

        Raises:
            BatchArithmeticError: If global batch, micro-batch and ranks do not divide.
            RowBudgetError: If the token budget cannot be kept.
        """
        assert self.trainer is not None
        place, layout = self._place(), self.layout
        lengths = self._lengths(place.rank)
        stand_in = len(self.encoder.stand_in().ids_L) if self.encoder.sees else 0
        plan = Plan(lengths, layout, place.ranks, 1, image_work, stand_in)
        if self.row_tokens is None:
            rows = accumulation(self.global_batch, self.micro_batch, place.ranks)
            self._plan = replace(plan, accumulation=rows)
        else:
            self._plan = plan_within(self.row_tokens, plan, self.batches, self.steps)
        return self._plan.accumulation

    def _lengths(self, rank: int) -> Lengths:
        """Estimates on rank 0 for all: storage that fails one rank for a moment must not give it another plan."""
        assert self.trainer is not None
        samples = self.sets.samples("train")
        found: tuple[Line, ...] = ()
        failure: Exception | None = None
        if rank == 0:
            reader = ShardReader(samples)  # without the cache, which would fetch whole runs for one sample each
            try:
                found = fit_lines(samples, lambda number: self.encoder(reader[number]).extent)
            except Exception as error:  # whatever it is: the others wait
                failure = error
        # As text: not every error can be unpickled on the other side.
        told = "" if failure is None else f"{type(failure).__name__}: {failure}"
        found, told = self.trainer.strategy.broadcast((found, told))
        if failure is not None:
            raise failure
        if told:
            raise ValueError(f"Rank 0 could not estimate how long samples are ({told}). Remedy: as it says there.")
        return Lengths(samples, found, self.max_tokens)

    def train_dataloader(self) -> TrainLoader:
        """Returns this rank's training loader, from the step where the run stands."""
        return train_loader(
            self._fetch("train"),
            self.batches,
            self.plan,
            self._place().rank,
            first=self.first_step,
            last=self.steps,
            workers=self.workers,
            prefetch=self.prefetch,
        )

    def val_dataloader(self) -> Ahead[int, Batch] | list[Ahead[int, Batch]]:
        """Returns this rank's validation loader; none where the split is empty."""
        if not self.validates:
            return []
        return validate_loader(
            self._fetch(self.validate_split),
            self._place(),
            micro_batch=max(1, self.global_batch // (self.plan.ranks * self.plan.accumulation)),
            samples=self.validate_samples,
            workers=min(self.workers, 1),
            prefetch=self.prefetch,
        )

    def first_samples(self, count: int) -> dict[int, RawSample]:
        """Returns the first usable validation samples by number, for panels that a person looks at."""
        reader = self.reader(self.validate_split)
        found: dict[int, RawSample] = {}
        for number in reader.samples.first(4 * count).tolist():
            try:
                sample = reader[number]
                self.encoder(sample)
            except UNUSABLE:
                continue  # validation counts and names it
            found[number] = sample
            if len(found) == count:
                break
        return found

    def reader(self, split: Split) -> ShardReader:
        """Returns what reads a split's samples by number."""
        return ShardReader(self.sets.samples(split), self.cache, self.shuffle_run)

    def sources(self) -> list[Source]:
        """Returns the shards that are staged: those that training and validation read."""
        return self.sets.sources(self._wanted())

    def read_staged(self) -> None:
        """Reads shards from where they were staged, from now on.

        Raises:
            StagingError: If they are not all there.
        """
        assert self.staging is not None
        self.sets = self.sets.nearer(self.staging, self._wanted())

    def _wanted(self) -> set[str]:
        validated = self.sets.samples(self.validate_split)
        return self.sets.samples("train").shards() | validated.shards(self.validate_samples)

    def feature_files(self) -> list[ShardFeatures]:
        """Returns the files of features that training and validation read."""
        validated = self.sets.samples(self.validate_split)
        return [*files_of(self.sets.samples("train")), *files_of(validated, self.validate_samples)]

    def passes(self) -> list[float]:
        """Returns how many times the whole training sees each set."""
        places, order = self.steps * self.global_batch, self.batches.order
        return order.passes(places) if isinstance(order, Mixture) else [places / order.samples] * len(self.sets.sets)

    def state_dict(self) -> dict[str, Any]:
        """Returns the position: one counter, and what must be the same for it to mean the same."""
        assert self.trainer is not None
        return {"step": self.trainer.global_step, **self._identity()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a saved position.

        Raises:
            OtherShardsError: If shards, global batch, seed or order are not those of the run.
        """
        for name, now in self._identity().items():
            if state_dict[name] != now:
                raise OtherShardsError(
                    f"The checkpoint was made with {name}={state_dict[name]}, now it is {now}: the stream would go on "
                    "with other samples. Remedy: resume with the same --data.shards and weights, --data.global_batch, "
                    "--data.seed, --data.shuffle_run and --data.shuffle_window, or start a new run."
                )
        self.first_step = int(state_dict["step"])

    def _identity(self) -> dict[str, Any]:
        return {
            "shards": self.sets.fingerprint,
            "global_batch": self.global_batch,
            "seed": self.seed,
            "order": self.batches.order.signature,
        }

    def _fetch(self, split: Split) -> Fetch:
        features = None if self.features is None else self.features.reader(self.sets.samples(split))
        return Fetch(self.reader(split), self.encoder, self.layout, features)

    def _require_room(self, window: int) -> None:
        """Warns where the runs of a window do not fit into the cache: each would be fetched again and again."""
        if self.cache is None:
            return
        train = [index.split("train") for index in self.sets.indexes]
        some = [int(size) for split in train for size in split.size[:: max(1, len(split) // 1000)]]
        needed = 2 * min(window, self.batches.order.samples) * sum(some) / len(some)  # one window ends, one begins
        if needed > self.cache.limit:
            log.warning(
                "%s may hold %.1f GB, and two windows of %d samples have %.1f GB: runs will be fetched more than once. "
                "Remedy: raise --data.cache_gb, or lower --data.shuffle_window for a new run.",
                self.cache.folder, self.cache.limit / 1e9, window, needed / 1e9,
            )  # fmt: skip

    def _place(self) -> Place:
        assert self.trainer is not None
        return Place(self.trainer.global_rank, self.trainer.world_size)
