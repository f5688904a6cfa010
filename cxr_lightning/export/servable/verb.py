"""`cxr servable`: a table of what was looked at, and which servers take the folder."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cxr_lightning.export.servable.finding import Finding
from cxr_lightning.export.servable.judging import judge
from cxr_lightning.export.servable.knowledge import VERSION
from cxr_lightning.export.servable.servers import Server, servers


class NotServableError(ValueError):
    """vLLM would not serve a folder by a model of its own."""


def servable(folder: Path, *, tensors: bool = True) -> None:
    """Check that vLLM will serve a folder, without loading it, and say what else will.

    Reads configuration, tokenizer, processor and the headers of the weights, as vLLM 0.32 reads them; vLLM need not be
    installed. Ends with 1 where vLLM would refuse the folder.

    Args:
        folder: What `cxr export RUN --out DIR` wrote: a model, or an adapter.
        tensors: Compare every tensor with those of the architecture; that imports transformers, and all else takes a
            tenth of the time.
    """
    findings = judge(folder, tensors=tensors)
    able = servers(folder, findings)
    console = Console()
    console.print(table(findings))
    for each in able:
        mark = "[green]serves it[/]" if each.serves else "[red]does not[/]"
        console.print(f"{each.name}: {mark}" + (f"  {escape(each.command)}" if each.serves else ""), highlight=False)
    for wrong in (each for each in findings if not each.holds):
        console.print(f"{wrong.what}: {wrong.found}. Remedy: {wrong.remedy}.", highlight=False, markup=False)
    if not able[0].serves:
        raise NotServableError(_refusal(folder, able))


def table(findings: list[Finding]) -> Table:
    """Returns the findings as a table."""
    grid = Table(title=f"What vLLM {VERSION} asks", title_justify="left")
    for heading in ("it asks that", "found", ""):
        grid.add_column(heading)
    for each in findings:
        no = "[yellow]better" if each.weight == "advice" else "[red]fails"
        grid.add_row(escape(each.what), escape(each.found), "[green]holds" if each.holds else no)
    return grid


def _refusal(folder: Path, able: list[Server]) -> str:
    others = [each for each in able[1:] if each.serves]
    instead = "; or: ".join(each.command for each in others)
    told = f"What serves it: {instead}" if others else "Nothing serves it as it is: see the remedies above"
    return f"vLLM would not serve {folder} by a model of its own. {told}."
