from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.evaluation.compare.verb import compare
from tests.evaluation.compare.conftest import COMMONEST, Three, draw_studies, report, write

FEW = {"draws": 50, "permutations": 1000}


@pytest.fixture(scope="module")
def page(three: Three, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page")
    compare(three.good, str(three.blind), str(three.commonest), out=out, studies=24, **FEW)
    return out / "index.html"


def opened(browser: Any, page: Path, **more: Any) -> tuple[Any, list[str]]:
    """Opens the page; leaves it and what the browser complained of."""
    tab, complaints = browser.new_page(**more), []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    tab.goto(page.as_uri())
    return tab, complaints


def test_page_asks_nothing_of_the_network(page: Path) -> None:
    html = page.read_text()
    assert not re.findall(r"src=\"(?!data:)|href=\"(?!#)|url\(|https?://|@import", html)
    assert html.count("<script>") == 1
    assert html.count("<article") == 24
    assert not list(page.parent.glob("*.partial*"))


def test_text_of_a_model_is_never_markup(tmp_path: Path) -> None:
    studies = draw_studies(4)
    wild = ["</script><script>alert(1)</script><img src=x onerror=alert(2)> pacemaker."] * 4
    good = [report(study.truth) for study in studies]
    name = "<b>model</b>"
    folders = [write(tmp_path / "a", name, studies, good, None), write(tmp_path / "b", "b", studies, wild, None)]
    compare(folders[0], str(folders[1]), out=tmp_path, **FEW)
    html = (tmp_path / "index.html").read_text()
    assert html.count("<script") == 1
    assert "<img" not in html
    assert "<b>model" not in html
    assert "&lt;img" in html


def test_a_comparison_of_nothing_much_has_a_page(tmp_path: Path) -> None:
    """One normal study and equal answers: no finding, no view, no other image, no study that differs."""
    studies = [study for study in draw_studies(30) if not study.truth][:1]
    folders = [write(tmp_path / name, name, studies, [COMMONEST], None) for name in "ab"]
    compare(folders[0], str(folders[1]), out=tmp_path, **FEW)
    html = (tmp_path / "index.html").read_text()
    assert "On no study do they say anything else." in html
    assert "the same 1 study of 1 patient" in html
    assert 'id="image"' not in html


def test_intervals_lie_where_their_numbers_say(page: Path, browser: Any) -> None:
    tab, complaints = opened(browser, page)
    found = json.loads((page.parent / "comparison.json").read_text())
    row = next(each for each in found["scores"] if each["rival"] == "B" and each["name"] == "findings_micro_f1")
    plot = tab.locator("#scores ~ .sheet .forest").first
    ticks = plot.locator("tfoot text")
    limit = float(ticks.last.text_content().replace("−", "-"))
    box = plot.locator("tbody td.plot").first.bounding_box()
    dot = plot.locator("tbody circle").first.bounding_box()
    share = (dot["x"] + dot["width"] / 2 - box["x"]) / box["width"]
    assert share == pytest.approx(0.5 + row["difference"]["value"] / limit * 0.4733, abs=0.01)
    assert tab.locator("h1").text_content() in found["verdict"]
    assert complaints == []
    tab.close()


def test_studies_are_filtered_by_finding_side_and_word(page: Path, browser: Any) -> None:
    tab, complaints = opened(browser, page)

    def shown() -> list[Any]:
        return [card for card in tab.locator(".contrast").all() if card.is_visible()]

    assert len(shown()) == 24
    tab.select_option("#finding", "pacemaker")
    some = shown()
    assert 0 < len(some) < 24
    assert all("pacemaker" in card.text_content() for card in some)
    assert tab.locator("#count").text_content() == f"{len(some)} of 24 shown"
    tab.select_option("#finding", "")
    tab.check("input[name=ahead][value=A]", force=True)
    ahead = shown()
    assert 0 < len(ahead) < 24
    assert all(card.get_attribute("data-ahead") == "A" for card in ahead)
    tab.check("input[name=ahead][value='']", force=True)
    key = shown()[5].get_attribute("id").removeprefix("study-")
    tab.fill("#search", key)
    assert [card.get_attribute("id") for card in shown()] == [f"study-{key}"]
    assert complaints == []
    tab.close()


@pytest.mark.parametrize("kind", ["desktop", "dark", "phone", "print"])
def test_nothing_runs_out_of_the_page(page: Path, browser: Any, kind: str) -> None:
    """The page is as wide as its window, whichever that is; CXR_ARTIFACTS keeps what it looked like."""
    sizes = {"phone": (390, 844), "print": (718, 1040)}
    width, height = sizes.get(kind, (1280, 900))
    scheme = "dark" if kind == "dark" else "light"
    tab, complaints = opened(browser, page, viewport={"width": width, "height": height}, color_scheme=scheme)
    tab.emulate_media(media="print" if kind == "print" else "screen", color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    if kind == "print":
        assert not tab.locator(".controls").is_visible()
    if folder := os.environ.get("CXR_ARTIFACTS"):
        tab.screenshot(path=str(Path(folder) / f"compare-{kind}.png"))
    assert complaints == []
    tab.close()


def test_paper_shows_what_is_folded_away(page: Path, browser: Any) -> None:
    tab, _ = opened(browser, page)
    assert not tab.locator("details.fold .forest").first.is_visible()
    tab.pdf(format="A4")
    assert tab.locator("details.fold .forest").first.is_visible()
    tab.close()
