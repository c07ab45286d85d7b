"""The gates around features and scores: what fails blocks what comes after it, or warns, as avila.yml says."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from dagster import (
    AssetCheckSeverity,
    AssetKey,
    Definitions,
    ExecuteInProcessResult,
    MetadataValue,
    ResourceDefinition,
    asset,
    in_process_executor,
)

from ml.churn import CHURN
from orchestration import model_assets
from orchestration.declarations import Declarations
from orchestration.house import House
from orchestration.model_assets import scored_model
from orchestration.models import read_predictions, refresh_model
from orchestration.settings import Settings
from orchestration.warehouse import connect
from tests.ml.synthetic import snapshots

HORIZON_DAYS = 14
FEATURES, PREDICTIONS = AssetKey(["features", "churn_features"]), AssetKey(["ml", "churn_predictions"])
AFTER = AssetKey("after")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse whose model is trained, so that a night has little to do."""
    root = tmp_path_factory.mktemp("gates")
    settings = Settings(data_dir=root)
    frame = snapshots(label="churned", users=150, horizon_days=HORIZON_DAYS, seed=3)
    with connect(settings) as connection:
        connection.register("frame", frame)
        connection.execute("create table features.churn_features as from frame")
        connection.execute("create schema intermediate")
        connection.execute("create table intermediate.int_outcome_keys as select distinct user_key from frame")
        refresh_model(connection, settings, CHURN, horizon_days=HORIZON_DAYS)
    return root


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "data")
    return tmp_path / "data"


def run(root: Path, gates: str) -> ExecuteInProcessResult:
    (root / "avila.yml").write_text(f"sources: {{web: {{path: '*.csv'}}}}\ngates: {{{gates}}}\n")
    house = House(settings=Settings(data_dir=root), declarations=Declarations.load(root / "avila.yml"))

    @asset(key=FEATURES)
    def features() -> None: ...

    @asset(key=AFTER, deps=[PREDICTIONS])
    def after() -> None: ...

    model = scored_model(CHURN, house, horizon_days=HORIZON_DAYS)
    own = Definitions(
        assets=[features, after],
        resources={"night": ResourceDefinition.none_resource()},
        executor=in_process_executor,
    )
    job = Definitions.merge(own, model).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(raise_on_error=False)


def built(result: ExecuteInProcessResult) -> set[AssetKey]:
    return {event.asset_key for event in result.get_asset_materialization_events() if event.asset_key}


def check(result: ExecuteInProcessResult, name: str) -> tuple[bool, AssetCheckSeverity, str, object]:
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == name]
    return found.passed, found.severity, found.description or "", found.metadata["data_docs"]


def spoil_features(root: Path) -> None:
    with connect(Settings(data_dir=root)) as connection:
        connection.execute("update features.churn_features set recency_days = -1 where user_key = 'u00007'")


def spoil_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(*arguments: object) -> pd.DataFrame:
        frame = read_predictions(*arguments)  # type: ignore[arg-type]
        frame.loc[3, "probability"] = 1.5
        return frame

    monkeypatch.setattr(model_assets, "read_predictions", spoilt)


def test_sound_features_and_scores_pass_and_their_page_is_linked(root: Path) -> None:
    result = run(root, "")
    assert result.success
    assert built(result) >= {FEATURES, PREDICTIONS, AFTER}
    passed, _, _, docs = check(result, "expectations_of_churn_features")
    page = root / "warehouse" / "data_docs" / "index.html"
    assert passed
    assert docs == MetadataValue.path(str(page))
    for name in ("features of churn", "scores of churn"):
        assert f"{name}: all hold" in page.read_text(encoding="utf-8")


def test_features_that_fail_block_or_warn(root: Path) -> None:
    spoil_features(root)
    blocked = run(root, "")
    assert not blocked.success
    assert PREDICTIONS not in built(blocked)
    passed, severity, said, _ = check(blocked, "expectations_of_churn_features")
    assert (passed, severity) == (False, AssetCheckSeverity.ERROR)
    assert "recency_days is outside [0, ∞)" in said
    warned = run(root, "features: warn")
    assert warned.success
    assert built(warned) >= {PREDICTIONS, AFTER}
    assert check(warned, "expectations_of_churn_features")[:2] == (False, AssetCheckSeverity.WARN)


def test_scores_that_fail_block_or_warn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_scores(monkeypatch)
    blocked = run(root, "")
    assert not blocked.success
    assert AFTER not in built(blocked)
    assert check(blocked, "expectations_of_churn_scores")[:2] == (False, AssetCheckSeverity.ERROR)
    warned = run(root, "scores: warn")
    assert warned.success
    assert AFTER in built(warned)
    assert check(warned, "expectations_of_churn_scores")[:2] == (False, AssetCheckSeverity.WARN)


def test_past_scores_of_someone_forgotten_go_though_nothing_else_has_changed(root: Path) -> None:
    gone = "u00007"
    with connect(Settings(data_dir=root)) as connection:
        before = connection.execute("select user_key from ml.churn_score_history order by all").fetchall()
        connection.execute("delete from intermediate.int_outcome_keys where user_key = ?", [gone])
    assert (gone,) in before
    assert run(root, "").success
    with connect(Settings(data_dir=root)) as connection:
        left = connection.execute("select user_key from ml.churn_score_history order by all").fetchall()
    assert left == [row for row in before if row != (gone,)]
