"""A result enters, the table and the list that a terminal shows leave."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cxr_lightning.shards.inspection.checks import CHECKS, Wrong
from cxr_lightning.shards.inspection.result import Result, spread
from cxr_lightning.site import shown
from cxr_lightning.study import SPLITS

MOST_LISTED = 20


def tell(result: Result, console: Console) -> None:
    """Print what was looked at, and what was found.

    Args:
        result: What the inspection came to.
        console: Where to.
    """
    _tell_checks(result, console)
    looked = result.looked
    tally, words = result.tally, spread(result.tally.words)
    splits = ", ".join(f"{tally.samples[split]} {split}" for split in SPLITS)
    long = f"; {words['median']} words (median)" if words else ""
    rate = looked.samples / max(looked.seconds, 1e-9)
    console.print(
        f"{_samples(result)} ({splits}) of {looked.patients} patients in {len(result.opened.tars)} shards{long}. "
        f"{looked.bytes / 2**20:.0f} MiB in {looked.seconds:.1f} s, {rate:.0f} samples/s."
    )
    residue = ", ".join(f"{count} of {kind}" for kind, count in tally.residue.most_common() if count)
    if residue:
        console.print(f"What cleaning leaves, in {sum(tally.texts.values())} summaries: {escape(residue)}.")
    for each in _warnings(result)[:MOST_LISTED]:
        console.print(f"[yellow]![/] {escape(str(each))}", soft_wrap=True)


def _tell_checks(result: Result, console: Console) -> None:
    """Prints a row for each check that found something, and those that passed in a line."""
    record, counts = result.opened.record, result.findings.counts
    print_of = f", fingerprint {record['fingerprint'][:12]}" if record is not None else ""
    console.print(f"[bold]{escape(shown(result.opened.root))}[/]{print_of}", soft_wrap=True, highlight=False)
    found = [name for name in CHECKS if counts[name, "error"] or counts[name, "warning"]]
    table = Table("", "check", "right when", "errors", "warnings")
    for name in found:
        errors, warnings = counts[name, "error"], counts[name, "warning"]
        if name in result.lenient:
            errors, warnings = 0, errors + warnings
        mark = "[red]✗[/]" if errors else "[yellow]![/]"
        table.add_row(mark, f"[bold]{name}[/]", CHECKS[name].title, *(str(n or "") for n in (errors, warnings)))
    if found:
        console.print(table)
    groups = {
        "[green]✓[/] right": [name for name in CHECKS if result.looked_at(name) and not result.in_part(name)],
        "[yellow]![/] right in what could be read": [name for name in CHECKS if result.in_part(name)],
        "[dim]–[/] not looked at": [name for name in CHECKS if not result.looked_at(name)],
    }
    for words, names in groups.items():
        if others := [name for name in names if name not in found]:
            console.print(f"{words}: {', '.join(others)}", highlight=False)


def _samples(result: Result) -> str:
    looked = result.looked
    return f"{looked.samples} of {looked.samples + looked.lost} samples" if looked.lost else f"{looked.samples} samples"


def listed(result: Result) -> str:
    """Write the list of what is wrong.

    Args:
        result: What the inspection came to, which is not good.
    """
    told = [each for each in result.findings.told if result.strict or _fails(result, each)]
    number = result.errors + (result.warnings if result.strict else 0)
    lines = "".join(f"\n  {each}" for each in told[:MOST_LISTED])
    more = f"\n  and {number - MOST_LISTED} more" if number > MOST_LISTED else ""
    checks = dict.fromkeys(each.check for each in told)
    remedies = "".join(f"\n  {name}: {CHECKS[name].remedy}" for name in checks)
    things = "1 thing is" if number == 1 else f"{number} things are"
    return f"{shown(result.opened.root)}: {things} wrong:{lines}{more}\nRemedy:{remedies}"


def _fails(result: Result, wrong: Wrong) -> bool:
    return result.severity(wrong.check, wrong.severity) == "error"


def _warnings(result: Result) -> list[Wrong]:
    return [] if result.strict else [each for each in result.findings.told if not _fails(result, each)]
