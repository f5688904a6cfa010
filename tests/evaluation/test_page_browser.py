"""The page in a real browser: filters, search, keys, the viewer, paper, and neither errors nor foreign scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.evaluation.page import write_page
from tests.evaluation.numbers import GOOD, TRUTH, numbers
from tests.evaluation.test_page import card

WIDTHS = {"desktop": 1280, "phone": 390}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of four studies, one of which tries to run a script."""
    folder: Path = tmp_path_factory.mktemp("page")
    said = {"good": GOOD, "right": TRUTH, "evil": "<script>window.evil = 1</script><img src=x onerror='evil=1'>"}
    studies = [card(key, answer) for key, answer in said.items()]
    studies.append(replace(card("normal", "Clear."), truth=frozenset(), reference="لا يوجد انصباب"))
    return write_page(folder, studies, numbers([GOOD, TRUTH, GOOD])).as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, opened; what its console says fails the test."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    yield page
    assert not said
    assert page.evaluate("window.evil") is None
    page.close()


def shown(page: Any) -> list[str]:
    return [each.get_attribute("id").removeprefix("study-") for each in page.query_selector_all(".card:not([hidden])")]


def test_studies_are_filtered_searched_and_ordered(page: Any) -> None:
    assert shown(page)[0] == "evil"
    page.locator("label:has([value=right])").click()
    assert set(shown(page)) == {"right", "normal"}
    page.locator("label:has([value=normal])").click()
    assert shown(page) == ["normal"]
    page.keyboard.press("Escape")
    assert len(shown(page)) == 4
    page.keyboard.press("/")
    page.keyboard.type("apical pneumo")
    assert shown(page) == ["good"]
    assert page.inner_text("#count") == "1 of 4 shown"
    page.keyboard.press("Escape")
    page.select_option("#order", "best")
    assert shown(page)[-1] == "evil"
    page.click("a[data-finding='left pneumothorax']")
    assert shown(page) == ["good"]


def test_keys_walk_open_and_enlarge(page: Any) -> None:
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.id") == f"study-{shown(page)[1]}"
    page.keyboard.press("o")
    assert page.locator(f"#study-{shown(page)[1]} details").get_attribute("open") is not None
    page.keyboard.press("Enter")
    assert page.locator("dialog").is_visible()
    page.check("[name=invert]")
    assert "invert(1)" in page.locator("dialog img").get_attribute("style")
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.id") == f"study-{shown(page)[0]}"


def test_tables_of_findings_are_sorted(page: Any) -> None:
    column = ".findings tbody tr td:nth-child(5)"
    page.locator(".findings").first.locator("button", has_text="invented").click()
    values = [int(text.split()[0].replace("–", "-1")) for text in page.locator(column).all_inner_texts()[:3]]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("name", WIDTHS)
def test_nothing_is_wider_than_the_screen_or_the_paper(page: Any, name: str) -> None:
    page.set_viewport_size({"width": WIDTHS[name], "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[name]
    page.set_viewport_size({"width": 700, "height": 1000})
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") == 700
    assert not page.locator(".controls").is_visible()


def test_right_to_left_text_reads_from_the_right(page: Any) -> None:
    direction = "getComputedStyle(document.querySelector('#study-normal .text')).direction"
    assert page.evaluate(direction) == "rtl"
