"""judge.html in a real browser: it says first whether the judge may be believed, and asks nothing of the network."""

from __future__ import annotations

import json

import pytest

from cxr_lightning.evaluation.judge.verb import judge_reports
from tests.serve.web.conftest import artefacts  # noqa: F401

from .conftest import better, fair, first, open_desk, write_predictions


@pytest.fixture
def pages(tmp_path):
    """A believed judge's page of two models, one of them with markup in its reports, and that of one who is not."""
    good, poor = (write_predictions(tmp_path / name, name=name, seed=n) for n, name in enumerate(("good", "poor")))
    wild = (poor / "predictions.jsonl").read_text().replace("Chest film.", "<b id='wild'>Chest</b> film.")
    (poor / "predictions.jsonl").write_text(wild)
    found = {}
    for name, opinion in {"fair": fair, "first": first}.items():
        found[name] = tmp_path / f"out-{name}"
        with open_desk(opinion) as desk:
            judge_reports(str(good), str(poor), endpoint=desk.url, out=found[name], draws=100)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser(pages, browser, artefacts, scheme):  # noqa: F811
    for name, head in {"fair": "This judge can be believed", "first": "This judge cannot be believed"}.items():
        told = json.loads((pages[name] / "judge.json").read_text())
        page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
        asked, said = [], []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("console", lambda message, said=said: said.append(message.text))
        page.goto((pages[name] / "judge.html").as_uri())
        assert page.inner_text("h1") == head
        assert page.locator(".banner").get_attribute("class") == f"banner {told['believed']}"
        assert page.locator(".duel").count() == len(told["duels"]) == 5
        assert page.locator(".gauge").count() == 8
        assert page.locator(".gauge.bad").count() == (0 if name == "fair" else 5)
        page.locator("details summary").first.click()
        assert page.locator("details[open] .raw code").first.is_visible()
        assert page.locator("#wild").count() == 0
        page.screenshot(path=artefacts / f"judge-{name}-{scheme}.png", full_page=True)
        page.set_viewport_size({"width": 400, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        assert [url for url in asked if not url.startswith("file:")] == []
        assert said == []
        page.close()


def test_texts_without_end_do_not_make_a_page_without_end(tmp_path):
    out, lines = write_predictions(tmp_path / "evaluated", studies=3), []
    for line in (out / "predictions.jsonl").read_text().splitlines():
        row = json.loads(line)
        lines.append(json.dumps({**row, "answer": f"{row['answer']} {'word ' * 20_000}end"}))
    (out / "predictions.jsonl").write_text("\n".join(lines) + "\n")
    with open_desk(lambda reports, number: better("A") + " " * 100_000) as desk:
        judge_reports(str(out), endpoint=desk.url, draws=20, rubric=False, swapped=False)
    html = (out / "judge.html").read_text()
    assert "word word" in html
    assert "[…]" in html
    assert len(html) < 250_000
