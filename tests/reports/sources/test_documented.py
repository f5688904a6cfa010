"""The page on sources names every source, and every kind of flaw that one can tell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cxr_lightning.reports.sources import SOURCES

pytestmark = pytest.mark.quick

HERE = Path(__file__).parents[3]
PAGE = (HERE / "docs" / "sources.md").read_text()
CODE = "\n".join(path.read_text() for path in sorted((HERE / "cxr_lightning" / "reports" / "sources").glob("*.py")))
KINDS = sorted(
    set(re.findall(r'StudyError\(\s*"([^"]+)"', CODE))
    | set(re.findall(r'Flaw\(\s*[^,()]+(?:\([^()]*\))?,\s*"([^"]+)"', CODE))
    | {"path leads out", "image missing"}
)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_has_its_commands(name):
    assert f"cxr pack {name} " in PAGE or name == "table"
    if SOURCES[name].reports:
        assert f"cxr reports {name} " in PAGE or name == "mimic-cxr"


def test_kinds_are_found_in_the_code():
    assert {"view missing", "report missing", "study again", "XML with entities", "row unreadable"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_on_the_page(kind):
    assert f"`{kind}`" in PAGE
