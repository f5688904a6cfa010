from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.scoring.swaps import NoOtherPatientError, swap_partners

pytestmark = pytest.mark.quick

STUDIES = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from(["frontal", "lateral"])), min_size=2, max_size=40
)


@given(STUDIES, st.integers(0, 5))
def test_nobody_gets_an_image_of_the_same_patient(studies: list[tuple[str, str]], seed: int) -> None:
    patients, views = [study[0] for study in studies], [study[1] for study in studies]
    if len(set(patients)) < 2:
        with pytest.raises(NoOtherPatientError, match="1 patient"):
            swap_partners(patients, views, seed=seed)
        return
    partners = swap_partners(patients, views, seed=seed)
    assert partners == swap_partners(patients, views, seed=seed)
    assert all(patients[partner] != patient for partner, patient in zip(partners, patients, strict=True))
    for view in set(views):
        mine = [study for study, other in enumerate(views) if other == view]
        sizes = Counter(patients[study] for study in mine)
        if len(sizes) > 1:
            assert all(views[partners[study]] == view for study in mine)
        if 2 * max(sizes.values()) <= len(mine):
            assert sorted(partners[study] for study in mine) == mine, "every study lends its images once"


def test_seed_changes_the_partners() -> None:
    patients = [str(number) for number in range(20)]
    assert swap_partners(patients, patients[:1] * 20, seed=0) != swap_partners(patients, patients[:1] * 20, seed=1)
