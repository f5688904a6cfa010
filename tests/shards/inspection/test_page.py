"""The page: what was found stands on it, what may not does not, and a browser shows it whole, wide and narrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.shards.inspection.charts import bars, histogram, share
from cxr_lightning.shards.inspection.page import verdict
from tests.shards.inspection.planting import Set
from tests.shards.inspection.test_planted import a_name, cut_jpeg, says


@pytest.fixture
def paged(planted: Set, tmp_path: Path, inspected: Any) -> Any:
    """Writes a page of a set with two errors, one of them in words that would be markup."""

    def write(**options: Any) -> Path:
        cut_jpeg(planted.of("train")[2])
        a_name(planted.of("train")[4])
        for sample in planted.samples[5:40]:
            says(sample, "<script>window.evil = 1</script><img src=x onerror='evil=1'> لا يوجد انصباب " * 3)
        planted.samples[41].record["source"] = "<b>evil</b>"
        inspected(planted.write(tmp_path / "set"), page=True, out=tmp_path / "page", films=30, **options)
        return tmp_path / "page" / "index.html"

    return write


@pytest.mark.quick
def test_without_texts_no_word_of_a_report_is_on_it(paged, planted):
    html = paged().read_text()
    assert "Fictitious" not in html
    assert all(sample.record["summary"][:30] not in html for sample in planted.samples)
    assert "2 things are wrong with these 60 samples" in html
    assert planted.of("train")[2].key in html
    assert "a text holds a name" in html
    assert html.count("data:image/jpeg;base64,") == 30
    assert "http:" not in html
    assert "https:" not in html
    assert "--texts true" in html


@pytest.mark.quick
def test_with_texts_they_are_text_and_no_markup(paged):
    html = paged(texts=True).read_text()
    assert "&lt;script&gt;window.evil" in html
    assert "<script" not in html
    assert "<b>evil" not in html


def test_in_a_browser(paged, browser):
    address = paged(texts=True).as_uri()
    for width in (1280, 390):
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            said: list[str] = []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.goto(address)
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate("window.evil") is None
            assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
            assert page.locator(".checks li").count() == 16
            assert page.locator(".checks li.error").count() == 2
            assert page.locator("h1").inner_text().startswith("2 things are wrong")
            assert not said
            page.close()


@pytest.mark.quick
@pytest.mark.parametrize(
    ("samples", "lost", "errors", "warnings", "told"),
    [
        (1, 0, 0, 0, "Nothing is wrong with this sample."),
        (2000, 0, 0, 1, "Nothing is wrong with these 2,000 samples; 1 thing deserves a look."),
        (5, 0, 1, 0, "One thing is wrong with these 5 samples."),
        (5, 0, 1200, 2, "1,200 things are wrong with these 5 samples, and 2 things deserve a look."),
        (0, 0, 0, 0, "There is no sample to look at."),
        (103, 5, 8, 0, "8 things are wrong with this set; 5 of its 108 samples could not be read."),
    ],
)
def test_the_verdict(samples, lost, errors, warnings, told):
    assert verdict({"looked": {"samples": samples, "lost": lost}, "errors": errors, "warnings": warnings}) == told


@pytest.mark.quick
def test_bars_hold_all_that_is_counted():
    counts = {number: number + 1 for number in range(100)} | {100_000: 1}
    drawn = histogram(counts, "words")
    assert drawn is not None
    said = [bar["said"] for bar in drawn["bars"]]
    assert sum(int(each.rpartition(": ")[2].replace(",", "")) for each in said) == sum(counts.values())
    assert "and more" in said[-1]
    assert max(bar["x"] + bar["width"] for bar in drawn["bars"]) <= 560
    assert histogram({3: 5}, "words") is None
    rows = bars(((f"n{number}", 100 - number) for number in range(50)), 5000, 10)
    assert len(rows) == 10
    assert sum(row["count"] for row in rows) == sum(100 - number for number in range(50))
    assert rows[-1]["name"] == "41 others"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("count", "total", "told"),
    [(0, 0, ""), (0, 5, "0 %"), (1, 5000, "< 0.1 %"), (1, 30, "3.3 %"), (1, 3, "33 %"), (3, 3, "100 %")],
)
def test_shares(count, total, told):
    assert share(count, total) == told
