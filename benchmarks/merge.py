"""Memory and time of a merge: ours, tensor by tensor, beside PEFT's `merge_and_unload` and `save_pretrained`.

    python benchmarks/merge.py [--rank 64] [--rounds 3] [--dtype bfloat16] [--tiny] [--json FILE]

A random Llama of 1.1 billion parameters (TinyLlama's shape), adapters on all its linear layers. Each merge is a process
of its own, rounds of all ways are interleaved; memory is the process's highest resident size, what is mapped of files
included, as a scheduler sees it. Both wait for the disk. Ours is held against W + s B A in float32, rounded once, bit
by bit; how far PEFT's is from that is told as well. "cxr export" is the whole verb: the same merge, and
the proof, which PEFT has none of.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from rich.console import Console
from rich.table import Table

WAYS = ("ours", "PEFT", "cxr export")
ALPHA = 128


def make(folder: Path, rank: int, dtype: str, *, tiny: bool) -> None:
    """Writes a base, the same adapters as a run of ours and as PEFT's, with both halves drawn."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    from cxr_lightning.checkpoint import manifest, weights
    from cxr_lightning.checkpoint.runs import WEIGHTS, write_provenance
    from cxr_lightning.model.fingerprint import fingerprint
    from cxr_lightning.model.lora import Lora, loras_to_json
    from cxr_lightning.model.source import ModelSource
    from cxr_lightning.model.tiny import write_language

    base, run = folder / "base", folder / "run"
    write_language(base)  # for its tokenizer
    torch.manual_seed(0)
    wide = {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32}
    small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        num_key_value_heads=4, vocab_size=32000, tie_word_embeddings=False, **(small if tiny else wide)
    )
    torch.set_default_dtype(getattr(torch, dtype))
    model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(base)
    names = sorted(
        {name.rsplit(".", 1)[-1] for name, each in model.named_modules() if isinstance(each, torch.nn.Linear)}
    )
    names.remove("lm_head")
    lora = Lora(rank=rank, alpha=ALPHA)
    untaught = fingerprint(model.named_parameters())
    theirs = get_peft_model(model, LoraConfig(r=rank, lora_alpha=ALPHA, target_modules=names, lora_dropout=0.0))
    learned = {}
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if ".lora_" in name:
                parameter.normal_(std=0.02)
                learned[name.removeprefix("base_model.model.")] = parameter.detach().float()
    theirs.save_pretrained(folder / "adapter")
    checkpoint = run / "checkpoints" / "step-0000001"
    checkpoint.mkdir(parents=True)
    weights.save(checkpoint / WEIGHTS, learned, base=untaught, lora=loras_to_json({"language": lora}))
    manifest.write(checkpoint, {WEIGHTS: manifest.entry(checkpoint / WEIGHTS)})
    count = {"learning": sum(each.numel() for each in learned.values()), "total": model.num_parameters()}
    trainable = {"vision": "frozen", "projector": "frozen", "language": "lora"}
    about = {"stage": "language", "model": ModelSource(language=str(base)).to_json(), "precision": "bf16-true"}
    about |= {"trainable": trainable, "lora": loras_to_json({"language": lora}), "parameters": count, "inherits": None}
    about |= {"data": {"fingerprint": "none", "samples": 0}, "base_fingerprint": untaught, "commit": None}
    write_provenance(run, {**about, "cxr_lightning": "benchmark"})


def merge_ours(folder: Path, out: Path, dtype: str) -> None:
    """Merges and writes as `cxr export` does, without the proof."""
    import torch

    from cxr_lightning.checkpoint.publish import sync_all
    from cxr_lightning.checkpoint.runs import open_run
    from cxr_lightning.export.contents import plan, write_beside
    from cxr_lightning.export.merge import Merged
    from cxr_lightning.export.trained import learn, load_base
    from cxr_lightning.export.writing import write

    run = open_run(folder / "run")
    checkpoint = run.checkpoint()  # with its checksums
    trained = learn(load_base(run), checkpoint)
    merged = Merged(trained.module, trained.loras, trained.family, trained.read, trained.pages)
    contents = plan(trained, merged, getattr(torch, dtype))
    out.mkdir()
    write(out, contents.entries, 5 * 10**9)
    write_beside(out, trained.processor, contents.frame, getattr(torch, dtype))
    sync_all(out)


def merge_theirs(folder: Path, out: Path, dtype: str) -> None:
    """Merges and writes as PEFT's documentation has it."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from cxr_lightning.checkpoint.publish import sync_all

    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=getattr(torch, dtype))
    merged = PeftModel.from_pretrained(model, folder / "adapter").merge_and_unload()
    merged.save_pretrained(out)
    AutoTokenizer.from_pretrained(folder / "base").save_pretrained(out)
    sync_all(out)


def export(folder: Path, out: Path, dtype: str) -> None:
    """Runs the verb."""
    from cxr_lightning.export.package import export as verb

    verb(folder / "run", out=out, dtype=dtype)  # type: ignore[arg-type]


def one(way: str, folder: Path, out: Path, dtype: str) -> None:
    """Merges in this process and prints what it took."""
    began = time.perf_counter()
    {"ours": merge_ours, "PEFT": merge_theirs, "cxr export": export}[way](folder, out, dtype)
    status = Path("/proc/self/status").read_text().split()
    peak = int(status[status.index("VmHWM:") + 1]) / 1024
    figures = {"seconds": time.perf_counter() - began, "cpu": time.process_time(), "mib": peak}
    print("\n" + json.dumps(figures))


def compare(folder: Path, out: Path, dtype: str, rank: int) -> dict[str, Any]:
    """Compares merged files with W + s B A in float32, rounded once."""
    import torch
    from safetensors import safe_open

    from cxr_lightning.checkpoint.runs import WEIGHTS

    equal = total = 0
    worst = 0.0
    with (
        safe_open(folder / "base" / "model.safetensors", "pt") as base,
        safe_open(folder / "run" / "checkpoints" / "step-0000001" / WEIGHTS, "pt") as learned,
        safe_open(out / "model.safetensors", "pt") as merged,
    ):
        places = set(learned.keys())
        for name in base.keys():  # noqa: SIM118 (not a dict)
            expected = base.get_tensor(name).float()
            layer = name.removesuffix(".weight")
            if f"{layer}.lora_A.default.weight" in places:
                down, up = (learned.get_tensor(f"{layer}.lora_{half}.default.weight").float() for half in "AB")
                expected = expected + ALPHA / rank * (up @ down)
            found, rounded = merged.get_tensor(name), expected.to(getattr(torch, dtype))
            equal, total = equal + int(torch.equal(found, rounded)), total + 1
            worst = max(worst, float((found.float() - expected).abs().max()))
    return {"equal": equal, "total": total, "worst": worst}


def main() -> None:
    """Measures all ways and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--tiny", action="store_true", help="a model of 4 million parameters, to see that it works")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("WAY", "FOLDER", "OUT"), help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args.one[0], Path(args.one[1]), Path(args.one[2]), args.dtype)
        return
    if args.make:
        make(args.make, args.rank, args.dtype, tiny=args.tiny)
        return
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(Path(scratch), args)
    tell(found, args)


def measure(folder: Path, args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Returns the median figures of each way, with how its weights compare."""
    same = ["--rank", str(args.rank), "--dtype", args.dtype, *(["--tiny"] if args.tiny else [])]
    # A process of its own: memory that this one held would count for no way, but would be missing on the machine.
    subprocess.run([sys.executable, __file__, "--make", folder, *same], check=True, capture_output=True)
    seen: dict[str, list[dict[str, float]]] = defaultdict(list)
    found: dict[str, dict[str, Any]] = {}
    for turn in range(args.rounds):
        for way in WAYS:
            out = folder / f"out-{way}-{turn}".replace(" ", "-")
            command = [sys.executable, __file__, "--one", way, folder, out, *same]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            seen[way].append(json.loads(done.stdout.splitlines()[-1]))
            if turn == 0:
                found[way] = compare(folder, out, args.dtype, args.rank)
            subprocess.run(["rm", "-r", out], check=True)
    for way, figures in seen.items():
        found[way] |= {name: statistics.median(each[name] for each in figures) for name in figures[0]}
        found[way]["range"] = [min(each["seconds"] for each in figures), max(each["seconds"] for each in figures)]
    return found


def tell(found: dict[str, dict[str, Any]], args: argparse.Namespace) -> None:
    """Prints the table and the ratios."""
    grid = Table(title=f"Merge of rank {args.rank} into {args.dtype}", title_justify="left")
    for heading in ("", "seconds", "CPU s", "highest MiB", "bit-equal to the reference", "furthest from it"):
        grid.add_column(heading)
    for way, each in found.items():
        low, high = each["range"]
        grid.add_row(
            way, f"{each['seconds']:.1f} ({low:.1f} to {high:.1f})", f"{each['cpu']:.1f}", f"{each['mib']:,.0f}",
            f"{each['equal']} of {each['total']}", f"{each['worst']:.2g}",
        )  # fmt: skip
    console = Console(width=140)
    console.print(grid)
    ours, theirs = found["ours"], found["PEFT"]
    console.print(
        f"Ours is {theirs['seconds'] / ours['seconds']:.2f} times as fast ({theirs['cpu'] / ours['cpu']:.2f} in CPU "
        f"time) in {ours['mib'] / theirs['mib']:.2f} of the memory."
    )
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
