"""The command line of a fit enters; its configuration leaves, as plain values, or why there is none."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from cxr_lightning.training.fit import FitCli, open_cli

_DESCRIPTION = """Look at everything a training needs, on all its nodes, before it begins.

Take the command line of the fit and write preflight for fit. In a job, one task a device, as the fit will have:
srun cxr preflight ... Alone, on a login node or a laptop, it looks at what one process can see. A bad node is named,
with what helps; exit status 1 says that a training should not begin. Warnings do not keep it from beginning.
"""


@dataclass(frozen=True)
class Options:
    """What belongs to the look itself.

    Args:
        wait: Seconds that ranks may take to come; who has not come by then is named.
        samples: Samples of the shards that each node reads.
        json: File for everything that was found.
    """

    wait: float = 300.0
    samples: int = 16
    json: str | None = None


class PreflightCli(FitCli):
    """Reads the configuration of a fit, with the look's own options, and builds nothing."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the look's own options to those of a fit."""
        super().add_arguments_to_parser(parser)
        parser.add_class_arguments(Options, "preflight", instantiate=False)

    def instantiate_classes(self) -> None:
        """Builds nothing."""


@dataclass(frozen=True)
class Asked:
    """A configuration, or why there is none.

    Attributes:
        config: Plain values; empty where it could not be read.
        text: The same as YAML, without the look's own options.
        why: What is wrong with it.
        code: The exit status that a fit would end with.
        options: The look's own.
        parsed: The configuration as the parser has it.
    """

    config: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    why: str = ""
    code: int = 0
    options: Options = Options()
    parsed: Any = None


def ask(args: Sequence[str]) -> Asked:
    """Reads a command line; what a fit would refuse at once is told, not raised: rank 0 says it for all.

    Args:
        args: After `cxr preflight`.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            cli = open_cli(args, PreflightCli, "cxr preflight", _DESCRIPTION)
    except SystemExit as ending:
        if not ending.code:  # --help, --print_config
            raise
        text = said.getvalue().strip()
        return Asked(why=text.rpartition("error: ")[2] or text, code=2)
    except (ValueError, OSError) as error:
        return Asked(why=str(error), code=1)
    options = Options(**cli.config.pop("preflight").as_dict())
    return Asked(
        plain(cli.config), cli.parser.dump(cli.config, skip_validation=True), options=options, parsed=cli.config
    )


def plain(value: Any) -> Any:
    """Returns a parsed value with plain dictionaries in place of the parser's own."""
    if isinstance(value, Namespace):
        return {name: plain(each) for name, each in vars(value).items()}
    return [plain(each) for each in value] if isinstance(value, list) else value
