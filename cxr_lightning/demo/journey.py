"""`cxr demo`: the whole journey in one command, from drawn radiographs to answers about patients never seen.

Every station is the verb a user would call, run as a command of its own and printed first, so that each can be repeated
by hand. A station whose product is there is not run again: an interrupted demo goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

_HERE = Path(__file__).parent
_PREPARE = (
    "A language model of random weights cannot write, and a tower of random weights cannot see. Large models come "
    "prepared (MedCLIP on radiographs, Vicuna on dialogues); the demo's tiny ones are prepared now, on the training "
    "patients' labels and texts alone."
)


class OtherDemoError(ValueError):
    """The folder holds a demo that was begun with other settings."""


@dataclass(frozen=True)
class Size:
    """How large a demo is.

    Attributes:
        studies: Studies to draw; a tenth of the patients are kept for the test. Many, seen few times: a tiny language
            model learns reports by heart sooner than it learns to look.
        image: Side of the drawn films in pixels.
        tower_steps: Steps that prepare the vision tower; None takes the recipe's.
        language_steps: Steps that prepare the language model; None takes the recipe's.
        align_epochs: Passes of stage 1.
        instruct_epochs: Passes of stage 2.
        seed: Seed of everything.
    """

    studies: int = 8000
    image: int = 128
    tower_steps: int | None = None
    language_steps: int | None = None
    align_epochs: float = 0.75
    instruct_epochs: float = 4.0
    seed: int = 0


def demo(*, out: Path = Path("demo"), size: Size = Size(), ranks: int = 2) -> None:
    """Show the whole journey on drawn radiographs, on this machine's CPU, in about a quarter of an hour.

    Draws phantoms, packs them into shards, prepares a tiny vision tower and language model, trains both stages under
    DeepSpeed ZeRO-2, exports the merged model, and scores what it writes about patients it never saw.

    Args:
        out: Folder for everything; open its index.html at the end.
        size: How large the demo is.
        ranks: Training processes.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a rank a core; more threads would fight for them
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the figures that are told of the demo are a CPU's
    out.mkdir(parents=True, exist_ok=True)
    _remember(out, size)
    console, began = Console(stderr=True, soft_wrap=True), time.perf_counter()
    for number, station in enumerate(stations(out, size, ranks), start=1):
        console.rule(f"[bold]{number}. {station.title}", align="left")
        if station.note:
            console.print(station.note, style="dim")
        if station.product.exists():
            console.print(f"{station.product} is there already.")
            continue
        at = time.perf_counter()
        station.run(console)
        console.print(f"[dim]{time.perf_counter() - at:.0f} s")
    console.rule(f"[bold]Done in {(time.perf_counter() - began) / 60:.1f} minutes", align="left")
    console.print(f"Open {out / 'index.html'} for radiographs, references and generated texts side by side.")
    console.print(f"Watch the training: tensorboard --logdir {out}")
    console.print(f"Ask it yourself: cxr describe {out / 'model'} {_a_test_image(out)}")


@dataclass(frozen=True)
class Station:
    """One stop of the journey.

    Attributes:
        title: What happens here.
        product: What is there once it has happened.
        run: Makes it happen.
        note: What a reader should know.
    """

    title: str
    product: Path
    run: Callable[[Console], None]
    note: str = ""


def stations(out: Path, size: Size, ranks: int) -> list[Station]:
    """Returns the journey's stops in order."""
    archive, shards, model = out / "phantoms", out / "shards", out / "model"
    draw = ["phantoms", archive, "--studies", size.studies, "--seed", size.seed, "--size", size.image]
    pack = ["pack", "table", archive, "--out", shards, "--size", size.image]
    first, second = (out / name for name in ("stage1", "stage2"))
    parts = ["--model.source.vision", out / "tower", "--model.source.language", out / "language"]
    shared = ["--data.shards", shards, "--trainer.devices", ranks, "--ckpt_path", "auto"]
    align = [
        "fit",
        "--config",
        _HERE / "stage1.yaml",
        *parts,
        "--data.epochs",
        size.align_epochs,
        "--run",
        first,
        *shared,
    ]
    instruct = ["fit", "--config", _HERE / "stage2.yaml", "--model.init_from", first]
    instruct += ["--data.epochs", size.instruct_epochs, "--run", second, *shared]
    score = ["evaluate", model, shards, "--out", out, "--limit", 400, "--runs", json.dumps([str(first), str(second)])]
    return [
        Station("Phantoms: radiographs with reports and known findings", archive / "studies.jsonl", _verb(draw)),
        Station("Shards: reports cleaned, images and summaries packed", shards, _verb(pack)),
        Station(
            "Preparation: a tower that sees, a language model that writes",
            out / "language",
            _prepare(out, size),
            _PREPARE,
        ),
        Station("Stage 1, alignment: only the projector learns", first / "done", _verb(align, first / "done")),
        Station(
            "Stage 2, instruction tuning: LoRA and the projector", second / "done", _verb(instruct, second / "done")
        ),
        Station("Export: merged, proven, ready to serve", model, _verb(["export", second, "--out", model])),
        Station(
            "Evaluation: patients never seen, other patients' images, no image", out / "metrics.json", _verb(score)
        ),
    ]


def _verb(arguments: list[object], mark: Path | None = None) -> Callable[[Console], None]:
    """Returns a call of one verb in a process of its own, as a user would make it."""
    words = [str(argument) for argument in arguments]

    def run(console: Console) -> None:
        console.print(f"[cyan]$ cxr {shlex.join(words)}", highlight=False, soft_wrap=True)
        subprocess.run([sys.executable, "-m", "cxr_lightning", *words], check=True)
        if mark is not None:
            mark.touch()

    return run


def _prepare(out: Path, size: Size) -> Callable[[Console], None]:
    """Returns the preparation of tower and language model, side by side: neither needs the other."""

    def run(console: Console) -> None:
        names = ["tower", "language"]
        logs = {name: (out / f"{name}.log").open("w") for name in names}
        jobs = {
            name: subprocess.Popen(_preparation(name, out, size), stdout=logs[name], stderr=subprocess.STDOUT)
            for name in names
        }
        with console.status("Training both side by side") as status:
            while any(job.poll() is None for job in jobs.values()):
                status.update(" · ".join(filter(None, (_last_line(out / f"{name}.log") for name in names))))
                time.sleep(1)
        codes = {name: job.returncode for name, job in jobs.items()}
        for name in names:
            logs[name].close()
            told = (out / f"{name}.log").read_text().strip()
            if codes[name]:
                raise ValueError(f"Preparing the {name} failed; {out / name}.log says:\n{told[-2000:]}")
            console.print(told.splitlines()[-1])

    return run


def _last_line(path: Path) -> str:
    return (path.read_text().strip().splitlines() or [""])[-1]


def _preparation(name: str, out: Path, size: Size) -> list[str]:
    steps = size.tower_steps if name == "tower" else size.language_steps
    words = [name, str(out / "phantoms"), str(out / name), str(size.seed), "" if steps is None else str(steps)]
    return [sys.executable, "-m", "cxr_lightning.demo.preparation", *words]


def _remember(out: Path, size: Size) -> None:
    """Keeps the settings beside the products, so that two demos never mix."""
    record, settings = out / "settings.json", asdict(size)
    if record.exists() and json.loads(record.read_text()) != settings:
        raise OtherDemoError(
            f"{out} holds a demo of other settings ({record}). Remedy: delete {out}, or name another folder."
        )
    record.write_text(json.dumps(settings, indent=2) + "\n")


def _a_test_image(out: Path) -> Path:
    return next(iter(sorted((out / "phantoms" / "images").glob("*.png"))), out / "phantoms" / "images")
