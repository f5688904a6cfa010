"""Tables of any editor and folders of any archive are read, or it is said in which line they cannot be."""

from __future__ import annotations

import os

import pytest

from cxr_lightning.serve.cases import InputError, Wishes, cases
from tests.serve.test_films import png_header

pytestmark = pytest.mark.quick
WISHES = Wishes("Q", None, "test", False)
ROW = '{"image": "a.png", "question": "Größe?"}\n'


def test_a_table_with_a_mark_in_front_is_read(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(ROW.encode("utf-8-sig"))
    assert [(case.id, case.question) for case in cases([str(tmp_path / "t.jsonl")], WISHES)] == [("a.png", "Größe?")]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_told_by_line(tmp_path, encoding):
    (tmp_path / "t.jsonl").write_bytes(ROW.encode(encoding))
    with pytest.raises(InputError, match=r"t\.jsonl, line 1: no UTF-8"):
        list(cases([str(tmp_path / "t.jsonl")], WISHES))


def test_linked_folders_are_entered_once_and_pipes_passed_over(tmp_path):
    archive, folder = tmp_path / "archive", tmp_path / "folder"
    archive.mkdir()
    folder.mkdir()
    (archive / "a.png").write_bytes(png_header(8, 8))
    (folder / "linked").symlink_to(archive)
    (folder / "up").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    assert [case.id for case in cases([str(folder)], WISHES)] == [str(folder / "linked" / "a.png")]
