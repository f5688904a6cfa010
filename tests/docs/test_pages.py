"""What the pages promise: links lead somewhere, commands parse, targets exist, errors are listed with remedies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import ROOT, logical_lines, parse

PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    and path.relative_to(ROOT).parts[0] not in ("demo", "work", "runs")  # what users make; not our pages
)
pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI.s args parameter")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(page: Path) -> Iterator[str]:
    """Yields the fenced shell blocks of a page."""
    yield from re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", page.read_text(), flags=re.M | re.S)


def commands(pattern: str) -> list[object]:
    """Returns every shell line of every page that matches, as test parameters."""
    found = [(page, line) for page in PAGES for block in blocks(page) for line in logical_lines(block)]
    return [
        pytest.param(line, id=f"{page.relative_to(ROOT)}: {line[:60]}")
        for page, line in found
        if re.match(pattern, line)
    ]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.quick
@every_page
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```|<!--.*?-->", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(place), f"{target}: no such heading"


@pytest.mark.parametrize("line", commands(r"(srun )?cxr |sbatch "))
def test_commands_parse(line):
    parse(line)


@pytest.mark.quick
@every_page
def test_targets_exist(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = re.findall(r"`make ([a-z]+)", page.read_text())
    named += [line.split()[1] for block in blocks(page) for line in logical_lines(block) if line.startswith("make ")]
    assert set(named) <= targets


@pytest.mark.quick
def test_every_named_error_has_its_remedy_on_a_page():
    text = "".join(path.read_text() for path in (ROOT / "cxr_lightning").rglob("*.py"))
    defined = set(re.findall(r"^class (\w+)\((?:ValueError|RuntimeError|OSError)\)", text, flags=re.M))
    listed = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "failures.md").read_text(), flags=re.M))
    assert defined - listed == set(), "not in docs/failures.md"
    assert listed - defined == set(), "in docs/failures.md, and not in the code"


@pytest.mark.quick
@every_page
def test_a_page_opens_with_its_name(page):
    assert page.read_text().startswith("# ")
