"""Texts that nobody writes and models sometimes do: empty, all of Unicode, markup, one word a thousand times."""

from __future__ import annotations

from hypothesis import strategies as st

WORDS = ["no", "No", "left", "pleural", "effusions", "effusion", "is", "seen,", "2.5", "cm.", "normal", "-", "&amp;"]
SAID = st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join)
ANY = st.one_of(
    SAID,
    st.text(max_size=60),
    st.text(st.characters(categories=["Cs", "Lo", "Nd", "Po", "Zs"]), max_size=20),
    st.sampled_from(
        ["", " ", "\n", "no " * 2000, "0.1,2-3 <skipped>-\n&quot;", "Kein Erguß", "无胸腔积液", "\ufffd\x00"]
    ),
)
PAIRS = st.lists(st.tuples(ANY, ANY), min_size=1, max_size=5)
