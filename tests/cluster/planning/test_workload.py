"""What there is to compute: of shards by the plan that training follows, of words by what they say."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from cxr_lightning.cluster.planning.asking import Asked
from cxr_lightning.cluster.planning.scaling import Machines, scale
from cxr_lightning.cluster.planning.verb import Planned, prepare
from cxr_lightning.stream.order import BatchArithmeticError
from cxr_lightning.stream.planning import RowBudgetError
from tests.fitting import ROOT, options

MACHINES = Machines(per_node=8, peak=312e12, mfu=0.3, network=25e9)


@pytest.fixture(scope="module")
def plan(shards, parts, tmp_path_factory):
    """Reads a plan of the tiny model on the drawn shards."""
    run = tmp_path_factory.mktemp("run")

    def read(*more: str) -> Planned:
        return prepare(Asked.read([*options(1, shards, run, parts), *more]))

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        yield read


@pytest.mark.parametrize("more", [["--data.micro_batch", "2"], ["--data.row_tokens", "1024"]], ids=lambda more: more[0])
def test_rows_are_those_of_training(plan, more):
    planned = plan(*more)
    described, data = planned.estimator.described, planned.asked.shards()
    module = SimpleNamespace(processor=planned.estimator.processor, text=described.text, packs=True)
    alone = SimpleNamespace(broadcast=lambda told: told)
    data.trainer = SimpleNamespace(lightning_module=module, max_steps=-1, global_rank=0, world_size=2, strategy=alone)
    data.setup("fit")
    workload = planned.training.workload
    rows = workload.rows(planned.training.batching, 2)
    assert rows.accumulation == data.prepare_rows(workload.image_work)
    assert planned.training.batching.steps(workload.samples) == data.steps
    longest = max(batch["inputs"]["input_ids"].numel() for batch in data.train_dataloader())
    assert rows.tokens == pytest.approx(longest, rel=0.2)


def test_samples_that_are_not_there_yet(plan):
    planned = plan("--samples", "1000", "--tokens", "200", "--answer_tokens", "40")
    each = planned.training.workload.each
    assert (each.tokens, each.supervised, each.images) == (200, 40, 1)
    assert planned.training.batching.steps(1000) == 125
    assert len(planned.case.row) == 2
    within = plan("--samples", "1000", "--tokens", "200", "--data.row_tokens", "1024")
    assert len(within.case.row) == 4
    uneven = plan("--samples", "1000", "--tokens", "200", "--data.row_tokens", "700")
    assert (len(uneven.case.row), uneven.case.sharing.accumulation) == (
        2,
        2,
    )  # 3 would go into a row, and 4 are shared out


def test_what_training_would_refuse_is_refused(plan):
    with pytest.raises(BatchArithmeticError):
        plan("--samples", "1000", "--tokens", "200", "--gpus", "3")
    with pytest.raises(RowBudgetError, match="Remedy: raise them"):
        plan("--samples", "1000", "--tokens", "200", "--data.row_tokens", "100")


def test_more_nodes_make_rows_smaller_until_the_batch_has_to_grow(plan):
    planned = plan("--samples", "100000", "--tokens", "200", "--data.global_batch", "128", "--data.micro_batch", "8")
    estimator = planned.estimator
    estimator.dtype, estimator.device = torch.bfloat16, "cuda"
    training = replace(planned.training, sharing=replace(planned.training.sharing, device="cuda", number=2))
    points = scale(training, MACHINES, estimator, [1, 2, 4, 16, 64])
    assert [point.global_batch for point in points] == [128, 128, 128, 128, 512]
    assert [point.grown for point in points] == [False, False, False, False, True]
    assert [(point.micro_batch, point.accumulation) for point in points] == [(8, 2), (8, 1), (4, 1), (1, 1), (1, 1)]
    assert [point.steps for point in points] == [781, 781, 781, 781, 195]
    memories = [point.memory for point in points]
    assert memories == sorted(memories, reverse=True)
    one, two, *_ = points
    assert one.computing == pytest.approx(2 * two.computing)
    assert one.flops == pytest.approx(training.flops.of(training.workload.each) * 128)
    assert all(best <= worst for best, worst in (point.hours for point in points))
