"""A night of lifetime values: estimated where a purchase has changed anything, and told where it cannot be."""

from pathlib import Path

import pandas as pd
import pytest

from ml.clv import estimate
from orchestration.declarations import Clv
from orchestration.lifetime_value import ClvNight, refresh_clv
from orchestration.settings import Settings
from orchestration.warehouse import connect
from tests.ml.test_clv import bought

DECLARED = Clv()
TODAY = pd.Timestamp("2025-05-01")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    customers = bought(customers=300)
    with connect(settings) as connection:
        connection.register("customers", customers.assign(user_key=[f"u{n:03d}" for n in range(len(customers))]))
        connection.execute(
            """
            create table marts.purchase_summaries as
            select user_key, date '2025-04-30' - age::integer as first_purchase_date, frequency,
                recency as purchase_span_days, age as age_days, mean_value as mean_repeat_value
            from customers
            """
        )
    return settings


def night(settings: Settings, *changes: str, declared: Clv = DECLARED) -> ClvNight:
    with connect(settings) as connection:
        for change in changes:
            connection.execute(change)
        return refresh_clv(connection, declared)


def stored(settings: Settings) -> pd.DataFrame:
    with connect(settings) as connection:
        return connection.execute("from ml.clv_predictions order by user_key").df()


def test_what_is_stored_is_what_the_models_say(settings: Settings) -> None:
    found = night(settings)
    rows = stored(settings)
    expected = estimate(bought(customers=300), horizon_days=90).rows
    pd.testing.assert_frame_equal(rows[list(expected.columns[:4])], expected[list(expected.columns[:4])])
    assert rows["no_estimate_because"].isna().all()
    assert (rows["as_of"] == TODAY).all()
    assert found.is_new
    assert (found.customers, found.estimated) == (300, 300)
    assert found.total == pytest.approx(rows["clv"].sum())
    assert set(found.figures) == {"r", "alpha", "a", "b", "p", "q", "v", "correlation"}


def test_nothing_is_done_twice_and_every_change_is_followed(settings: Settings) -> None:
    first = night(settings)
    shuffled = (
        "create table shuffled as from marts.purchase_summaries order by hash(user_key)",
        "create or replace table marts.purchase_summaries as from shuffled",
    )
    again = night(settings, *shuffled)
    assert not again.is_new
    assert again.said == first.said
    assert again.figures == first.figures
    before = stored(settings)
    changed = night(settings, "update marts.purchase_summaries set mean_repeat_value = 2 * mean_repeat_value")
    assert changed.is_new
    assert changed.total == pytest.approx(2 * (first.total or 0), rel=0.01)
    assert night(settings, declared=Clv(horizon_days=30)).is_new
    less = night(settings, declared=Clv(horizon_days=30, discount_per_year=0.5))
    assert less.is_new
    assert 0 < (less.total or 0) < (changed.total or 0)
    assert night(settings, "update ml.clv_predictions set clv = 0", declared=DECLARED).is_new
    assert not night(settings).is_new
    assert stored(settings)["expected_purchases"].equals(before["expected_purchases"])


def test_a_shop_that_has_just_opened_has_customers_without_a_value(settings: Settings) -> None:
    few = night(settings, "delete from marts.purchase_summaries where user_key > 'u050'")
    assert (few.customers, few.estimated, few.total) == (51, 0, None)
    assert "it takes 100" in few.said
    rows = stored(settings)
    assert (rows["no_estimate_because"] == "too few customers").all()
    assert rows["clv"].isna().all()
    nobody = night(settings, "delete from marts.purchase_summaries")
    assert (nobody.customers, nobody.estimated, nobody.total) == (0, 0, None)
    assert stored(settings).empty
