from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ml.audit import Audit
from ml.churn import CHURN
from ml.expectations import check_features, check_scores
from ml.scoring import score
from ml.training import TrainingResult
from tests.ml.synthetic import snapshots

# One feature of each kind keeps the many small audits quick.
FEW = ["recency_days", "days_since_key_event", "events_7d", "events_30d", "revenue_7d", "weekend_share"]
SPEC = replace(CHURN, features=tuple(one for one in CHURN.features if one.name in FEW), falling=())


@pytest.fixture(scope="module")
def features() -> pd.DataFrame:
    return snapshots(label="churned", users=20, cutoffs=6)


@pytest.fixture(scope="module")
def scores(churn_result: TrainingResult, churn_now: pd.DataFrame) -> pd.DataFrame:
    return score(churn_result, churn_now.head(200))


def test_sound_frames_pass(features: pd.DataFrame, scores: pd.DataFrame) -> None:
    audit = check_features(features, CHURN)
    assert audit == Audit(passed=True, checked=audit.checked, failures=(), rows=120, expected=audit.expected)
    assert len(audit.expected) == audit.checked
    assert all(one.holds and not one.found and one.kind.startswith("expect_") for one in audit.expected)
    assert audit.checked > len(CHURN.features)
    assert check_scores(scores, expected_rows=200).passed
    assert check_features(features.head(0), CHURN).passed
    assert check_scores(scores.head(0), expected_rows=0).passed


def put(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def plant(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        if isinstance(value, float) and pd.api.types.is_integer_dtype(frame[column].dtype):
            frame[column] = frame[column].astype(float)
        frame.loc[frame.index[7], column] = value
        return frame

    return plant


@pytest.mark.parametrize(
    ("plant", "failure"),
    [
        (put("probability", np.nan), "probability is null in 1 of 200 rows, for example"),
        (
            put("probability", 1.2),
            "probability is outside [0, 1] in 1 of 200 rows, for example probability 1.2",
        ),
        (put("probability", -0.001), "probability is outside [0, 1] in 1 of 200 rows"),
        (
            put("user_key", "u00000"),
            "a user_key is scored twice in 2 of 200 rows, for example user_key u00000",
        ),
        (put("user_key", None), "user_key is null in 1 of 200 rows"),
        (put("as_of", pd.Timestamp("2024-01-01").date()), "as_of differs between users (found 2)"),
        (put("decile", 11), "decile is not a whole number from 1 to 10 in 1 of 200 rows"),
        (put("decile", 2.5), "decile is not a whole number from 1 to 10 in 1 of 200 rows"),
        (put("model_version", None), "model_version is null in 1 of 200 rows"),
        (lambda frame: frame.iloc[1:], "the number of users scored is not 200 (found 199)"),
        (lambda frame: frame.drop(columns="decile"), "column decile is missing"),
    ],
)
def test_a_fault_planted_in_scores_is_found(scores: pd.DataFrame, plant, failure: str) -> None:
    audit = check_scores(plant(scores), expected_rows=200)
    assert not audit.passed
    assert len(audit.failures) == 1
    assert audit.failures[0].startswith(failure)
    assert sum(not one.holds for one in audit.expected) == (0 if "is missing" in failure else 1)


@pytest.mark.parametrize(
    ("plant", "failure"),
    [
        (put("user_key", None), "user_key is null in 1 of 120 rows"),
        (put("user_key", "u00000"), "a user_key appears twice as of one date in 2 of 120 rows, for example"),
        (put("recency_days", -1.0), "recency_days is outside [0, ∞) in 1 of 120 rows, for example"),
        (put("recency_days", np.nan), "recency_days is null in 1 of 120 rows"),
        (put("weekend_share", 1.01), "weekend_share is outside [0, 1] in 1 of 120 rows"),
        (put("revenue_7d", -np.inf), "revenue_7d is outside (-∞, ∞) in 1 of 120 rows"),
        (put("events_7d", 1e9), "events_7d exceeds events_30d in 1 of 120 rows"),
        (
            lambda frame: frame.assign(churned=frame["churned"].fillna(True)),
            "churned is known as of the newest date, before its horizon has passed in 20 of 120 rows",
        ),
        (lambda frame: frame.drop(columns="churned"), "column churned is missing"),
    ],
)
def test_a_fault_planted_in_features_is_found(features: pd.DataFrame, plant, failure: str) -> None:
    audit = check_features(plant(features), SPEC)
    assert not audit.passed
    assert len(audit.failures) == 1
    assert audit.failures[0].startswith(failure)


def test_refunds_and_nulls_are_lawful(features: pd.DataFrame) -> None:
    sound = put("revenue_30d", -50.0)(put("revenue_7d", np.nan)(put("days_since_key_event", np.nan)(features)))
    assert check_features(sound, SPEC).passed
