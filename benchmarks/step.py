"""Samples a second and memory of the training step: `cxr fit` beside TRL's SFTTrainer and Hugging Face's Trainer.

    CXR_REAL_DATA=... python benchmarks/step.py [--tokens 49 196] [--stages 2 1] [--rounds 2] [--checkpointing]

The same SmolLM2-135M with a CLIP tower of ViT-B's size, the same samples in the same order with the same tokens
supervised, the same adapters to begin with, float32 on one CPU thread. Each training is a process of its own and rounds
of all ways are interleaved. CPU time is the steadier figure where the machine does other work. Losses have to agree, or
nothing is told. "Ours, features" reads what the frozen tower computed before the timed steps (`--data.features`): it is
the rate from the second pass on, has bars of its own and never stands for ours. TRL is installed on demand into
benchmarks/.envs, over the packages of this environment.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from environments import python_of
from steps import inputs

HERE = Path(__file__).parent
TOLERANCE = 1e-4
console = Console(width=140)


class Way(NamedTuple):
    """A way of training.

    Attributes:
        script: In benchmarks/steps.
        package: What its environment needs beside ours.
        options: Of its script.
    """

    script: str
    package: str = ""
    options: tuple[str, ...] = ()


WAYS = {
    "ours": Way("ours"),
    "ours, features": Way("ours", options=("--features",)),
    "Trainer": Way("hugging_face"),
    "TRL": Way("hugging_face", "trl", ("--trl", "as-it-is")),
    "TRL, patched": Way("hugging_face", "trl", ("--trl", "patched")),
}
OWN = {"ours": "ours", "ours, features": "ours, features (from the second pass on)"}
"""Which of the ways are held against the bars, and what they are called in print."""
BARS = {49: (1.8, 2.1), 196: (2.4, 2.9)}
"""Times TRL's rate at stage 2, by image tokens: what has to be reached, and what is aimed at."""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[49, 196], help="of an image: 49 or 196")
    parser.add_argument("--stages", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--samples", type=int, default=8, help="of an optimizer step")
    parser.add_argument("--steps", type=int, default=4, help="timed ones; one more goes before them")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--checkpointing", action="store_true", help="all ways compute activations again")
    parser.add_argument("--only", nargs="*", choices=WAYS, help="these ways; ours has to go first once, for the order")
    parser.add_argument("--tiny", action="store_true", help="a tiny model: shows that it works, and nothing of speed")
    parser.add_argument("--data", type=Path, help="keeps models and shards here, and uses them again")
    parser.add_argument("--json", type=Path, help="writes all figures here")
    asked = parser.parse_args()
    ways = {name: way for name, way in WAYS.items() if not asked.only or name in asked.only}
    everything: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.data or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        sizes = [16] if asked.tiny else asked.tokens
        for size in sizes:
            _make(folder, size)
        for size, stage in product(sizes, asked.stages):
            found = _measure(folder, size, stage, ways, asked)
            name = f"{size} image tokens, stage {stage}{', activations checkpointed' if asked.checkpointing else ''}"
            everything[name] = found
            if asked.json:
                asked.json.write_text(json.dumps(everything, indent=1))
            _print(name, size, stage, found, asked)
    console.print(
        f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"one thread; {(folder / 'source.txt').read_text() if asked.data else 'temporary data'}; "
        f"load {os.getloadavg()[1]:.1f}"
    )


def _make(folder: Path, size: int) -> None:
    if not (folder / "source.txt").exists():
        source = inputs.make_shards(folder)
        (folder / "source.txt").write_text(source)
    if not (folder / str(size) / "base").exists():
        (folder / str(size)).mkdir(exist_ok=True)
        inputs.make_base(folder / str(size), size)


def _measure(
    folder: Path, size: int, stage: int, ways: dict[str, Way], asked: argparse.Namespace
) -> dict[str, list[dict[str, Any]]]:
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for _ in range(asked.rounds):
        for name, way in ways.items():
            found[name].append(_run(way, folder, size, stage, asked))
            _require_equal_losses(name, found)
    return dict(found)


def _run(way: Way, folder: Path, size: int, stage: int, asked: argparse.Namespace) -> dict[str, Any]:
    options = ["--base", folder / str(size) / "base", "--stage", stage, "--samples", asked.samples]
    options += ["--steps", asked.steps + 1, "--warm", 1, *(["--checkpointing"] if asked.checkpointing else [])]
    command = [python_of(way.package), HERE / "steps" / f"{way.script}.py", folder, *options, *way.options]
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE.parent),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{way.script} {' '.join(way.options)} failed:\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    filling = f", after {answer['filling_cpu_s']:.0f} CPU s of filling" if "filling_cpu_s" in answer else ""
    told = f"{way.script} {' '.join(way.options)}: {answer['cpu_rate']:.2f} samples a CPU second{filling}"
    console.print(f"[dim]{told}[/]")
    return answer


def _require_equal_losses(name: str, found: dict[str, list[dict[str, Any]]]) -> None:
    """Refuses to compare ways that do not compute the same."""
    first, own = next(iter(found.values()))[0]["losses"], found[name][-1]["losses"]
    apart = max(abs(one - other) / max(1.0, abs(one)) for one, other in zip(first, own, strict=True))
    if apart > TOLERANCE:
        raise SystemExit(f"{name} has other losses than {next(iter(found))}: {own} and {first}")


def _print(
    title: str, size: int, stage: int, found: dict[str, list[dict[str, Any]]], asked: argparse.Namespace
) -> None:
    table = Table(
        "", "samples a CPU second", "samples a second", "peak MiB", "... above the loaded model", "ours: rate, CPU",
        "rate", "peak", "above model", title=f"{title}; {asked.samples} samples a step, {asked.steps} steps timed",
    )  # fmt: skip
    names = ("cpu_rate", "rate", "peak_mib", "grown_mib")
    middle = {
        way: {name: statistics.median(one[name] for one in runs) for name in names} for way, runs in found.items()
    }
    for way, runs in found.items():
        cells = []
        for name in names:
            values, digits = [one[name] for one in runs], 0 if name.endswith("mib") else 2
            cells.append(f"{middle[way][name]:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})")
        if "ours" in found:
            cells += [f"x {middle['ours'][name] / middle[way][name]:.2f}" for name in names]
        table.add_row(OWN.get(way, way), *cells)
    console.print(table)
    for own in filter(found.__contains__, OWN):
        for line in _verdicts(own, size, stage, middle, asked.checkpointing):
            console.print(f"{OWN[own]}: {line}")


def _verdicts(own: str, size: int, stage: int, middle: dict[str, dict[str, float]], checkpointing: bool) -> list[str]:
    """Returns which bars one way of ours reaches; those of time are for stage 2 with activations kept."""
    lines = []
    ours = middle[own]
    if "TRL" in middle:
        least, aim = BARS.get(size, (1.0, 1.0))
        if stage == 2 and not checkpointing:
            lines.append(_verdict("rate of TRL's", ours["cpu_rate"] / middle["TRL"]["cpu_rate"], least, aim))
        most = 0.65 if checkpointing else 0.8
        lines.append(_verdict("TRL's peak memory", middle["TRL"]["peak_mib"] / ours["peak_mib"], 1 / most, 1 / most))
    if "TRL, patched" in middle and stage == 2 and not checkpointing:
        ratio = ours["cpu_rate"] / middle["TRL, patched"]["cpu_rate"]
        lines.append(_verdict("rate of patched TRL's", ratio, 1.2, 1.5))
    return lines


def _verdict(what: str, ratio: float, least: float, aim: float) -> str:
    word = "aim reached" if ratio >= aim else "reached" if ratio >= least else "NOT reached"
    return f"{what}: x {ratio:.2f}; at least {least:.2f}, aim {aim:.2f}: {word}"


if __name__ == "__main__":
    main()
