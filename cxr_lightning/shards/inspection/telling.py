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
    record, counts, looked = result.opened.record, result.findings.counts, result.looked
    print_of = f"  fingerprint {record['fingerprint'][:12]}" if record is not None else ""
    table = Table(
        "", "check", "right when", "errors", "warnings", title=f"{escape(shown(result.opened.root))}{print_of}"
    )
    for name, check in CHECKS.items():
        errors, warnings = counts[name, "error"], counts[name, "warning"]
        if name in result.lenient:
            errors, warnings = 0, errors + warnings
        mark = (
            "[dim]not looked at[/]"
            if not result.looked_at(name)
            else "[red]✗[/]"
            if errors
            else "[yellow]![/]"
            if warnings
            else "[green]✓[/]"
        )
        table.add_row(mark, f"[bold]{name}[/]", check.title, *("" if not n else str(n) for n in (errors, warnings)))
    console.print(table)
    tally, words = result.tally, spread(result.tally.words)
    splits = ", ".join(f"{tally.samples[split]} {split}" for split in SPLITS)
    long = f"; {words['median']} words (median)" if words else ""
    rate = looked.samples / max(looked.seconds, 1e-9)
    console.print(
        f"{looked.samples} samples ({splits}) of {looked.patients} patients in {len(result.opened.tars)} shards{long}. "
        f"{looked.bytes / 2**20:.0f} MiB in {looked.seconds:.1f} s, {rate:.0f} samples/s."
    )
    residue = ", ".join(f"{count} of {kind}" for kind, count in tally.residue.most_common() if count)
    if residue:
        console.print(f"What cleaning leaves, in {sum(tally.texts.values())} summaries: {escape(residue)}.")
    for each in _warnings(result)[:MOST_LISTED]:
        console.print(f"[yellow]![/] {escape(str(each))}", soft_wrap=True)


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
