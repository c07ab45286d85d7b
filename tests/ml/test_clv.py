import pandas as pd
import pytest

from ml.buy_till_you_die import NoConvergenceError
from ml.clv import fit_lifetime_value
from tests.conftest import SHARED_DATA

CDNOW = SHARED_DATA / "cdnow" / "CDNOW_sample.txt"


@pytest.mark.skipif(not CDNOW.exists(), reason="needs CDNOW beside the checkout")
def test_cdnow_gives_the_published_parameters() -> None:
    """The first 39 weeks, in weeks: Fader, Hardie & Lee (2005), table 2; for the spend, Fader & Hardie's note 025."""
    rows = pd.read_csv(CDNOW, sep=r"\s+", header=None, names=["master", "user", "day", "cds", "spent"])
    rows["day"] = pd.to_datetime(rows["day"].astype(str))
    end = pd.Timestamp("1997-09-30")
    days = rows[rows["day"] <= end].groupby(["user", "day"], as_index=False)["spent"].sum()
    first = days.groupby("user")["day"].min()
    last = days.groupby("user")["day"].max()
    again = days[days["day"] > days["user"].map(first)]
    summaries = pd.DataFrame(
        {
            "frequency": days.groupby("user").size() - 1,
            "recency": (last - first).dt.days / 7,
            "age": (end - first).dt.days / 7,
            "mean_value": again.groupby("user")["spent"].mean(),
        }
    )
    fitted = fit_lifetime_value(summaries)
    assert {name: round(value, 3) for name, value in fitted.purchases.items()} == {
        "r": 0.243,
        "alpha": 4.414,
        "a": 0.793,
        "b": 2.426,
    }
    assert fitted.spend == pytest.approx({"p": 6.25, "q": 3.74, "v": 15.44}, abs=0.01)

    predicted = fitted.predict(summaries, horizon=39.0)
    # The paper's example: x = 2, t = 30.43, T = 38.86 is expected to buy 1.226 times in the next 39 weeks.
    example = (summaries["frequency"] == 2) & (summaries["recency"].sub(30.43).abs() < 0.01)
    assert predicted.loc[example, "expected_purchases"].iloc[0] == pytest.approx(1.226, abs=0.001)
    assert (predicted.loc[summaries["frequency"] == 0, "probability_alive"] == 1).all()
    value = predicted["expected_purchases"] * predicted["expected_value"]
    pd.testing.assert_series_equal(predicted["lifetime_value"], value, check_names=False)
    assert predicted["lifetime_value"].gt(0).all()


def test_without_repeat_purchases_there_is_nothing_to_fit() -> None:
    nobody = pd.DataFrame({"frequency": [0.0] * 5, "recency": [0.0] * 5, "age": [9.0] * 5, "mean_value": [0.0] * 5})
    with pytest.raises(NoConvergenceError):
        fit_lifetime_value(nobody)
