from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.curves import Curve
from cxr_lightning.evaluation.metrics import measure, verdict
from cxr_lightning.evaluation.page import MOST_CARDS, StudyCard, choose_studies, mark_sentences, write_page

pytestmark = pytest.mark.quick

TRUTH = "Small left pleural effusion. Right upper zone nodule. No pneumothorax."
GOOD = "Small left pleural effusion. Left apical pneumothorax."


def png(side: int = 20) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (side, side), 90).save(buffer, "PNG")
    return buffer.getvalue()


def card(key: str, answer: str) -> StudyCard:
    return StudyCard(key, png(), TRUTH, answer, frozenset({"pleural_effusion:left", "nodule:right-upper"}), "Normal.")


def numbers(answers: list[str]) -> dict:
    cases = [Case(str(n), str(n), "<image>", (png(),), ("frontal",), TRUTH, None) for n in range(len(answers))]
    texts = {"own": answers, "swapped": [""] * len(answers), "blank": [""] * len(answers)}
    metrics = {"split": "test", **measure(cases, texts, draws=50)}
    return {**metrics, "verdict": verdict(metrics)}


def test_sentences_are_marked_by_what_they_state() -> None:
    hits = {"pleural_effusion:left"}
    assert [mark for _, mark, _ in mark_sentences(TRUTH, hits, "missed")] == ["hit", "missed", ""]
    assert [mark for _, mark, _ in mark_sentences(GOOD, hits, "invented")] == ["hit", "invented"]
    assert "".join(text for text, _, _ in mark_sentences(TRUTH, hits, "missed")) == TRUTH


def test_page_asks_nothing_of_the_network(tmp_path: Path) -> None:
    curves = [Curve("stage1", {"train/loss": ((1.0, 2.0), (10.0, 1.0))})]
    page = write_page(tmp_path, [card("a", GOOD), card("b", TRUTH)], numbers([GOOD, TRUTH]), curves)
    html = page.read_text()
    assert page == tmp_path / "index.html"
    assert not re.findall(r"src=\"(?!data:)|href=\"(?!#)|url\(|https?://|@import|<script", html)
    assert html.count("<article") == 2
    assert html.count("data:image/jpeg;base64,") == 2
    assert html.count("<polyline") == 1
    assert not list(tmp_path.glob("*.partial*"))


def test_text_of_a_model_is_never_markup(tmp_path: Path) -> None:
    html = write_page(tmp_path, [card("a", "<script>alert(1)</script> <img src=x>")], numbers(["x"])).read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_cards_are_chosen_from_worst_to_best() -> None:
    studies = [card(str(n), TRUTH if n % 4 else "Pacemaker.") for n in range(200)]
    chosen = choose_studies(studies, MOST_CARDS)
    wrong = [study.answer != TRUTH for study in chosen]
    assert len({study.key for study in chosen}) == MOST_CARDS
    assert wrong == sorted(wrong, reverse=True)
    assert sum(wrong) == pytest.approx(MOST_CARDS / 4, abs=1)


def test_verdict_tells_looking_from_guessing() -> None:
    looks = numbers([TRUTH] * 30)
    assert looks["verdict"].startswith("The image is worth 1.00")
    blind = {**looks, **measure_blind()}
    assert verdict(blind).startswith("Nothing shows that the model looks")


def measure_blind() -> dict:
    cases = [Case(str(n), str(n), "<image>", (png(),), ("frontal",), TRUTH, None) for n in range(30)]
    return measure(cases, {"own": [GOOD] * 30, "swapped": [GOOD] * 30, "blank": [GOOD] * 30}, draws=50)
