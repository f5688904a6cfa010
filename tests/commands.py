"""Command lines as they stand in configurations and pages, parsed by the parsers that `cxr` uses; nothing runs."""

from __future__ import annotations

import contextlib
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cxr_lightning.cli import VERBS, verb_of
from cxr_lightning.options import divided, parser_of

ROOT = Path(__file__).parents[1]


def logical_lines(text: str) -> Iterator[str]:
    """Yields shell lines with continuations joined and comments dropped."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield shlex.join(words)


def parse(line: str) -> Any:
    """Parses one line that begins with `cxr`, `srun cxr` or `sbatch`; returns what the parser made of it."""
    words = [word for word in shlex.split(line) if word != "..."]
    if words[0] == "sbatch":
        script = next(number for number, word in enumerate(words) if word.startswith("slurm/"))
        assert (ROOT / words[script]).is_file(), f"there is no {words[script]}"
        name = Path(words[script]).stem
        if name in VERBS:  # export.sh, evaluate.sh: each runs the verb of its name
            return _parse_verb(name, words[script + 1 :])
        config = f"configs/{name}.yaml"
        return parse_fit(["--config", config, *words[script + 1 :]])
    verb, args = verb_of(words[words.index("cxr") + 1 :])
    args = list(args)
    assert verb in VERBS, f"there is no verb {verb}"
    if verb == "preflight":
        from cxr_lightning.cluster.preflight.asking import PreflightCli

        return parse_fit(args, PreflightCli)
    if verb == "plan":
        from cxr_lightning.cluster.planning.asking import Asked

        return Asked.read([str(ROOT / word) if word.endswith(".yaml") else word for word in args]).config
    if verb == "sweep":
        return parse_sweep(args)
    return parse_fit(args) if VERBS[verb].parses else _parse_verb(verb, args)


def parse_fit(args: list[str], cli: Any = None) -> Any:
    """Parses the command line of `cxr fit`, or of a verb that takes the same; files are the repository's."""
    from cxr_lightning.training.fit import FitCli, open_cli

    class Parsed(cli or FitCli):
        def before_instantiate_classes(self) -> None: ...

        def instantiate_classes(self) -> None: ...

    return open_cli([str(ROOT / word) if word.endswith(".yaml") else word for word in args], Parsed).config


def parse_sweep(args: list[str]) -> Any:
    """Parses the command line of `cxr sweep`, its file, and every trial of it; nothing is submitted."""
    from cxr_lightning.cluster.sweeps.check import check
    from cxr_lightning.cluster.sweeps.sweep import read_sweep
    from cxr_lightning.cluster.sweeps.verb import arguments

    if args[0] in ("status", "report"):
        assert len(args) == 2, "it takes the sweep's folder"
        return args
    options, more = arguments(args)
    with contextlib.chdir(ROOT):
        sweep = read_sweep(options.file, {})
        return check(sweep, sweep.trials(), more, opens=False)


def _parse_verb(verb: str, args: list[str]) -> Any:
    function = getattr(importlib.import_module(VERBS[verb].module), VERBS[verb].function)
    parser = parser_of(verb, function)
    parser.exit_on_error = False
    return parser.parse_args(divided(function, args)[0])
