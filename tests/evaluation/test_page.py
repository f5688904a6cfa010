"""The page says what metrics.json says, shows what was said, runs no script but its own, and stays small."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxr_lightning.evaluation.curves import Curve
from cxr_lightning.evaluation.page import StudyCard, write_page
from cxr_lightning.evaluation.page.films import FILM, THUMB, data_uri
from cxr_lightning.evaluation.page.findings import facts, finding_tables
from cxr_lightning.evaluation.page.grounding import draw_likelihood, draw_scores, spread
from cxr_lightning.evaluation.page.health import health_of
from cxr_lightning.evaluation.page.marks import differing, mark_text, shared_words
from cxr_lightning.evaluation.page.scores import gap_of, score_groups
from cxr_lightning.evaluation.page.study import choose_studies, judge
from cxr_lightning.evaluation.page.words import say, say_label
from cxr_lightning.evaluation.page.writing import MOST_CARDS
from tests.evaluation.numbers import GOOD, TRUTH, numbers

pytestmark = pytest.mark.quick


def png(side: int = 20, noise: bool = False) -> bytes:
    gray = np.random.default_rng(0).integers(0, 255, (side, side), dtype=np.uint8) if noise else 90
    buffer = io.BytesIO()
    (Image.fromarray(gray) if noise else Image.new("L", (side, side), gray)).save(buffer, "PNG")
    return buffer.getvalue()


def card(key: str, answer: str) -> StudyCard:
    return StudyCard(key, png(), TRUTH, answer, frozenset({"pleural_effusion:left", "nodule:right-upper"}), "Normal.")


def test_sentences_are_marked_by_what_they_state() -> None:
    hits = {"pleural_effusion:left"}
    assert [sentence.mark for sentence in mark_text(TRUTH, GOOD, hits, "missed")] == ["hit", "missed", ""]
    marked = mark_text(GOOD, TRUTH, hits, "invented")
    assert [sentence.mark for sentence in marked] == ["hit", "invented"]
    assert marked[1].labels == "left pneumothorax"


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_marked_text_is_the_text(text: str, beside: str) -> None:
    marked = mark_text(text, beside, set(), "missed")
    assert "".join("".join(p.text for p in s.pieces) + s.space for s in marked) == text
    assert 0 <= shared_words(text, beside) <= 1
    assert shared_words(text, text) == 1
    assert not differing(text, text)


def test_words_that_the_other_text_lacks_are_found() -> None:
    text, other = "A small left-sided effusion is seen. Heart normal.", "A SMALL right-sided effusion is seen."
    assert [text[a:b] for a, b in differing(text, other)] == ["left-sided", "Heart normal"]
    assert shared_words("one two", "two three") == 0.5


def test_page_asks_nothing_of_the_network_and_runs_its_own_script_only(tmp_path: Path) -> None:
    curves = [Curve("stage1", {"train/loss": ((1.0, 2.0), (10.0, 1.0))})]
    page = write_page(tmp_path, [card("a", GOOD), card("b", TRUTH)], numbers([GOOD, TRUTH]), curves)
    html = page.read_text()
    assert page == tmp_path / "index.html"
    assert not re.findall(r"src=\"(?!data:)|href=\"(?!#)|url\(|https?://|@import", html)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in html
    assert html.count("<article") == 2
    assert html.count("data:image/jpeg;base64,") == 2
    assert html.count("<polyline") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["index.html"]


def test_text_of_a_model_is_never_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script> <img src=x> \" onload='x' </title></style>"
    studies = [replace(card("a", evil), reference=evil, swapped=evil, blank=evil, prompt=evil, views=(evil,))]
    metrics = {**numbers(["x"]), "verdict": evil, "model": evil, "method": {evil: evil}, "health": {"remarks": [evil]}}
    html = write_page(tmp_path, studies, metrics).read_text()
    assert html.count("<script") == 1
    assert "<img src=x" not in html
    assert "onload='x'" not in html
    assert "&lt;script&gt;" in html


def test_what_was_not_measured_is_not_shown(tmp_path: Path) -> None:
    html = write_page(tmp_path, [], {}).read_text()
    assert "No verdict was reached" in html
    assert "nothing to count" in html
    assert "<article" not in html
    one = {"studies": 1, "findings_micro_f1": 1.0, "intervals": {"findings_micro_f1": [None, float("nan")]}}
    html = write_page(tmp_path, [replace(card("a", ""), image=None, swapped="", cut=True)], one).read_text()
    for words in ("The one study", "It said nothing", "no image at hand", "cut off at the longest answer"):
        assert words in html
    assert "nan" not in html


def test_long_answers_are_cut_on_the_page_and_say_so(tmp_path: Path) -> None:
    html = write_page(tmp_path, [card("a", "The lungs are clear again. " * 4000)], numbers(["x"])).read_text()
    assert "104,000 characters more" in html
    assert len(html) < 200_000


def test_the_page_stays_small_however_many_and_large_the_films_are(tmp_path: Path) -> None:
    largest = len(data_uri(png(900, noise=True), FILM)) + len(data_uri(png(900, noise=True), THUMB))
    assert MOST_CARDS * largest < 14e6
    studies = [card(str(number), GOOD) for number in range(3000)]
    html = write_page(tmp_path, studies, numbers([GOOD])).read_text()
    assert html.count("<article") == MOST_CARDS
    assert "60 of 3,000 studies" in html


def test_shown_are_the_worst_the_best_the_inventing_and_others_between() -> None:
    wrong = "Pacemaker. Left apical pneumothorax. Cardiomegaly. Small right pleural effusion."
    said = {0: wrong, 1: "Pacemaker.", 2: GOOD, 3: TRUTH}
    ranked = judge(card(f"{n:03}", said[n % 4]) for n in range(200))
    chosen = choose_studies(ranked, 40)
    assert len({each.study.key for each, _ in chosen}) == 40
    assert [each.f1 for each, _ in chosen] == sorted(each.f1 for each, _ in chosen)
    by_reason = {reason: [each for each, why in chosen if why == reason] for _, reason in chosen}
    assert {reason: len(found) for reason, found in by_reason.items()} == dict.fromkeys(by_reason, 10)
    assert all(len(each.invented) == 4 for each in by_reason["inventing"])
    assert all(each.f1 == 0 for each in by_reason["worst"])
    assert all(each.f1 == 1 for each in by_reason["best"])
    assert len({each.f1 for each in by_reason["between"]}) > 1
    assert [each for each, _ in choose_studies(ranked[:7], 40)] == ranked[:7]


def test_rows_say_what_metrics_say_and_whether_the_image_matters() -> None:
    metrics = numbers([TRUTH, GOOD] * 15) | {"radgraph_f1": 0.4, "radgraph_f1_swapped": 0.2}
    metrics["intervals"]["radgraph_f1"] = [0.3, 0.5]
    groups = {group["name"]: group["rows"] for group in score_groups(metrics)}
    row = groups["findings"][0]
    assert row["name"] == "findings_micro_f1"
    assert row["cells"]["own"]["text"] == "0.75"
    assert row["cells"]["swapped"]["span"] == "", "all draws say the same"
    assert row["gap"]["sure"] == "better"
    assert [row["name"] for row in groups["learned"]] == ["radgraph_f1"]
    gap: dict[str, Any] = {"x": 1, "differences": {"x_own_minus_blank": {"value": -0.5, "low": -0.7, "high": -0.1}}}
    assert (found := gap_of(gap, "x", "blank")) is not None
    assert found["sure"] == "worse"
    assert (turned := gap_of(gap, "x", "blank", "lower")) is not None
    assert (turned["sure"], turned["text"], turned["span"]) == ("better", "+0.50", "+0.10 to +0.70")
    assert gap_of(gap, "x", "swapped") is None


def test_few_patients_or_chance_leave_open_what_an_interval_would_call_sure() -> None:
    gap: dict[str, Any] = {"value": 0.5, "low": 0.1, "high": 0.7, "p": 0.01}
    for metrics, sure in (({"patients": 30}, "better"), ({"patients": 19}, "open"), ({"patients": 30}, "open")):
        found = gap_of(metrics | {"differences": {"x_own_minus_swapped": gap}}, "x", "swapped")
        assert found is not None
        assert found["sure"] == sure
        gap = gap | {"p": 0.01 if sure == "better" else 0.06}


def test_finding_tables_count_what_was_there_and_said() -> None:
    row = {"f1": 0.5, "interval": [0.2, 0.8], "support": 3, "hits": 2, "missed": 1, "invented": 3}
    metrics = {
        "studies": 10,
        "per_finding": {"line": row, "nodule:right-upper": row},
        "per_observation": {"Edema": row},
    }
    located, observed = finding_tables(metrics)
    assert [each["words"] for each in located["rows"]] == ["right upper nodule", "central line"]
    assert observed["rows"][0]["made_up"] == 0.6
    told = facts(metrics)
    assert told is not None
    assert (told["there"], told["missed"], told["invented_each"]) == (6, 2, 0.6)


def test_charts_lie_within_their_boxes_and_turn_gaps_so_that_right_is_better() -> None:
    chart = draw_scores(numbers([TRUTH, GOOD] * 15))
    assert chart is not None
    for part, sure in (("values", {"own"}), ("gaps", {"swapped", "blank"})):
        for line in chart[part]["lines"]:
            assert 172 <= line["x"] <= 448
            assert (line["x_low"] is None) == (line["x_high"] is None) == (line["variant"] not in sure)
            assert line["x_low"] is None or 172 <= line["x_low"] <= line["x"] <= line["x_high"] <= 448
    grounding = {
        "nats_per_token": {"own": 1.5, "swapped": {"value": 2.0, "low": 1.9, "high": 2.1}},
        "own_minus_swapped": {"value": -0.5, "low": -0.6, "high": -0.4},
        "gaps": [-0.5, -0.4, 0.1],
    }
    drawn = draw_likelihood({"grounding": grounding})
    assert drawn is not None
    assert drawn["gap"] == {"text": "+0.50", "span": "+0.40 to +0.60"}
    assert sum(bar["count"] for bar in drawn["histogram"]["bars"] if bar["side"] == "better") == 2
    assert draw_likelihood({"grounding": {}}) is None
    bars = spread([0.0, 1.0, 1.0])
    assert bars is not None
    assert [bar["count"] for bar in bars["bars"]] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]


def test_the_verdict_leads_and_what_stands_out_is_told(tmp_path: Path) -> None:
    side = {"empty": 0.25, "alike": 0.5, "words": 12.0, "cut_off": None}
    health = {"answers": side, "references": side | {"empty": 0}, "remarks": ["Few sentences serve for all."]}
    metrics = numbers([GOOD]) | {"verdict": "It looks, by 0.5: a lot. It was never shown these.", "health": health}
    html = write_page(tmp_path, [card("a", GOOD)], metrics).read_text()
    assert "<h1>It looks, by 0.5: a lot.</h1>" in html
    assert "Few sentences serve for all." in html
    assert [row[1:] for row in health_of(metrics)["figures"]] == [
        ("25.0 %", "0.0 %"),
        ("0.50", "0.50"),
        ("12.0", "12.0"),
    ]
    assert "Nothing stands out" in write_page(tmp_path, [], metrics | {"health": {"answers": side}}).read_text()


def test_numbers_and_labels_are_said_as_people_say_them() -> None:
    assert [say(value) for value in (0.5, -0.001, None, float("nan"), -1)] == ["0.50", "0.00", "–", "–", "−1.00"]
    assert [say(value, sign=True) for value in (0.5, 0.001)] == ["+0.50", "0.00"]
    assert say_label("consolidation:right-lower") == "right lower consolidation"


def test_studies_are_read_in_the_words_that_the_verdict_is_about(tmp_path: Path) -> None:
    studies = [replace(card("a", "Pleural effusion. Rib fracture."), truth=frozenset())]
    metrics = numbers([GOOD]) | {"headline": "observations_micro_f1"}
    html = write_page(tmp_path, studies, metrics).read_text()
    assert 'title="invented: Fracture' in html
    assert "Fracture, invented</span>" in html
    assert 'data-labels="Fracture|Lung Lesion|Pleural Effusion|left pleural effusion|right upper nodule"' in html
    assert "Lung Lesion, missed</span>" in html
