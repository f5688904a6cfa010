"""Every shipped configuration is read by the parser that `cxr fit` uses, by the very command at its head."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cxr_lightning.stream.order import accumulation
from tests.commands import ROOT, logical_lines, parse, parse_fit

CONFIGS = sorted([*(ROOT / "configs").rglob("*.yaml"), *(ROOT / "cxr_lightning").rglob("*.yaml")])
STAGES = ("configs/stage1.yaml", "configs/stage2.yaml", "configs/stage0.yaml")
pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI.s args parameter")
every_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
every_fit = pytest.mark.parametrize(
    "config", [path for path in CONFIGS if path.stem != "sweep"], ids=lambda path: str(path.relative_to(ROOT))
)


def head(config: Path) -> str:
    """Returns the comment that a file opens with."""
    return re.match(r"(#.*\n)*", config.read_text())[0]


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(tree, dict):
        yield path, tree
        return
    for name, branch in tree.items():
        yield from leaves(branch, f"{path}.{name}" if path else name)


@every_config
def test_it_opens_with_the_command_that_runs_it(config):
    lines = [line.removeprefix("#").strip() for line in head(config).splitlines()]
    commands = [line for line in lines if re.match(r"(srun )?cxr (fit|sweep) ", line)]
    assert commands, "the comment at its head holds no command"
    assert any(str(config.relative_to(ROOT)) in line for line in commands)
    for line in commands:
        for command in logical_lines(line):
            parse(command)


@every_fit
def test_every_value_arrives(config):
    """An overlay after a stage: what it says is what the parsed configuration holds, and no key is dead."""
    stage = ["--config", STAGES[0]] if config.parent.parent.name == "configs" else []
    parsed = parse_fit([*stage, "--config", str(config)])
    for path, value in leaves(yaml.safe_load(config.read_text())):
        assert parsed[path] == value, path


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("scale", [None, *sorted((ROOT / "configs" / "scale").glob("*.yaml"))])
def test_batches_divide_on_every_scale(stage, scale):
    parsed = parse_fit(["--config", stage, *([] if scale is None else ["--config", str(scale)])])
    per_node = 8 if parsed.trainer.devices == "auto" else int(parsed.trainer.devices)
    ranks = per_node * parsed.trainer.num_nodes
    assert accumulation(parsed.data.global_batch, parsed.data.micro_batch, ranks) >= 1


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (["--model.optim.learning_rate", "1"], "learning_rate"),
        (["--data.epoch", "2"], "epoch"),
        (["--model.trainable.language", "some"], "language"),
        (["--trainer.strategy.stage", "4"], "stage"),
    ],
)
def test_a_misspelt_option_is_named(option, named, capsys):
    with pytest.raises(SystemExit):
        parse_fit(["--config", STAGES[0], *option])
    assert named in capsys.readouterr().err


def test_the_last_word_wins():
    parsed = parse_fit(["--config", STAGES[0], "--trainer.devices", "3", "--config", "configs/scale/cpu.yaml"])
    assert (parsed.trainer.accelerator, int(parsed.trainer.devices)) == ("cpu", 2)
    parsed = parse_fit(["--config", STAGES[0], "--config", "configs/scale/cpu.yaml", "--trainer.devices", "3"])
    assert (parsed.trainer.accelerator, int(parsed.trainer.devices)) == ("cpu", 3)
