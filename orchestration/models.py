"""From a features table to predictions: trains, registers and scores one model. Dagster-free.

The same outcomes and code give the same model, and the same features the same scores. So a model is trained when more
outcomes are known, which is not every night, and scores when a feature has changed.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import duckdb

from ml.spec import ModelSpec
from orchestration import ledger
from orchestration.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from ml.scoring import Scorer


@dataclass(frozen=True, kw_only=True)
class ModelNight:
    """What one night did with one model.

    Attributes:
        done: Whether it was trained and scored, only scored, or left as it was, since nothing it reads has changed.
        version: What scores.
        estimator: Its kind.
        verdict: Of its training, as `ml.training.TrainingResult` has it.
        explanation: The verdict's reason, one sentence.
        metrics: On the test part, flat.
        home: Where the registry keeps it, relative to the data directory.
        users_scored: How many users have a score.
    """

    done: Literal["trained", "scored", "unchanged"]
    version: str
    estimator: str
    verdict: str
    explanation: str
    metrics: dict[str, float]
    home: str
    users_scored: int


def read_features(connection: duckdb.DuckDBPyConnection, spec: ModelSpec) -> "pd.DataFrame":
    """The model's features table: one row per (user_key, as_of)."""
    return connection.execute(f"select * from {features_of(spec)} order by user_key, as_of").df()


def read_predictions(connection: duckdb.DuckDBPyConnection, spec: ModelSpec) -> "pd.DataFrame":
    """The model's newest predictions: one row per user."""
    return connection.execute(f"select * from {predictions_of(spec)} order by user_key").df()


def features_of(spec: ModelSpec) -> str:
    """The name of the model's features table."""
    return f"features.{spec.name}_features"


def predictions_of(spec: ModelSpec) -> str:
    """The name of the model's predictions table."""
    return f"ml.{spec.name}_predictions"


def refresh_model(
    connection: duckdb.DuckDBPyConnection, settings: Settings, spec: ModelSpec, *, horizon_days: int
) -> ModelNight:
    """Train on every labelled snapshot, store the model and score everyone eligible now, where that changes anything.

    Predictions and the row in ``ops.model_versions`` are written in one transaction.
    """
    recipe = (spec.fingerprint(), horizon_days, ledger.code_of("ml"))
    scoring, tables = f"scores of {spec.name}", [features_of(spec), predictions_of(spec)]
    version = ledger.known(connection, scoring, ledger.fingerprint(connection, tables, *recipe))
    if version and _is_stored(connection, settings, spec, version):
        return _told(connection, spec, version, done="unchanged")

    # Imported here: it takes a second that a night without news should not pay.
    from ml.registry import Registry, RegistryError
    from ml.scoring import score
    from ml.training import train

    frame, registry = read_features(connection, spec), Registry(settings.models)
    training, known_outcomes = f"training of {spec.name}", f"(from {features_of(spec)} where {spec.label} is not null)"
    outcomes = ledger.fingerprint(connection, [known_outcomes], *recipe)
    version = ledger.known(connection, training, outcomes)
    model: Scorer | None = None
    row: dict[str, Any] = {}
    if version and _is_stored(connection, settings, spec, version):
        with suppress(RegistryError):
            model = registry.load(spec, version)
    if model is None:
        model = trained = train(frame, spec, horizon_days=horizon_days, n_jobs=settings.threads)
        row = trained.to_row(path=str(registry.save(trained).relative_to(settings.root)))
    scores = score(model, frame[frame["as_of"] == frame["as_of"].max()])
    connection.register("scores", scores)
    connection.begin()
    connection.execute(f"delete from {predictions_of(spec)}")
    connection.execute(
        f"""
        insert into {predictions_of(spec)}
        select user_key, as_of, probability, decile, top_reasons, model_version from scores order by user_key
        """
    )
    if row:
        query = "delete from ops.model_versions where model = ? and version = ?"
        connection.execute(query, [spec.name, model.version])
        connection.execute(
            f"insert into ops.model_versions ({', '.join(row)}) values ({', '.join('?' * len(row))})",
            list(row.values()),
        )
        ledger.note(connection, training, outcomes, model.version)
    ledger.note(connection, scoring, ledger.fingerprint(connection, tables, *recipe), model.version)
    connection.commit()
    connection.unregister("scores")
    return _told(connection, spec, model.version, done="trained" if row else "scored")


def _is_stored(connection: duckdb.DuckDBPyConnection, settings: Settings, spec: ModelSpec, version: str) -> bool:
    """Whether a model is where the warehouse says it is."""
    query = "select path from ops.model_versions where model = ? and version = ?"
    found = connection.execute(query, [spec.name, version]).fetchall()
    return bool(found) and (settings.root / found[0][0] / "metadata.json").exists()


def _told(
    connection: duckdb.DuckDBPyConnection,
    spec: ModelSpec,
    version: str,
    *,
    done: Literal["trained", "scored", "unchanged"],
) -> ModelNight:
    columns = "estimator, verdict, explanation, metrics, path"
    query = f"select {columns} from ops.model_versions where model = ? and version = ?"
    estimator, verdict, explanation, metrics, path = connection.execute(query, [spec.name, version]).fetchall()[0]
    return ModelNight(
        done=done,
        version=version,
        estimator=estimator,
        verdict=verdict,
        explanation=explanation,
        metrics=json.loads(metrics),
        home=path,
        users_scored=connection.execute(f"select count(*) from {predictions_of(spec)}").fetchall()[0][0],
    )
