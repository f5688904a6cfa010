"""No name and no link leads out of the folder; those that stay are found."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.reports.sources import StudyError
from cxr_lightning.reports.sources.inside import inside, readable

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "a/..", "..", "..\\x", "a/b/../../../c", "//etc/passwd"]
)
def test_names_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(StudyError, match="ROOT"):
        inside(tmp_path, name)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000])
def test_names_that_are_none_are_refused(tmp_path, name):
    with pytest.raises(StudyError, match="a path is empty"):
        inside(tmp_path, name)


def test_a_file_is_found_under_the_first_ending_that_is_there(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").touch()
    (tmp_path / "a" / "b.jpg").touch()
    (tmp_path / "a" / "c.png").mkdir()
    assert readable(tmp_path, "a/b", (".tif", ".png", ".jpg")) == tmp_path / "a" / "b.png"
    assert readable(tmp_path, "a\\b.png") == tmp_path / "a" / "b.png"
    assert readable(tmp_path, str(tmp_path / "a" / "b.png")) == tmp_path / "a" / "b.png"
    assert readable(tmp_path, "a/c", (".png",)) is None
    assert readable(tmp_path, "x" * 300) is None


def test_links_may_lead_about_but_not_out(tmp_path):
    root, out = tmp_path / "root", tmp_path / "out"
    for folder in (root / "deep", out):
        folder.mkdir(parents=True)
        (folder / "x").touch()
    (root / "deep" / "near").symlink_to(root / "deep" / "x")
    (root / "deep" / "far").symlink_to(out / "x")
    (root / "away").symlink_to(out)
    (root / "loop").symlink_to(root / "loop")
    (root / "dangling").symlink_to(root / "gone")
    assert readable(root, "deep/near") is not None
    for name in ("deep/far", "away/x"):
        with pytest.raises(StudyError, match="link"):
            readable(root, name)
    assert readable(root, "loop") is None
    assert readable(root, "dangling") is None


def test_a_folder_beside_with_a_longer_name_is_outside(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "rooted").mkdir()
    with pytest.raises(StudyError):
        inside(tmp_path / "root", str(tmp_path / "rooted" / "x"))


@given(
    st.lists(st.sampled_from(["..", ".", "a", "b", "link", "/", "\\", "~", "out", "%2e%2e", " "]), max_size=8).map(
        "/".join
    )
)
def test_whatever_the_name_nothing_outside_is_found(tmp_path_factory, name):
    base = tmp_path_factory.getbasetemp() / "names-inside"
    root = base / "root"
    if not base.exists():
        (root / "a").mkdir(parents=True)
        (root / "a" / "link").symlink_to(base)
        (base / "out").touch()
    try:
        found = readable(root, name)
    except StudyError:
        return
    assert found is None or os.path.realpath(found).startswith(str(root.resolve()) + os.sep)
