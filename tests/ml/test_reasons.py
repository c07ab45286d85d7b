from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.churn import CHURN
from ml.reasons import LEAST_EFFECT, describe, top_reasons
from ml.spec import Feature

SPEC = replace(
    CHURN,
    features=(
        Feature(name="recency_days", phrase="{n} day{s} since the last activity", theme="recency"),
        Feature(name="events_7d", phrase="{n} event{s} in a week", theme="activity"),
        Feature(name="events_30d", phrase="{n} event{s} in a month", theme="activity"),
        Feature(name="revenue", phrase="revenue of {n}", theme="revenue", style="money"),
        Feature(name="gap", phrase="{n} days apart", theme="rhythm", absent="seen once"),
    ),
    rising=(),
    falling=(),
)


def reasons(x: list[float], contributions: list[float]) -> list[str]:
    sentences, count = top_reasons(SPEC, np.array([x]), np.array([contributions]))
    return sentences[0, : count[0]].tolist()


def test_a_theme_is_named_once_by_its_strongest_feature() -> None:
    assert reasons([41, 0, 1, 12.5, np.nan], [0.5, 0.3, 0.4, -0.2, 0.1]) == [
        "higher risk: 1 event in a month",
        "higher risk: 41 days since the last activity",
        "lower risk: revenue of 12.50",
    ]


def test_the_feature_quoted_agrees_with_its_theme() -> None:
    # The week alone pushes up most, but the theme as a whole pulls down.
    assert reasons([0, 7, 9, 0, 0], [0, 0.3, -0.5, 0, 0]) == ["lower risk: 9 events in a month"]


def test_what_hardly_moves_anything_is_no_reason() -> None:
    assert reasons([1, 1, 1, 1, 1], [0.9 * LEAST_EFFECT] * 1 + [0] * 4) == []
    assert reasons([1, 1, 1, 1, np.nan], [0, 0, 0, 0, 0.2]) == ["higher risk: seen once"]


@pytest.mark.parametrize(
    ("style", "value", "words"),
    [
        ("count", 1234, "1,234 visits"),
        ("count", 1, "1 visit"),
        ("days", 0.6, "1 visit"),
        ("share", 0.256, "26% visits"),
        ("ratio", 0.25, "0.2 visits"),
        ("money", 1234.5, "1,234.50 visits"),
    ],
)
def test_values_are_written_as_people_write_them(style: str, value: float, words: str) -> None:
    assert describe(Feature(name="v", phrase="{n} visit{s}", theme="t", style=style), value) == words


def test_an_unexplained_null_is_called_unknown() -> None:
    assert describe(Feature(name="page_views", phrase="{n}", theme="t"), float("nan")) == "page views unknown"


@given(
    st.lists(
        st.lists(st.floats(-3, 3), min_size=5, max_size=5).map(tuple),
        min_size=1,
        max_size=8,
    )
)
def test_reasons_are_the_themes_sorted_by_effect(rows) -> None:
    contributions = np.array(rows)
    sentences, count = top_reasons(SPEC, np.zeros_like(contributions), contributions)
    effects = np.column_stack(
        [contributions[:, 0], contributions[:, 1:3].sum(axis=1), contributions[:, 3], contributions[:, 4]]
    )
    for row, effect in enumerate(effects):
        strong = sorted((abs(value) for value in effect if abs(value) >= LEAST_EFFECT), reverse=True)[:3]
        assert count[row] == len(strong)
        assert all(sentences[row, : count[row]])
        assert not any(sentences[row, count[row] :])
        raised = sum(text.startswith("higher risk") for text in sentences[row])
        top = np.argsort(-np.abs(effect), kind="stable")[: len(strong)]
        assert raised == sum(effect[theme] > 0 for theme in top)
