"""From a features table to predictions: trains, registers and scores one model. Dagster-free."""

from dataclasses import dataclass

import duckdb
import pandas as pd

from ml.registry import Registry
from ml.scoring import score
from ml.spec import ModelSpec
from ml.training import TrainingResult, train
from orchestration.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ModelNight:
    """What one night did with one model."""

    training: TrainingResult
    home: str
    users_scored: int


def read_features(connection: duckdb.DuckDBPyConnection, spec: ModelSpec) -> pd.DataFrame:
    """The model's features table: one row per (user_key, as_of)."""
    return connection.execute(f"select * from features.{spec.name}_features order by user_key, as_of").df()


def read_predictions(connection: duckdb.DuckDBPyConnection, spec: ModelSpec) -> pd.DataFrame:
    """The model's newest predictions: one row per user."""
    return connection.execute(f"select * from ml.{spec.name}_predictions order by user_key").df()


def refresh_model(
    connection: duckdb.DuckDBPyConnection, settings: Settings, spec: ModelSpec, *, horizon_days: int
) -> ModelNight:
    """Train on every labelled snapshot, store the model and score everyone eligible now.

    Predictions and the row in ``ops.model_versions`` are written in one transaction.
    """
    frame = read_features(connection, spec)
    training = train(frame, spec, horizon_days=horizon_days, n_jobs=settings.threads)
    home = str(Registry(settings.models).save(training).relative_to(settings.root))
    scores = score(training, frame[frame["as_of"] == frame["as_of"].max()])
    row = training.to_row(path=home)
    connection.register("scores", scores)
    connection.begin()
    connection.execute(f"delete from ml.{spec.name}_predictions")
    connection.execute(
        f"""
        insert into ml.{spec.name}_predictions
        select user_key, as_of, probability, decile, top_reasons, model_version from scores order by user_key
        """
    )
    connection.execute("delete from ops.model_versions where model = ? and version = ?", [spec.name, row["version"]])
    connection.execute(
        f"insert into ops.model_versions ({', '.join(row)}) values ({', '.join('?' * len(row))})",
        list(row.values()),
    )
    connection.commit()
    connection.unregister("scores")
    return ModelNight(training=training, home=home, users_scored=len(scores))
