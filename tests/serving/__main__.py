"""python -m tests.serving --vllm /path/to/bin/vllm --real /path/to/radiographs [--case clip-mlp ...]

Makes small models by this package, serves each by a real vLLM, asks both it and transformers about real radiographs
through the OpenAI client, greedily, and says how many words are the same. WORK/transcript.md keeps what was said. It
ends with 1 if a model is not served, or answers otherwise.

The radiographs: a folder with open/manifest.jsonl (id, group, view, report, image) and the images it names.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from tests.serving.models import CASES
from tests.serving.running import Served, serve, table, transcript


def main() -> int:
    """Runs the cases and returns the exit status."""
    options = _options()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    options.work.mkdir(parents=True, exist_ok=True)
    console, results = Console(), list[Served]()
    for name in options.case or list(CASES):
        console.rule(f"{name}: {CASES[name].about}", align="left")
        asked = {"dtype": options.dtype, "loads": options.load}
        results.append(serve(name, options.work, options.real, options.vllm, **asked))
        console.print(table(results))
        (options.work / "transcript.md").write_text(transcript(results, options.dtype))
    return 0 if all(each.holds for each in results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.serving", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--vllm", type=Path, required=True, help="the vllm command")
    parser.add_argument("--real", type=Path, required=True, help="folder of real radiographs with captions")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this one; may be given again")
    parser.add_argument("--work", type=Path, default=Path("work/serving"), help="where models and transcript lie")
    parser.add_argument("--dtype", choices=["bfloat16", "float32", "float16"], default="bfloat16")
    parser.add_argument("--load", type=int, nargs="*", default=[], help="also measure so many requests at a time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
