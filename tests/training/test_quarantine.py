"""Bad samples are left out, counted, named and bounded, on every rank alike and over a resume."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.order import Order
from tests.fitting import cxr, losses, options, run_ranks
from tests.objects import BUCKET, s3

STEPS, BATCH = 10, 8
LONG = ["--data.epochs", "6", "--trainer.max_steps", str(STEPS), "--checkpoint.every_n_steps", "6"]


def damage(shards: Path, folder: Path, *numbers: int) -> Path:
    """Copies shards and flips a bit in the image of some training samples."""
    shutil.copytree(shards, folder)
    split = read_index(folder).split("train")
    for number in numbers:
        path = Path(split.location(number))
        data = bytearray(path.read_bytes())
        data[int(split.offset[number]) + int(split.size[number]) - 2000] ^= 1
        path.write_bytes(data)
    return folder


def skips(shards: Path, *numbers: int, steps: int = STEPS) -> list[int]:
    """Returns the steps that some samples belong to, by the order alone."""
    places = Order(read_index(shards).split("train").shard_lengths, 0).take(0, steps * BATCH)
    return [place // BATCH + 1 for place, number in enumerate(places.tolist()) if number in numbers]


def lines(run: Path, split: str = "train") -> list[dict[str, object]]:
    """Returns what a run wrote down of a split."""
    file = run / "skipped.jsonl"
    return [line for line in map(json.loads, file.read_text().splitlines()) if line["split"] == split]


def logged(run: Path) -> float:
    """Returns the sum of the logged figure."""
    metrics = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return sum(line.get("data/skipped", 0) for line in metrics)


@pytest.mark.ranks
def test_a_flipped_bit_costs_one_sample_on_any_number_of_ranks(shards, parts, tmp_path):
    bad = damage(shards, tmp_path / "bad", 5)
    fits = {ranks: [*options(1, bad, tmp_path / f"run{ranks}", parts), *LONG] for ranks in (1, 2)}
    for ranks, fit in fits.items():
        run_ranks(ranks, [[*fit, "--trainer.devices", str(ranks)]], tmp_path)
    split = read_index(bad).split("train")
    for ranks in fits:
        run = tmp_path / f"run{ranks}"
        assert [line["step"] for line in lines(run)] == skips(bad, 5)
        assert {line["key"] for line in lines(run)} == {split.key(5)}
        assert {line["reason"] for line in lines(run)} == {"checksum differs from the index"}
        assert {line["shard"] for line in lines(run)} == {split.location(5)}
        assert logged(run) == len(skips(bad, 5))
    one, two = losses(tmp_path / "run1"), losses(tmp_path / "run2")
    assert all(map(math.isfinite, one.values()))
    assert all(abs(one[step] - two[step]) < 1e-5 for step in range(1, STEPS + 1))


@pytest.mark.ranks
def test_a_resumed_run_counts_on(shards, parts, tmp_path):
    bad = damage(shards, tmp_path / "bad", 5)
    # Steps 9 and 10 are after the last logged one: what they skip comes with the checkpoint.
    fit = [
        *options(1, bad, tmp_path / "run", parts),
        *LONG,
        "--trainer.devices",
        "1",
        "--trainer.log_every_n_steps",
        "4",
    ]
    cxr("fit", *fit)
    assert [line["step"] for line in lines(tmp_path / "run")] == skips(bad, 5)
    whole = lines(tmp_path / "run")
    run = tmp_path / "killed"
    shutil.copytree(tmp_path / "run", run)
    shutil.rmtree(max((run / "checkpoints").glob("step-*")))  # it wrote up to step 10, and step 6 is what it saved
    cxr("fit", *fit, "--run", run, "--ckpt_path", "last")
    assert lines(run) == whole
    # One bad sample is allowed and known; a second, found only after the resume, is one too many.
    shutil.rmtree(max((run / "checkpoints").glob("step-*")))
    second = read_index(bad).split("train")
    path = Path(second.location(9))
    data = bytearray(path.read_bytes())
    data[int(second.offset[9]) + 3000] ^= 1
    path.write_bytes(data)
    told = cxr("fit", *fit, "--run", run, "--ckpt_path", "last", check=False)
    assert told.returncode == 1
    assert f"2 of the {len(second)} samples of train cannot be used" in told.stderr
    assert second.key(9) in told.stderr
    assert second.key(9) in {line["key"] for line in lines(run) if line["step"] > 6}


@pytest.mark.ranks
def test_a_missing_shard_is_refused_or_skipped_as_the_bound_says(shards, parts, tmp_path):
    bad = damage(shards, tmp_path / "bad")
    split = read_index(bad).split("train")
    Path(split.locations[0]).unlink()
    lost = set(range(int(split.shard_lengths[0])))
    fit = [*options(1, bad, tmp_path / "run", parts), *LONG, "--trainer.devices", "1"]
    told = cxr("fit", *fit, check=False)
    assert told.returncode == 1
    assert "train-000000.tar: missing" in told.stderr
    done = cxr("fit", *fit, "--data.max_bad", "0.9")
    assert "its samples will be skipped" in done.stderr
    assert [line["step"] for line in lines(tmp_path / "run")] == skips(bad, *lost)
    assert {line["reason"] for line in lines(tmp_path / "run")} == {"shard missing"}
    assert logged(tmp_path / "run") == len(skips(bad, *lost))


@pytest.mark.ranks
def test_none_allowed_stops_all_ranks_at_the_first(shards, parts, tmp_path):
    bad = damage(shards, tmp_path / "bad", 5)
    fit = [*options(1, bad, tmp_path / "run", parts), *LONG, "--trainer.devices", "2", "--data.max_bad", "0"]
    with pytest.raises(AssertionError, match="TooManyBadSamplesError"):
        run_ranks(2, [fit], tmp_path)
    assert [line["step"] for line in lines(tmp_path / "run")] == skips(bad, 5)[:1]
    assert max(losses(tmp_path / "run")) == skips(bad, 5)[0]


@pytest.mark.ranks
def test_bad_validation_samples_are_counted_too(shards, parts, tmp_path):
    bad = damage(shards, tmp_path / "bad")
    split = read_index(bad).split("validate")
    path = Path(split.location(0))
    data = bytearray(path.read_bytes())
    data[int(split.offset[0]) + 3000] ^= 1
    path.write_bytes(data)
    few = ["--trainer.max_steps", "2", "--trainer.devices", "1", "--data.validate_samples", "3"]
    cxr("fit", *options(1, bad, tmp_path / "run", parts), *few)
    assert [line["key"] for line in lines(tmp_path / "run", "validate")] == [split.key(0)]
    metrics = list(map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()))
    assert [line["validate/skipped"] for line in metrics if "validate/skipped" in line] == [1]


@pytest.mark.ranks
def test_from_a_bucket_whose_connections_break_nothing_is_lost(shards, parts, tmp_path, monkeypatch):
    """Every tenth connection is cut in the middle: the run is the one from disk, less the sample that is bad there."""
    bad = damage(shards, tmp_path / "bad", 5)
    few = ["--data.epochs", "2", "--trainer.max_steps", "10", "--trainer.devices", "1", "--data.shuffle_run", "4"]
    cxr("fit", *options(1, bad, tmp_path / "disk", parts), *few, "--data.workers", "2")
    with s3(monkeypatch, bad, every=10) as proxy:
        there = ["--data.shards", f"s3://{BUCKET}/bad", "--data.cache", str(tmp_path / "cache"), "--data.workers", "2"]
        cxr("fit", *options(1, bad, tmp_path / "run", parts), *few, *there)
    assert proxy.cut > 0
    assert losses(tmp_path / "run") == losses(tmp_path / "disk")
    there, here = lines(tmp_path / "run"), lines(tmp_path / "disk")
    assert [line["step"] for line in there] == [line["step"] for line in here] == skips(bad, 5)
    assert there[0]["shard"].startswith(f"s3://{BUCKET}/bad/train-")
