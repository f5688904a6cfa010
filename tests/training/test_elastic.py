"""A run goes on with another number of ranks, at another ZeRO stage, and in the background, as if nothing had been."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from cxr_lightning.checkpoint import position
from cxr_lightning.checkpoint.optimizer import MASTER, PATTERN, Fragment, SavedState
from cxr_lightning.checkpoint.runs import WEIGHTS, checkpoint_folder
from cxr_lightning.export.package import export
from tests.fitting import losses, options, run_ranks
from tests.golden.studies import make_parts, make_shards

STEPS = 12
FIXED = ["--data.epochs", "4", "--trainer.max_steps", str(STEPS), "--model.optim.lr", "0.002"]
SAVED = ["--checkpoint.every_n_steps", "3", "--checkpoint.keep", "9", "--validate_every_n_steps", "5"]
FLOAT16 = bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
"""Whether this processor computes in float16; DeepSpeed refuses it where it does not."""
in_float16 = pytest.mark.skipif(not FLOAT16, reason="this processor has no float16, which DeepSpeed asks of it")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs that go on from one another, some of them with other ranks."""
    root = tmp_path_factory.mktemp("elastic")
    shards, parts = make_shards(root / "studies"), make_parts(root / "parts")

    def fit(name: str, ranks: int, zero: int, *extra: str, after: tuple[str, int] | None = None) -> list[str]:
        base = [*options(2, shards, root / name), "--model.init_from", str(root / "stage1"), *FIXED, *SAVED]
        begin = [] if after is None else ["--ckpt_path", str(checkpoint_folder(root / after[0], after[1]))]
        stage = ["--config", f"configs/zero/stage{zero}.yaml", "--trainer.devices", str(ranks)]
        return [*base, *stage, *begin, *extra]

    first = [*options(1, shards, root / "stage1", parts), "--trainer.max_steps", "2", "--model.optim.lr", "0.01"]
    half = ("--trainer.precision", "bf16-true")
    seldom = ("--trainer.log_every_n_steps", "4")
    dropout = ("--model.lora.dropout", "0.2")
    sixteen = ("--trainer.precision", "16-true")
    offload = ("--trainer.strategy.init_args.offload_optimizer", "true")
    run_ranks(
        2,
        [
            first,
            fit("whole", 2, 2),
            fit("3 of whole", 2, 3, after=("whole", 3)),
            fit("2 of 3", 2, 2, after=("3 of whole", 6)),
            fit("1 of 2", 2, 1, after=("2 of 3", 9)),
            fit("at once", 2, 2, "--checkpoint.background", "false"),
            fit("half", 2, 2, *half),
            fit("half again", 2, 2, *half, after=("half", 6)),
            fit("half, 3", 2, 3, *half, after=("half", 6)),
            fit("half, 1", 2, 1, *half, after=("half", 6)),
            fit("half of whole", 2, 2, *half, after=("whole", 6)),
            fit("offloaded", 2, 2, *offload, after=("whole", 6)),
            fit("seldom", 2, 2, *seldom),
            fit("seldom again", 2, 2, *seldom, after=("seldom", 6)),
            fit("slower", 2, 2, "--model.optim.lr", "0.001", after=("whole", 6)),
        ],
        root,
    )
    run_ranks(
        1,
        [
            fit("one", 1, 0, after=("whole", 3)),
            fit("half, 0", 1, 0, *half, after=("half", 6)),
            fit("half at 0", 1, 0, *half),
            fit("half at 0 again", 1, 0, *half, after=("half at 0", 6)),
            fit("full from half", 1, 2, after=("half", 6)),
            fit("dropout", 1, 2, *dropout),
            fit("dropout again", 1, 2, *dropout, after=("dropout", 6)),
            *(
                [fit("sixteen", 1, 2, *sixteen), fit("sixteen again", 1, 2, *sixteen, after=("sixteen", 6))]
                if FLOAT16
                else []
            ),
        ],
        root,
    )
    run_ranks(4, [fit("four", 4, 3, after=("one", 6))], root)
    run_ranks(2, [fit("two", 2, 2, after=("four", 9))], root)
    return root


def tail(run, after):
    return {step: loss for step, loss in losses(run).items() if step > after}


@pytest.mark.ranks
@pytest.mark.parametrize(("name", "after"), [("3 of whole", 3), ("2 of 3", 6), ("1 of 2", 9)])
def test_at_another_zero_stage_the_losses_are_the_same(folder, name, after):
    here, there = tail(folder / "whole", after), tail(folder / name, after)
    assert list(here) == list(there) == list(range(after + 1, STEPS + 1))
    assert max(abs(here[step] - there[step]) for step in here) < 1e-6


@pytest.mark.ranks
@pytest.mark.parametrize(("name", "after"), [("one", 3), ("four", 6), ("two", 9)])
def test_with_other_ranks_the_losses_are_the_same(folder, name, after):
    """2 ranks under ZeRO-2, then 1 that divides nothing, then 4 under ZeRO-3, then 2 under ZeRO-2."""
    here, there = tail(folder / "whole", after), tail(folder / name, after)
    assert list(here) == list(there) == list(range(after + 1, STEPS + 1))
    assert max(abs(here[step] - there[step]) for step in here) < 1e-5


def state_of(checkpoint, kind):
    """One kind of optimizer state of a checkpoint, whole, by parameter."""
    saved = SavedState(checkpoint)
    whole = {}
    for name, weight in load_file(checkpoint / WEIGHTS).items():
        if saved.has(name, kind):
            whole[name] = torch.empty(weight.numel())
            saved.fill(Fragment(name, 0, {kind: whole[name]}))
    return whole


@pytest.mark.ranks
@pytest.mark.parametrize("name", ["half, 3", "half, 1", "half, 0"])
def test_in_half_precision_the_masters_come_back(folder, name):
    """Copies made anew of bfloat16 weights would be a 500th off; so would averages corrected by a wrong step."""
    here, there = (checkpoint_folder(folder / run, 12) for run in ("half", name))
    masters, others = state_of(here, MASTER), state_of(there, MASTER)
    assert masters.keys() == others.keys()
    assert masters
    moved = max(
        float((masters[n] - state_of(checkpoint_folder(folder / "half", 6), MASTER)[n]).abs().max()) for n in masters
    )
    assert max(float((masters[n] - others[n]).abs().max()) for n in masters) < moved / 20
    assert any(not torch.equal(master, master.bfloat16().float()) for master in masters.values())
    steps = [position.read(checkpoint)["optimizer"]["step"] for checkpoint in (here, there)]
    assert steps == [STEPS, STEPS]


@pytest.mark.ranks
@pytest.mark.parametrize("name", ["half", "half at 0", "dropout", pytest.param("sixteen", marks=in_float16), "seldom"])
def test_with_nothing_changed_a_resumed_run_ends_bit_equal(folder, name):
    """In half precision at two ZeRO stages, under dropout, with loss scaling, and with steps between logged ones."""
    here, there = (checkpoint_folder(folder / run, 12) for run in (name, f"{name} again"))
    for path in here.iterdir():
        if path.suffix == ".safetensors":
            assert path.read_bytes() == (there / path.name).read_bytes(), path.name
    assert tail(folder / name, 6) == tail(folder / f"{name} again", 6)


@pytest.mark.ranks
def test_a_run_in_half_precision_goes_on_in_full_from_its_masters(folder):
    masters = state_of(checkpoint_folder(folder / "half", 6), MASTER)
    rounded = load_file(checkpoint_folder(folder / "half", 6) / WEIGHTS)
    begun = load_file(checkpoint_folder(folder / "full from half", 9) / WEIGHTS)
    # Three steps moved it much further than rounding does, but hardly along what was rounded away.
    lost = {name: masters[name] - rounded[name].float().view(-1) for name in masters}
    along = sum(float((begun[name].view(-1) - rounded[name].float().view(-1)) @ lost[name]) for name in lost)
    assert 0.5 < along / sum(float(each.square().sum()) for each in lost.values()) < 2.0
    here, there = tail(folder / "half", 6), tail(folder / "full from half", 6)
    assert max(abs(here[step] - there[step]) for step in here) < 5e-2


@pytest.mark.ranks
@in_float16
def test_half_precision_exports(folder, tmp_path):
    export(folder / "sixteen", out=tmp_path / "model")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["dtype"] == "float16"


@pytest.mark.ranks
def test_a_run_in_full_precision_goes_on_in_half(folder):
    here, there = tail(folder / "whole", 6), tail(folder / "half of whole", 6)
    assert list(here) == list(there)
    assert max(abs(here[step] - there[step]) for step in here) < 5e-2


@pytest.mark.ranks
def test_a_run_goes_on_with_its_optimizer_offloaded(folder):
    here, there = tail(folder / "whole", 6), tail(folder / "offloaded", 6)
    assert list(here) == list(there)
    assert max(abs(here[step] - there[step]) for step in here) < 1e-6
    assert checkpoint_folder(folder / "offloaded", 12).is_dir()


@pytest.mark.ranks
def test_another_rate_holds_from_where_the_run_goes_on(folder):
    def rates(name):
        lines = map(json.loads, (folder / name / "metrics.jsonl").read_text().splitlines())
        return {line["step"]: line["train/lr"] for line in lines if line["step"] > 6 and "train/lr" in line}

    assert rates("slower") == {step: pytest.approx(rate / 2) for step, rate in rates("whole").items()}
    after_three = {step: rate for step, rate in rates("3 of whole").items() if step > 6}
    assert after_three == rates("whole")


@pytest.mark.ranks
def test_writing_in_the_background_writes_the_same(folder):
    for step in (3, 6, 9, 12):
        behind, at_once = (checkpoint_folder(folder / name, step) for name in ("whole", "at once"))
        names = sorted(path.name for path in behind.iterdir())
        assert names == sorted(path.name for path in at_once.iterdir())
        for name in names:
            assert (behind / name).read_bytes() == (at_once / name).read_bytes(), name


@pytest.mark.ranks
def test_a_checkpoint_holds_what_learns_and_no_more(folder):
    """Weights, inherited ones included, and two moments; in float32 the master copy is the weight itself."""
    saved = checkpoint_folder(folder / "whole", 12)
    learned = sum(tensor.numel() for tensor in load_file(saved / WEIGHTS).values())
    moments = sum(tensor.numel() for path in saved.glob(PATTERN) for tensor in load_file(path).values())
    assert moments == 2 * learned
    assert not [path for path in saved.rglob("*") if path.suffix in (".pt", ".pth", ".bin", ".ckpt", ".pkl")]
