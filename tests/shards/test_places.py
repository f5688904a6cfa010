"""Words of the command line mean the tars that a WebDataset user expects."""

from __future__ import annotations

import fsspec
import pytest

from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.places import tars_of
from cxr_lightning.shards.storage import StorageError

pytestmark = pytest.mark.quick


@pytest.fixture
def shelf(tmp_path):
    for name in ("a-000.tar", "a-001.tar", "a-010.tar", "b[1].tar", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["{here}"], ["a-000", "a-001", "a-010", "b[1]"]),
        (["{here}/a-*.tar"], ["a-000", "a-001", "a-010"]),
        (["{here}/a-{{000..001}}.tar"], ["a-000", "a-001"]),
        (["{here}/a-0{{01,10}}.tar", "{here}/a-000.tar"], ["a-001", "a-010", "a-000"]),
        (["{here}/b[1].tar"], ["b[1]"]),
        (["{here}/a-001.tar", "{here}"], ["a-001", "a-000", "a-010", "b[1]"]),
        (["file://{here}/a-001.tar"], ["a-001"]),
    ],
)
def test_words_mean_tars(shelf, words, found):
    assert tars_of(word.format(here=shelf) for word in words) == [str(shelf / f"{name}.tar") for name in found]


def test_paths_are_made_absolute(shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    assert tars_of(["a-000.tar"]) == [str(shelf / "a-000.tar")]


def test_remote_folders_and_patterns_are_listed_and_single_ones_taken_at_their_word():
    memory = fsspec.filesystem("memory")
    for name in ("000.tar", "001.tar", "note.txt"):
        memory.pipe(f"/rack/{name}", b"")
    both = ["memory://rack/000.tar", "memory://rack/001.tar"]
    assert [tar.replace(":///", "://") for tar in tars_of(["memory://rack/"])] == both
    assert [tar.replace(":///", "://") for tar in tars_of(["memory://rack/0*.tar"])] == both
    assert tars_of(["https://elsewhere/{7..8}.tar?x=1"]) == [f"https://elsewhere/{n}.tar?x=1" for n in (7, 8)]


@pytest.mark.parametrize("word", ["{here}/none.tar", "{here}/none-*.tar", "memory://none/"])
def test_words_that_mean_nothing_are_named(shelf, word):
    with pytest.raises((ShardError, StorageError), match="none"):
        tars_of([word.format(here=shelf)])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("{here}/absent", "absent: there is no tar and no folder of this name"),
        ("{here}/empty", "empty: there is no tar in this folder"),
        ("{here}/x-*.tar", r"x-\*.tar: there is no tar of such a name; look at the pattern"),
        ("memory://absent/", "memory://absent/: there is no tar; look at the URL"),
    ],
)
def test_what_is_not_there_is_told_from_what_is_empty(shelf, word, said):
    (shelf / "empty").mkdir()
    with pytest.raises(ShardError, match=said):
        tars_of([word.format(here=shelf)])
