"""The same training code on sessions of a real shop: a month is an as-of date, a session a user."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from ml.conversion import CONVERSION
from ml.spec import Feature, ModelSpec
from ml.training import train

SESSIONS = Path(__file__).parents[3] / "shared/data/online_shoppers/online_shoppers_intention_semicolon.csv"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "June", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
FEATURES = [
    "Administrative",
    "Administrative_Duration",
    "Informational",
    "Informational_Duration",
    "ProductRelated",
    "ProductRelated_Duration",
    "BounceRates",
    "ExitRates",
    "PageValues",
    "SpecialDay",
    "OperatingSystems",
    "Browser",
    "Region",
    "TrafficType",
    "Returning",
    "Weekend",
]

pytestmark = pytest.mark.skipif(not SESSIONS.exists(), reason=f"needs {SESSIONS.name} beside the repository")


@pytest.fixture(scope="module")
def sessions() -> pd.DataFrame:
    frame = pd.read_csv(SESSIONS, sep=";")
    month = frame["Month"].map({name: number for number, name in enumerate(MONTHS, start=1)})
    return frame.assign(
        user_key=[f"session {row}" for row in range(len(frame))],
        as_of=pd.to_datetime({"year": 2017, "month": month, "day": 1}),
        Returning=frame["VisitorType"] == "Returning_Visitor",
        converted=frame["Revenue"],
    )


def spec_of(names: list[str]) -> ModelSpec:
    return ModelSpec(
        name="conversion",
        label="converted",
        question="Will this session end in a purchase?",
        raises="more likely",
        lowers="less likely",
        features=tuple(Feature(name=name, phrase=f"{name} {{n}}", theme=name) for name in names),
        rule_feature="ExitRates",
        trees=CONVERSION.trees,
    )


@pytest.mark.parametrize("left_out", [[], ["PageValues"]], ids=["all", "without the leaking PageValues"])
def test_the_trees_rank_at_least_as_well_as_default_gradient_boosting(
    sessions: pd.DataFrame, left_out: list[str]
) -> None:
    names = [name for name in FEATURES if name not in left_out]
    result = train(sessions, spec_of(names), horizon_days=28)
    before = sessions[sessions["as_of"].isin(pd.to_datetime(result.split.before_test))]
    test = sessions[sessions["as_of"].isin(pd.to_datetime(result.split.test))]
    assert set(np.unique(test["Month"])) == {"Nov", "Dec"}
    with threadpool_limits(1):  # on busy cores its threads would spend seconds waiting for each other
        other = HistGradientBoostingClassifier(random_state=0).fit(before[names], before["converted"])
    reference = roc_auc_score(test["converted"], other.predict_proba(test[names])[:, 1])
    assert result.metrics["xgboost.roc_auc"] >= reference
    assert result.metrics["xgboost.log_loss"] < result.metrics["base_rate.log_loss"]
    assert result.rows["test"] == len(test)
