"""What the models must reach on data whose best is known, or on which a rule is known to do well."""

from contextlib import closing
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from data.simulate import Shop, probability_of_none, simulate
from ml.churn import CHURN
from ml.conversion import CONVERSION
from ml.spec import ModelSpec
from ml.training import train
from orchestration.declarations import Declarations
from orchestration.ingestion.lake import Lake
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.warehouse import connect, run_dbt
from tests.conftest import RETAIL, SHARED_DATA

pytestmark = pytest.mark.slow

SHOP = Shop(events=400_000, days=240, seed=11)
HORIZONS = {"churn": 30, "conversion": 7}


def build_features(root: Path, select: str) -> duckdb.DuckDBPyConnection:
    """Load the dumps below a directory with an avila.yml, and build some features."""
    settings = Settings(data_dir=root)
    declarations = Declarations.load(settings.declarations)
    with closing(Lake(settings.lake)) as lake, connect(settings) as connection:
        for source in declarations.sources.values():
            lake.load(source, data_dir=settings.root)
        lake.publish_catalog(connection)
    run_dbt(["run", "--select", *select.split()], settings, declarations.dbt_vars())
    return duckdb.connect(str(settings.warehouse), read_only=True)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[duckdb.DuckDBPyConnection, pd.DataFrame]:
    root = tmp_path_factory.mktemp("shop")
    (root / "avila.yml").write_text((PROJECT_ROOT / "data" / "avila.yml").read_text())
    simulate(SHOP, root)
    built = build_features(root, "+churn_features +conversion_features +sessions")
    return built, pq.read_table(root / "truth" / "users.parquet").to_pandas()


def best_probability(
    built: duckdb.DuckDBPyConnection, people: pd.DataFrame, test: pd.DataFrame, *, horizon: int, buying: bool
) -> pd.DataFrame:
    """The test rows that one person stands behind, with the best achievable probability."""
    devices = people[["user_id", "anonymous_ids"]].explode("anonymous_ids")
    shared = devices["anonymous_ids"].duplicated(keep=False)
    keys = pd.concat(
        [
            people[["user_id"]].assign(user_key=people["user_id"]),
            devices[~shared].rename(columns={"anonymous_ids": "user_key"}),
        ]
    )
    person = keys.set_index("user_key")["user_id"]
    visits = built.execute("select user_key, started_at from marts.sessions").df()
    visits["user_id"] = visits["user_key"].map(person)
    rows = test.assign(user_id=test["user_key"].map(person)).dropna(subset="user_id")
    found = []
    for as_of, group in rows.groupby("as_of"):
        cutoff = pd.Timestamp(as_of).tz_localize("America/Sao_Paulo").tz_convert("UTC").tz_localize(None)
        last = visits[visits["started_at"] < cutoff].groupby("user_id")["started_at"].max()
        group = group[group["user_id"].isin(last.index)]
        who = people.set_index("user_id").loc[group["user_id"]].reset_index()
        none = probability_of_none(
            SHOP,
            who,
            last_visit=last.loc[group["user_id"]].to_numpy(),
            cutoff=cutoff.to_pydatetime(),
            horizon_days=horizon,
            buying=buying,
        )
        found.append(group.assign(best=1 - none if buying else none))
    return pd.concat(found)


@pytest.mark.parametrize("spec", [CHURN, CONVERSION], ids=lambda spec: spec.name)
def test_on_the_simulator_the_model_is_near_the_best_achievable(
    shop: tuple[duckdb.DuckDBPyConnection, pd.DataFrame], spec: ModelSpec
) -> None:
    built, people = shop
    frame = built.execute(f"from features.{spec.name}_features").df()
    result = train(frame, spec, horizon_days=HORIZONS[spec.name], tuning_seconds=60)
    assert result.split is not None
    test = best_probability(built, people, result.test, horizon=HORIZONS[spec.name], buying=spec.name == "conversion")
    assert len(test) > 0.8 * len(result.test)
    best = roc_auc_score(test[spec.label], test["best"])
    ours = roc_auc_score(test[spec.label], test["xgboost"])
    error = result.metrics["xgboost.calibration_error"]
    print(f"{spec.name}: best {best:.4f}, trees {ours:.4f}, calibration error {error:.4f}. {result.explanation}")  # noqa: T201
    assert ours > best - 0.02
    assert error < 0.03


@pytest.mark.skipif(
    not (SHARED_DATA / "uk_online_retail").exists(), reason="needs uk_online_retail beside the checkout"
)
def test_on_the_uk_shop_churn_beats_the_recency_rule_in_every_fold(tmp_path: Path) -> None:
    path = str(SHARED_DATA / "uk_online_retail" / "by-day" / "*.csv")
    (tmp_path / "avila.yml").write_text(RETAIL.replace("{path}", path) + "churn: {horizon_days: 60}\n")
    built = build_features(tmp_path, "+churn_features")
    result = train(built.execute("from features.churn_features").df(), CHURN, horizon_days=60, tuning_seconds=60)
    folds = result.back_test.pivot(index="fold", columns="estimator", values=["log_loss", "roc_auc"])
    print(folds.round(4).to_string())  # noqa: T201
    assert len(folds) >= 3
    for measure, sign in (("log_loss", -1), ("roc_auc", 1)):
        better = sign * (folds[measure, "xgboost"] - folds[measure, "recency_rule"])
        assert (better > 0).all(), measure
