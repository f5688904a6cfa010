"""A fit that reads features is the fit that looks at images: losses, gradients and what is saved, to the last bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from datetime import timedelta
from multiprocessing.synchronize import Barrier
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from cxr_lightning.checkpoint.runs import open_run
from cxr_lightning.cli import run as cli
from cxr_lightning.model import tiny
from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.records import FeaturesError
from cxr_lightning.training import caching
from cxr_lightning.training.features import place
from tests.fitting import LAUNCHED, gradient_norms, losses, options, run_ranks

FEW = ["--trainer.max_steps", "3", "--model.optim.lr", "0.002"]
PAIRS = {
    "stage1": (1, []),
    "stage2": (2, ["--panels.studies", "1"]),
    "padded": (2, ["--data.layout", "padded", "--config", "configs/zero/stage3.yaml", "--panels.studies", "1"]),
}


@pytest.fixture(scope="module")
def folder(shards, parts, tmp_path_factory):
    """Each fit of `PAIRS` from images and from features, on two ranks; the first one from features computes them."""
    here = tmp_path_factory.mktemp("features")
    fits = []
    for name, (stage, more) in PAIRS.items():
        start = ["--model.init_from", str(here / "stage1-images")] if stage == 2 else []
        for kind, features in (("images", []), ("features", ["--data.features", str(here / "features")])):
            base = options(stage, shards, here / f"{name}-{kind}", parts if stage == 1 else None)
            fits.append([*base, *start, *FEW, *more, *features])
    run_ranks(2, fits, here)
    return here


@pytest.mark.ranks
@pytest.mark.parametrize("name", PAIRS)
def test_a_fit_from_features_is_the_one_from_images(folder, name):
    images, features = folder / f"{name}-images", folder / f"{name}-features"
    assert losses(images) == losses(features)
    assert len(losses(images)) == 3
    assert gradient_norms(images) == gradient_norms(features)
    assert open_run(images).weights().read_bytes() == open_run(features).weights().read_bytes()

    def validated(run):
        return [line for line in (run / "metrics.jsonl").read_text().splitlines() if "validate/loss" in line]

    assert [json.loads(line)["validate/loss"] for line in validated(images)] == [
        json.loads(line)["validate/loss"] for line in validated(features)
    ]
    assert validated(features)


@pytest.mark.ranks
def test_all_images_were_kept_once(folder, shards):
    files = sorted((folder / "features").iterdir())
    assert len([path for path in files if path.name.startswith("train-")]) == len(list(shards.glob("train-*.tar")))
    assert {path.suffix for path in files} == {".npy", ".json"}


def verb(name: str, *arguments: str) -> int:
    """Runs a verb in this process."""
    try:
        return cli([name, *arguments])
    finally:
        for variable in LAUNCHED:
            os.environ.pop(variable, None)


@pytest.mark.ranks
def test_the_verb_makes_the_same_files_and_goes_on_where_it_was(folder, shards, parts, tmp_path, capfd):
    made, fitted = tmp_path / "features", folder / "features"
    arguments = [*options(1, shards, tmp_path / "run", parts), "--data.features", str(made)]
    assert verb("features", *arguments) == 0
    told = capfd.readouterr().err
    names = sorted(path.name for path in made.iterdir())
    assert f"{len(names) - 1} of {len(names) - 1}" in told
    assert names == sorted(path.name for path in fitted.iterdir())
    assert all((made / name).read_bytes() == (fitted / name).read_bytes() for name in names)
    kept, damaged, lost, cut = (made / name for name in names[1:5])
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:-5])
    before = kept.stat().st_mtime_ns
    assert verb("features", *arguments) == 0
    assert kept.stat().st_mtime_ns == before
    assert all((made / name).read_bytes() == (fitted / name).read_bytes() for name in names)
    assert not (tmp_path / "run").exists()


@pytest.mark.ranks
def test_a_run_from_images_goes_on_from_features(folder, shards, parts, tmp_path):
    ends = []
    for kind, more in (("images", []), ("features", ["--data.features", str(folder / "features")])):
        run = shutil.copytree(folder / "stage1-images", tmp_path / kind)
        onward = ["--trainer.devices", "1", "--trainer.max_steps", "4", *FEW[2:], "--ckpt_path", "last"]
        assert verb("fit", *options(1, shards, run, parts), *onward, *more) == 0
        ends.append((losses(run), open_run(run).weights().read_bytes()))
    assert ends[0] == ends[1]
    assert len(ends[0][0]) == 4


@pytest.mark.ranks
def test_a_damaged_record_is_a_skipped_sample(folder, shards, parts, tmp_path):
    features, run = tmp_path / "features", tmp_path / "run"
    shutil.copytree(folder / "features", features)
    path = sorted(features.glob("train-*"))[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # the last image of a shard: some study's lateral or only view
    data[-2 - len(data) // 2] ^= 1
    path.write_bytes(data)
    fit = [*options(1, shards, run, parts), "--data.features", str(features), "--data.max_bad", "0.2"]
    assert verb("fit", *fit, "--trainer.devices", "1", "--trainer.max_steps", "6", *FEW[2:]) == 0
    lines = [json.loads(line) for line in (run / "skipped.jsonl").read_text().splitlines()]
    assert lines
    assert {line["reason"] for line in lines} == {"its features are damaged or blank"}


def refusal(capfd, *arguments: str, name: str = "fit") -> str:
    assert verb(name, *arguments) == 1
    return capfd.readouterr().err


@pytest.mark.ranks
def test_what_would_make_features_wrong_is_refused(folder, shards, parts, tmp_path, capfd):
    features = ["--data.features", str(folder / "features")]
    retrained = str(tiny.write_tower(tmp_path / "retrained", "siglip", seed=1))
    fit = [*options(1, shards, tmp_path / "run", parts), "--trainer.devices", "1", *features]
    assert "vision is lora" in refusal(capfd, *fit, "--model.trainable.vision", "lora")
    assert "vision is full" in refusal(capfd, *fit, "--model.trainable.vision", "full", name="features")
    changes = {
        "weights: ": [*fit, "--model.source.vision", retrained],
        "architecture.model_type: siglip_vision_model there": [*fit, "--model.source.vision", parts["dinov2"]],
        "layer: -1 there, -2 now": [*fit, "--model.source.vision_layer", "-2"],
        "decode: exact there, scaled now": [*fit, "--data.decode", "scaled"],
        "precision: float32 there, bfloat16 now": [*fit, "--trainer.precision", "bf16-true"],
    }
    for told, arguments in changes.items():
        message = refusal(capfd, *arguments, name="features")
        assert told in message
        assert "another folder by --data.features" in message
    assert "decode: exact there, scaled now" in refusal(capfd, *changes["decode: exact there, scaled now"])
    remote = [*fit[:-2], "--data.features", "memory://nowhere"]
    assert "copy the folder" in refusal(capfd, *remote, name="features")
    assert "No folder is named" in refusal(capfd, *fit[:-2], name="features")
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.quick
def test_ranks_that_do_not_see_the_same_files_are_refused(tmp_path, monkeypatch):
    """Another rank's files are on another node's disk, or come late."""
    names = ["a.npy", "b.npy"]
    files = [SimpleNamespace(name=name) for name in names]
    folder = SimpleNamespace(
        shown="DIR", complete=lambda wanted: [file for file in wanted if (tmp_path / file.name).exists()]
    )
    monkeypatch.setattr(caching, "gather", lambda mine: [mine, names if isinstance(mine, list) else 0])
    monkeypatch.setattr(caching.time, "sleep", lambda _: (tmp_path / "b.npy").touch())
    (tmp_path / "a.npy").touch()
    with pytest.raises(FeaturesError, match="all nodes share"):
        caching.require_seen_by_all(folder, files, patience=0)
    caching.require_seen_by_all(folder, files)
    assert (tmp_path / "b.npy").exists()


def _shares(rank: int, store: str, begin: Barrier, answer: multiprocessing.SimpleQueue) -> None:
    begin.wait(60)  # imports take longer than the time-out
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2, timeout=timedelta(seconds=3)
    )

    def share(seconds: int, error: Exception | None = None) -> str:
        time.sleep(seconds)
        if error is not None:
            raise error
        return f"of rank {rank}"

    told = [caching.together(lambda: share(6 * rank))]
    for error in (torch.OutOfMemoryError("no room"), ValueError()):
        try:
            caching.together(lambda error=error: share(0, error if rank else None))
        except FeaturesError as failed:
            told.append(f"{failed}, from {type(failed.__cause__).__name__}")
    answer.put((rank, told))


@pytest.mark.ranks
def test_ranks_wait_for_the_slowest_and_hear_of_any_error(tmp_path):
    context = multiprocessing.get_context("spawn")  # this process may be a rank of earlier fits
    begin, answer = context.Barrier(2), context.SimpleQueue()
    store = str(tmp_path / "store")
    ranks = [context.Process(target=_shares, args=(rank, store, begin, answer)) for rank in range(2)]
    for each in ranks:
        each.start()
    for each in ranks:
        each.join(60)
    assert [each.exitcode for each in ranks] == [0, 0]
    errors = ["OutOfMemoryError: no room, from {}", "ValueError: , from {}"]
    assert sorted(answer.get() for _ in ranks) == [
        (0, ["of rank 0", *(each.format("NoneType") for each in errors)]),
        (1, ["of rank 1", *(each.format(each.partition(":")[0]) for each in errors)]),
    ]


@pytest.mark.quick
def test_processes_of_a_launcher_divide_the_work(monkeypatch):
    for name in (*LAUNCHED, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert place() == (0, 1)
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert place() == (0, 1)  # a batch script that never called srun is alone
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert place() == (3, 4)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert place() == (1, 2)


@pytest.mark.quick
def test_the_shards_of_these_tests_hold_studies_with_two_views(shards):
    assert set(read_index(shards).split("train").images.tolist()) == {1, 2}
