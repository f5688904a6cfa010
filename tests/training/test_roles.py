"""Any role learns in any way: it trains, saves, resumes with other ranks and another ZeRO stage, and exports."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from cxr_lightning.checkpoint.runs import checkpoint_folder, open_run
from cxr_lightning.export.package import export
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import VLMS, role_of
from cxr_lightning.model.source import ModelSource
from tests.fitting import losses, options, run_ranks
from tests.golden.studies import make_parts, make_shards

STEPS = 4


def learns(**roles):
    return [word for role, how in roles.items() for word in (f"--model.trainable.{role}", how)]


ALL = learns(vision="full", projector="full", language="full")
RATES = ["--model.optim.rates", "{vision: 0.0, projector: 0.0005}"]
DORA = [
    *learns(vision="lora", projector="frozen", language="lora"), "--model.lora.rslora", "true",
    "--model.vision_lora.rank", "2", "--model.vision_lora.alpha", "2", "--model.vision_lora.dora", "true",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("roles")
    shards, parts = make_shards(root / "studies"), make_parts(root / "parts")

    def fit(name: str, zero: int, *extra: str, after: tuple[str, int] | None = None, init: str = "stage1") -> list[str]:
        base = [*options(2, shards, root / name), "--model.init_from", str(root / init), "--model.optim.lr", "0.002"]
        few = ["--trainer.max_steps", str(STEPS), "--checkpoint.every_n_steps", "2", "--data.epochs", "2"]
        begin = [] if after is None else ["--ckpt_path", str(checkpoint_folder(root / after[0], after[1]))]
        return [*base, *few, "--config", f"configs/zero/stage{zero}.yaml", *begin, *extra]

    only_vision = learns(vision="full", projector="frozen", language="frozen")
    two = ("--trainer.devices", "2")
    first = [*options(1, shards, root / "stage1", parts), "--trainer.max_steps", "2", "--model.optim.lr", "0.01"]
    run_ranks(
        2,
        [
            [*first, *two],
            fit("all", 3, *ALL, *RATES, *two),
            fit("all again", 3, *ALL, *RATES, *two, after=("all", 2)),
            fit("all at 2", 2, *ALL, *RATES, *two, after=("all", 2)),
            fit("dora", 3, *DORA, *two),
            fit("dora at 1", 1, *DORA, *two, after=("dora", 2)),
            fit("all at 0", 0, *ALL, *RATES, *two, after=("all", 2)),
            fit("vision", 2, *only_vision, *two),
            fit("dora after all", 2, *DORA, *two, init="all"),
        ],
        root,
    )
    return root


def learned(run):
    return load_file(open_run(run).weights())


def base_of(run):
    source = ModelSource.from_json(open_run(run).provenance["model"])
    return dict(load_model(source, load_processor(source)).named_parameters())


@pytest.mark.ranks
def test_every_role_learns_at_its_own_rate(folder):
    """All weights are saved; at a rate of zero the tower's are the base's, and language moves more than projector."""
    base, now, first = base_of(folder / "all"), learned(folder / "all"), learned(folder / "stage1")
    assert now.keys() == base.keys()
    moved = {"vision": [], "projector": [], "language": []}
    for name, tensor in now.items():
        role = role_of(name, VLMS["llava"])
        moved[role].append(float((tensor - (first[name] if role == "projector" else base[name])).abs().max()))
    assert max(moved["vision"]) == 0
    assert 0 < max(moved["projector"]) < max(moved["language"])
    # AdamW moves a number by about its rate in each of its first steps.
    assert max(moved["projector"]) / max(moved["language"]) == pytest.approx(0.25, rel=0.5)


@pytest.mark.ranks
@pytest.mark.parametrize(("name", "other", "after"), [
    ("all", "all again", 2), ("all", "all at 2", 2), ("all", "all at 0", 2), ("dora", "dora at 1", 2),
])  # fmt: skip
def test_the_losses_are_the_same_at_another_zero_stage(folder, name, other, after):
    here = {step: loss for step, loss in losses(folder / name).items() if step > after}
    there = losses(folder / other)
    assert list(here) == list(there) == list(range(after + 1, STEPS + 1))
    assert max(abs(here[step] - there[step]) for step in here) < 1e-5


@pytest.mark.ranks
def test_resumed_under_zero_3_it_ends_bit_equal(folder):
    here, there = (checkpoint_folder(folder / name, STEPS) for name in ("all", "all again"))
    files = [path.name for path in here.glob("*.safetensors")]
    assert len(files) == 3
    for name in files:
        assert (here / name).read_bytes() == (there / name).read_bytes(), name


@pytest.mark.ranks
def test_a_tied_head_is_kept_once_and_learns(folder):
    base, now = base_of(folder / "all"), learned(folder / "all")
    tables = [name for name in now if "embed_tokens" in name or "lm_head" in name]
    assert tables
    assert all(not torch.equal(now[name], base[name]) for name in tables)


@pytest.mark.ranks
@pytest.mark.parametrize("name", ["all", "dora", "vision", "dora after all"])
def test_it_exports(folder, name, tmp_path):
    export(folder / name, out=tmp_path / "model")
    record = json.loads((tmp_path / "model" / "provenance.json").read_text())
    assert all(check["holds"] for check in record["proof"])
    card = (tmp_path / "model" / "README.md").read_text()
    assert ("vision: DoRA, rank 2, alpha 2, merged; language: LoRA, rank 4, alpha 8, rsLoRA, merged" in card) == (
        "dora" in name
    )


@pytest.mark.ranks
def test_adapters_on_a_model_that_learned_in_full_begin_with_it(folder):
    """The layers keep what they learned under their name beside the adapter, and the loss goes on where it stood."""
    now, before = learned(folder / "dora after all"), learned(folder / "all")
    own = {name.replace(".base_layer.", "."): tensor for name, tensor in now.items() if ".lora_" not in name}
    assert own.keys() == before.keys()
    assert any(".lora_magnitude_vector." in name for name in now)
    assert all(torch.equal(own[name], before[name]) for name in own)
    assert losses(folder / "dora after all")[1] < losses(folder / "dora")[1] - 0.02
