"""From a features table to predictions: trains, registers and scores one model. Dagster-free.

The same outcomes and code give the same model, and the same features the same scores. So a model is trained when a week
has brought more outcomes, and scores when a feature has changed. What is trained is a challenger: it scores only if it
is not worse than the champion, the model that did so far.
"""

import json
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import duckdb

from ml.spec import ModelSpec
from orchestration import ledger
from orchestration.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from ml.registry import LoadedModel
    from ml.scoring import Scorer

RETRAIN_AFTER_DAYS = 7
# A change of the number of outcomes by this share is more than late events: a source came or went.
MOVED = 0.1
USERS = "intermediate.int_outcome_keys"
"""Everyone whom an event belongs to, or once seemed to."""


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
        decision: Of the newest challenger: whether it was promoted, and why, one sentence.
        promoted: Whether it was.
    """

    done: Literal["trained", "scored", "unchanged"]
    version: str
    estimator: str
    verdict: str
    explanation: str
    metrics: dict[str, float]
    home: str
    users_scored: int
    decision: str
    promoted: bool


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


def history_of(spec: ModelSpec) -> str:
    """The name of the table of the model's predictions, week by week."""
    return f"ml.{spec.name}_score_history"


def forget_who_is_gone(connection: duckdb.DuckDBPyConnection, spec: ModelSpec) -> None:
    """Remove past predictions of users whom no event is left of: nothing else would ever take them out."""
    connection.execute(f"delete from {history_of(spec)} where user_key not in (select user_key from {USERS})")


def refresh_model(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    spec: ModelSpec,
    *,
    horizon_days: int,
    event: str | None = None,
) -> ModelNight:
    """Train a challenger where one is due, and let it or the champion score everyone, where anything has changed.

    A challenger is due where there is no champion, where code or definitions have changed, and where outcomes have
    changed and either a week of data has passed since the last training or their number has moved by a tenth.
    Predictions, their history and the row in ``ops.model_versions`` are written in one transaction.

    Args:
        connection: The open warehouse.
        settings: Where the warehouse lives.
        spec: The model.
        horizon_days: How far the label looks ahead.
        event: What the label looks for; None where it is any.
    """
    defined = _definition(connection, spec)
    recipe = (spec.fingerprint(), horizon_days, event, defined, settings.tuning_seconds, ledger.code_of("ml"))
    scoring, tables = f"scores of {spec.name}", [features_of(spec), predictions_of(spec)]
    version = ledger.known(connection, scoring, ledger.fingerprint(connection, tables, *recipe))
    if version and is_stored(connection, settings, spec, version):
        return _told(connection, spec, version, done="unchanged")

    # Imported here: it takes a second that a night without news should not pay.
    from ml.scoring import score

    frame = read_features(connection, spec)
    champion, unopposed = _champion(connection, settings, spec, horizon_days=horizon_days, event=event)
    model: Scorer | None = champion
    row: dict[str, Any] = {}
    outcomes = _outcomes(connection, spec, recipe)
    if champion is None or _is_due(connection, spec, outcomes):
        model, row = _train(settings, spec, frame, champion, unopposed, horizon_days=horizon_days, event=event)
    assert model is not None
    scores = score(model, frame[frame["as_of"] == frame["as_of"].max()])
    connection.register("scores", scores)
    connection.begin()
    connection.execute(f"delete from {predictions_of(spec)}")
    connection.execute(
        f"""
        insert into {predictions_of(spec)} by name
        select user_key, as_of, probability, decile, top_reasons, model_version, is_base_rate
        from scores order by user_key
        """
    )
    _keep_history(connection, spec, horizon_days=horizon_days, event=event)
    if row:
        query = "delete from ops.model_versions where model = ? and version = ?"
        connection.execute(query, [spec.name, row["version"]])
        if row["is_champion"]:
            connection.execute("update ops.model_versions set is_champion = false where model = ?", [spec.name])
        connection.execute(
            f"insert into ops.model_versions ({', '.join(row)}) values ({', '.join('?' * len(row))})",
            list(row.values()),
        )
        ledger.note(connection, f"training of {spec.name}", outcomes.inputs, outcomes.to_json())
    ledger.note(connection, scoring, ledger.fingerprint(connection, tables, *recipe), model.version)
    connection.commit()
    connection.unregister("scores")
    return _told(connection, spec, model.version, done="trained" if row else "scored")


@dataclass(frozen=True, kw_only=True)
class _Outcomes:
    """What a training would learn from.

    Attributes:
        inputs: A hash of all labelled rows and the recipe.
        recipe: A hash of the recipe alone.
        rows: How many labelled rows there are.
        as_of: The newest as-of date, labelled or not, ISO; empty without any.
    """

    inputs: str
    recipe: str
    rows: int
    as_of: str

    def to_json(self) -> str:
        return json.dumps({"recipe": self.recipe, "rows": self.rows, "as_of": self.as_of})


def _outcomes(connection: duckdb.DuckDBPyConnection, spec: ModelSpec, recipe: tuple[object, ...]) -> _Outcomes:
    labelled = f"(from {features_of(spec)} where {spec.label} is not null)"
    query = f"select count({spec.label}), coalesce(max(as_of), date '0001-01-01') from {features_of(spec)}"
    rows, as_of = connection.execute(query).fetchall()[0]
    return _Outcomes(
        inputs=ledger.fingerprint(connection, [labelled], *recipe),
        recipe=ledger.fingerprint(connection, [], *recipe),
        rows=rows,
        as_of=str(as_of)[:10],
    )


def _is_due(connection: duckdb.DuckDBPyConnection, spec: ModelSpec, outcomes: _Outcomes) -> bool:
    """Whether to train again although there is a champion."""
    query = "select inputs, outcome from increments.work_done where work = ?"
    found = connection.execute(query, [f"training of {spec.name}"]).fetchall()
    if not found:
        return True
    inputs, then = found[0][0], json.loads(found[0][1])
    if inputs == outcomes.inputs:
        return False
    days = (date.fromisoformat(outcomes.as_of) - date.fromisoformat(then["as_of"])).days
    moved = abs(outcomes.rows - then["rows"]) > MOVED * then["rows"]
    return then["recipe"] != outcomes.recipe or not 0 <= days < RETRAIN_AFTER_DAYS or moved


def _definition(connection: duckdb.DuckDBPyConnection, spec: ModelSpec) -> str | None:
    """A hash of how features and label are defined and declared, whatever the data; None where dbt built none."""
    query = "select fingerprint from increments.built_models where model = ?"
    found = connection.execute(query, [f"{spec.name}_features"]).fetchall()
    return found[0][0] if found else None


def _champion(
    connection: duckdb.DuckDBPyConnection, settings: Settings, spec: ModelSpec, *, horizon_days: int, event: str | None
) -> "tuple[LoadedModel | None, str]":
    """What scores so far; or None, and why: nothing does, or it answers another question or cannot be read."""
    from ml.registry import Registry, RegistryError

    query = "select version from ops.model_versions where model = ? and is_champion"
    found = connection.execute(query, [spec.name]).fetchall()
    if not found:
        return None, "no model has scored before"
    version: str = found[0][0]
    try:
        champion = Registry(settings.models).load(spec, version)
    except RegistryError:
        return None, f"{version}, which scored before, is gone, broken or of other features"
    asked = champion.metadata["parameters"]
    # Models of before the event was noted answer what is asked today, as far as anyone can tell.
    if (asked["horizon_days"], asked.get("event", event)) == (horizon_days, event):
        return champion, ""
    return None, f"{version}, which scored before, was asked for another horizon or event"


def _train(
    settings: Settings,
    spec: ModelSpec,
    frame: "pd.DataFrame",
    champion: "LoadedModel | None",
    unopposed: str,
    *,
    horizon_days: int,
    event: str | None,
) -> "tuple[Scorer, dict[str, Any]]":
    """The model that scores from now on, and the challenger's row of `ops.model_versions`."""
    from ml.promotion import decide
    from ml.registry import Registry
    from ml.training import train

    challenger = train(
        frame,
        spec,
        horizon_days=horizon_days,
        event=event,
        n_jobs=settings.threads,
        tuning_seconds=settings.tuning_seconds,
    )
    decision = decide(
        challenger,
        champion.predictor if champion else None,
        champion_version=champion.version if champion else "",
        champion_learnt_until=champion.learnt_until if champion else None,
        unopposed=unopposed,
    )
    home = Registry(settings.models).save(challenger, decision)
    as_of = None if frame.empty else frame["as_of"].max().date()
    row = challenger.to_row(path=str(home.relative_to(settings.root)), decision=decision, as_of=as_of)
    return (challenger if decision.promoted or champion is None else champion), row


def _keep_history(
    connection: duckdb.DuckDBPyConnection, spec: ModelSpec, *, horizon_days: int, event: str | None
) -> None:
    """Keep the new scores in place of those as of the same week: a row per user and night would be too many to keep.

    With them goes what was asked: it may be something else when it is known how good they were.
    """
    predictions, history = predictions_of(spec), history_of(spec)
    connection.execute(
        f"""
        delete from {history}
        where date_trunc('week', as_of) in (select date_trunc('week', as_of) from {predictions})
        """
    )
    connection.execute(
        f"""
        insert into {history} by name
        select user_key, as_of, probability, decile, model_version, ?::integer as horizon_days, ?::varchar as event
        from {predictions} order by user_key
        """,
        [horizon_days, event],
    )


def is_stored(connection: duckdb.DuckDBPyConnection, settings: Settings, spec: ModelSpec, version: str) -> bool:
    """Whether a model is where the warehouse says it is."""
    query = "select path from ops.model_versions where model = ? and version = ?"
    found = connection.execute(query, [spec.name, version]).fetchall()
    # A pruned version has no path.
    return any(path and (settings.root / path / "metadata.json").exists() for (path,) in found)


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
    newest = "select decision, is_champion from ops.model_versions where model = ? order by trained_at desc limit 1"
    decision, promoted = connection.execute(newest, [spec.name]).fetchall()[0]
    return ModelNight(
        done=done,
        decision=decision or "",
        promoted=bool(promoted),
        version=version,
        estimator=estimator,
        verdict=verdict,
        explanation=explanation,
        metrics=json.loads(metrics),
        home=path,
        users_scored=connection.execute(f"select count(*) from {predictions_of(spec)}").fetchall()[0][0],
    )
