"""Stands in for `cxr fit` where a test is about the sweep: the same arguments, files and exit codes, at once.

The loss is the lower the nearer the learning rate is to 1e-3. A negative one is refused as by the optimizer, 13 dies of
SIGKILL. PRETEND_SECONDS is how long a step takes.
"""

import argparse
import json
import math
import os
import signal
import sys
import time
from pathlib import Path

import yaml

STEPS = 18
asked = False


def checkpoint(run, step):
    folder = run / "checkpoints" / f"step-{step:07d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights").write_text("w")
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "files": {"weights": {"bytes": 1, "sha256": ""}}}))


def newest(run):
    return max((int(path.name[5:]) for path in (run / "checkpoints").glob("step-*")), default=0)


def hear(*_):
    global asked
    asked = True


def main():
    signal.signal(signal.SIGTERM, hear)
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--pause_after_step", type=int, default=STEPS)
    options, _ = parser.parse_known_args()
    lr = yaml.safe_load(options.config.read_text())["model"]["init_args"]["optim"]["lr"]
    run, step = options.run, newest(options.run)
    if lr < 0:
        sys.exit(f"Traceback (most recent call last):\n  ...\nValueError: Invalid learning rate: {lr}")
    run.mkdir(exist_ok=True)
    (run / "run.json").write_text(json.dumps({"data": {"steps": STEPS}}))
    print(f"first step {step}")
    with (run / "metrics.jsonl").open("a") as metrics:
        while step < min(options.pause_after_step, STEPS):
            time.sleep(float(os.environ.get("PRETEND_SECONDS", "0")))
            step += 1
            if lr == 13 and step == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            if step % 2 == 0:
                loss = math.nan if lr > 1 else abs(math.log10(lr) + 3) + 1 / step
                print(json.dumps({"step": step, "validate/loss": loss}), file=metrics, flush=True)
            checkpoint(run, step)
            if asked:
                sys.exit(143)
    print("done" if step == STEPS else "paused")


main()
