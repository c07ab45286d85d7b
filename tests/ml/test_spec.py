from dataclasses import replace

import pytest

from ml.churn import CHURN
from ml.conversion import CONVERSION
from ml.spec import Feature, ModelSpec


@pytest.mark.parametrize("spec", [CHURN, CONVERSION])
def test_every_feature_has_words_and_a_wider_window_that_exists(spec: ModelSpec) -> None:
    for feature in spec.features:
        assert feature.otherwise if feature.style == "flag" else "{n}" in feature.phrase
        assert feature.within is None or feature.within in spec.feature_names


def test_constraints_are_signs_in_feature_order() -> None:
    signs = dict(zip(CHURN.feature_names, CHURN.monotone_constraints, strict=True))
    assert {name: sign for name, sign in signs.items() if sign} == {"recency_days": 1, "active_days_30d": -1}


def test_any_change_of_definition_changes_the_fingerprint() -> None:
    changed = [
        replace(CHURN, trees=replace(CHURN.trees, max_depth=5)),
        replace(CHURN, rising=()),
        replace(CHURN, features=CHURN.features[::-1]),
        replace(CHURN, calibration="isotonic"),
    ]
    assert len({spec.fingerprint() for spec in [CHURN, replace(CHURN), *changed]}) == 1 + len(changed)


def test_contradictory_definitions_are_refused() -> None:
    twice = Feature(name="recency_days", phrase="{n}", theme="recency")
    with pytest.raises(ValueError, match="recency_days twice"):
        replace(CHURN, features=(*CHURN.features, twice))
    with pytest.raises(ValueError, match="both rising and falling"):
        replace(CHURN, falling=("recency_days",))
    with pytest.raises(ValueError, match="constrains shoe_size"):
        replace(CHURN, rising=("shoe_size",))
