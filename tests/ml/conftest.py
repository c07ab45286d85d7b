"""Trainings several tests look at; each is run once."""

from __future__ import annotations

import pandas as pd
import pytest

from ml.churn import CHURN
from ml.training import TrainingResult, train
from tests.ml.synthetic import snapshots

HORIZON_DAYS = 14


@pytest.fixture(scope="session")
def churn_frame() -> pd.DataFrame:
    return snapshots(label="churned", users=2000, horizon_days=HORIZON_DAYS)


@pytest.fixture(scope="session")
def churn_result(churn_frame: pd.DataFrame) -> TrainingResult:
    return train(churn_frame, CHURN, horizon_days=HORIZON_DAYS)


@pytest.fixture(scope="session")
def churn_now(churn_frame: pd.DataFrame) -> pd.DataFrame:
    return churn_frame[churn_frame["as_of"] == churn_frame["as_of"].max()]


@pytest.fixture(scope="session")
def small_frame() -> pd.DataFrame:
    """Enough to train on in a moment."""
    return snapshots(label="churned", users=150, horizon_days=HORIZON_DAYS, seed=3)
