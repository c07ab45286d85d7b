"""What is asked of a model after each night: was it promoted, have users drifted, can it have looked ahead."""

import json
from dataclasses import dataclass, field

import duckdb

from ml.spec import ModelSpec
from orchestration import ledger
from orchestration.models import features_of, predictions_of, read_features
from orchestration.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far users are from those the champion was tested on.

    Attributes:
        drifted: Whether any index is over the limit.
        said: What was found, one sentence.
        psi: The index of each feature and of the probability, largest first; empty without a test to compare with.
    """

    drifted: bool
    said: str
    psi: dict[str, float] = field(default_factory=dict)


def newest_decision(connection: duckdb.DuckDBPyConnection, spec: ModelSpec) -> tuple[str, bool]:
    """What was decided about the model that was trained last, and whether it was promoted."""
    query = "select decision, is_champion from ops.model_versions where model = ? order by trained_at desc limit 1"
    found = connection.execute(query, [spec.name]).fetchall()
    return (found[0][0] or "", bool(found[0][1])) if found else ("Nothing has been trained yet.", True)


def drift_of(connection: duckdb.DuckDBPyConnection, settings: Settings, spec: ModelSpec) -> Drift:
    """Compare the users scored with those of the champion's test part; the answer for the same rows is remembered."""
    work, tables = f"drift of {spec.name}", [predictions_of(spec), _now(spec)]
    inputs = ledger.fingerprint(connection, tables, _champion(connection, spec), ledger.code_of("ml"))
    known = ledger.known(connection, work, inputs)
    if known:
        return Drift(**json.loads(known))
    from ml.registry import Registry, RegistryError
    from ml.snapshots import Snapshots

    try:
        reference = Registry(settings.models).load(spec, _champion(connection, spec)).reference
    except RegistryError as error:
        return Drift(drifted=False, said=f"There is no model to compare with: {error}.")
    if reference is None:
        return Drift(drifted=False, said="What scores was never tested, so there is nothing to compare with.")
    users = Snapshots.from_frame(connection.execute(f"from {_now(spec)}").df(), spec, with_label=False)
    scores = connection.execute(f"select probability from {predictions_of(spec)} order by user_key").df()
    psi = reference.psi(spec, users.x, scores["probability"].to_numpy())
    limits = reference.limits(len(users))
    drifted = {name: value for name, value in psi.items() if value > limits[name]}
    named = ", ".join(f"{name.replace('_', ' ')} ({value:.2f})" for name, value in list(drifted.items())[:5])
    said = (
        f"{len(drifted)} of {len(psi)} distributions are not those of the model's test; most: {named}. "
        "Scores may be off until a model has learnt from outcomes of such users."
        if drifted
        else f"All {len(psi)} distributions are near those of the model's test."
    )
    found = {"drifted": bool(drifted), "said": said, "psi": psi}
    ledger.note(connection, work, inputs, json.dumps(found))
    return Drift(drifted=bool(drifted), said=said, psi=psi)


def leak_proofs(
    connection: duckdb.DuckDBPyConnection, settings: Settings, spec: ModelSpec, *, horizon_days: int
) -> tuple[bool, str]:
    """Whether the proofs of `ml.leaks` hold for the newest training, and what they found; asked once a training."""
    work = f"leaks of {spec.name}"
    query = (
        "select version, trained_at::varchar from ops.model_versions where model = ? order by trained_at desc limit 1"
    )
    newest = connection.execute(query, [spec.name]).fetchall()
    if not newest:
        return True, "Nothing has been trained yet."
    inputs = ledger.fingerprint(connection, [], newest[0], horizon_days, ledger.code_of("ml"))
    known = ledger.known(connection, work, inputs)
    if known:
        holds, said = json.loads(known)
        return holds, said
    from ml.leaks import parts_are_an_embargo_apart, permuted_labels_are_not_learnt
    from ml.registry import Registry, RegistryError

    proofs = [permuted_labels_are_not_learnt(read_features(connection, spec), spec)]
    try:
        metadata = Registry(settings.models).load(spec, newest[0][0]).metadata
        proofs.append(parts_are_an_embargo_apart(metadata.get("split", {}), horizon_days=horizon_days))
    except RegistryError as error:
        return False, str(error)
    outcome = all(proof.holds for proof in proofs), " ".join(proof.said for proof in proofs)
    ledger.note(connection, work, inputs, json.dumps(outcome))
    return outcome


def _champion(connection: duckdb.DuckDBPyConnection, spec: ModelSpec) -> str:
    query = "select version from ops.model_versions where model = ? and is_champion"
    found = connection.execute(query, [spec.name]).fetchall()
    return found[0][0] if found else "none"


def _now(spec: ModelSpec) -> str:
    features = features_of(spec)
    return f"(from {features} where as_of = (select max(as_of) from {features}))"
