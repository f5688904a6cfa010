"""The page that explains the shards and the types that make them say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import webdataset

from cxr_lightning.shards import contract
from cxr_lightning.shards.packing import pack
from cxr_lightning.shards.rows import Row, row_type
from cxr_lightning.shards.splits import Fractions

from .tables import table_of

pytestmark = pytest.mark.quick

PAGE = (Path(__file__).parents[2] / "shards" / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    match = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert match, f"shards/README.md has no section '{title}'"
    return match[1]


def first_column(title: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)`", section(title), re.MULTILINE)


@pytest.mark.parametrize(
    ("title", "record"),
    [
        ("Fields of `{key}.json`", contract.SampleRecord),
        ("Fields of a view", contract.ViewRecord),
        ("Fields of `index.json`", contract.IndexRecord),
        ("Fields of a shard", contract.ShardRecord),
        ("Fields of `members`", contract.MembersRecord),
        ("Rows of `index.npy`", Row),
    ],
)
def test_the_page_lists_every_field_in_order(title, record):
    assert first_column(title) == list(record.__annotations__)


def test_a_row_has_these_fields_in_this_order():
    assert row_type(9).names == Row._fields


def test_the_page_names_members_and_files():
    members = section("Members of a sample")
    suffixes = [contract.RECORD_SUFFIX, *contract.FORMATS]
    suffixes += [contract.LATERAL_SUFFIX.format(format=format) for format in contract.FORMATS]
    assert set(re.findall(r"`\{key\}\.([a-z.]+)`", members)) == set(suffixes)
    assert first_column("The folder") == [contract.SHARD_NAME, contract.ROWS_NAME, contract.INDEX_NAME]
    assert contract.IMAGE_MARK in section("Fields of `{key}.json`")


def test_the_pages_examples_run(tmp_path, monkeypatch, capsys):
    pack("table", table_of(tmp_path / "in"), out=tmp_path / "SHARDS", split=Fractions(1, 0, 0))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(webdataset.utils, "enforce_security", False)
    for example in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(example, "shards/README.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 1 + 12


def test_the_page_is_of_this_schema():
    assert PAGE.startswith(
        f"# The shard contract: samples of schema {contract.SCHEMA}, index of schema {contract.INDEX_SCHEMA}\n"
    )
