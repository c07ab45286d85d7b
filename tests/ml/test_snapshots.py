from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from ml.churn import CHURN
from ml.snapshots import Snapshots
from tests.ml.synthetic import snapshots


@pytest.fixture
def frame() -> pd.DataFrame:
    return snapshots(label="churned", users=5, cutoffs=4)


def test_rows_and_columns_in_any_order_are_the_same_snapshots(frame: pd.DataFrame) -> None:
    shuffled = frame.sample(frac=1, random_state=1).sample(frac=1, axis=1, random_state=2)
    one, other = Snapshots.from_frame(frame, CHURN), Snapshots.from_frame(shuffled, CHURN)
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.user_keys, other.user_keys)
    assert one.fingerprint() == other.fingerprint()


def test_the_same_values_in_other_types_have_the_same_fingerprint(frame: pd.DataFrame) -> None:
    other = frame.copy()
    other["events_7d"] = other["events_7d"].astype("Int64")
    other["revenue_7d"] = [Decimal(str(value)) for value in other["revenue_7d"]]
    other["mean_gap_days"] = other["mean_gap_days"].astype(object).where(other["mean_gap_days"].notna(), None)
    other["as_of"] = other["as_of"].dt.date
    other["churned"] = other["churned"].astype(object).where(other["churned"].notna(), None)
    other["trend_30d"] = other["trend_30d"].where(other["trend_30d"] != 0, -0.0)
    one = Snapshots.from_frame(frame, CHURN)
    assert one.fingerprint() == Snapshots.from_frame(other, CHURN).fingerprint()


@pytest.mark.parametrize("column", ["recency_days", "churned", "user_key", "as_of"])
def test_any_changed_value_changes_the_fingerprint(frame: pd.DataFrame, column: str) -> None:
    changed = frame.copy()
    changed.loc[0, column] = {
        "recency_days": changed.loc[0, "recency_days"] + 1,
        "churned": not changed.loc[0, "churned"],
        "user_key": "someone else",
        "as_of": pd.Timestamp("2020-01-06"),
    }[column]
    one = Snapshots.from_frame(frame, CHURN)
    assert one.fingerprint() != Snapshots.from_frame(changed, CHURN).fingerprint()


def test_unknown_labels_are_left_out_and_nulls_stay_nulls(frame: pd.DataFrame) -> None:
    everyone = Snapshots.from_frame(frame, CHURN)
    gap = everyone.x[:, CHURN.feature_names.index("mean_gap_days")]
    assert np.isnan(gap).sum() == frame["mean_gap_days"].isna().sum()
    assert len(everyone.labelled()) == frame["churned"].notna().sum()
    assert everyone.labelled().y.sum() == frame["churned"].sum()


def test_faults_are_named_with_their_place_and_cure(frame: pd.DataFrame) -> None:
    def refuses(broken: pd.DataFrame, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Snapshots.from_frame(broken, CHURN)

    refuses(frame.drop(columns=["recency_days", "trend_30d"]), "lack recency_days, trend_30d; add them")
    refuses(frame.drop(columns="churned"), "lack churned")
    refuses(pd.concat([frame, frame.tail(1)]), r"repeat 1 \(user_key, as_of\), first u00004 as of 2024-06-03")
    refuses(frame.assign(user_key=[None, *frame["user_key"][1:]]), "user_key is null in row 0")
    refuses(frame.assign(as_of=[pd.NaT, *frame["as_of"][1:]]), "as_of is null in row 0")
    refuses(frame.assign(as_of=frame["as_of"] + pd.Timedelta(hours=1)), "carries a time of day")
    refuses(frame.assign(trend_30d=np.inf), "trend_30d is infinite for user_key u00000")
    refuses(frame.assign(trend_30d="high"), "trend_30d is not numeric")
    refuses(frame.assign(churned=0.3), "churned is not a nullable boolean")


def test_scoring_does_not_need_the_label(frame: pd.DataFrame) -> None:
    unlabelled = Snapshots.from_frame(frame.drop(columns="churned"), CHURN, with_label=False)
    assert np.isnan(unlabelled.y).all()
