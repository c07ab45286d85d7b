"""What dbt may bring up to date, and what it must build anew because its definition has changed.

A model is defined by its SQL, the macros and declarations it uses, and the models it reads. The fingerprint of all that
is kept with each incremental model; where it has changed, the model and all that follow from it are dropped, so that
dbt builds them anew. A build that was killed half-way leaves them missing, and the next one builds them.
"""

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from orchestration import ledger
from orchestration.fingerprints import fingerprints
from orchestration.graph import (
    incremental_models,
    is_ephemeral,
    is_incremental,
    models_of,
    parents_of,
    predictions_in,
    tests_in,
    tests_of_lake,
    with_ancestors,
)
from orchestration.settings import Settings
from orchestration.warehouse import DbtFailed, connect, run_dbt


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build has done.

    Attributes:
        results: dbt's result of each model and test that it ran; of no model if nothing has changed since they were.
        passed_before: The unique ids of the tests that passed on the same tables before, and were not run again.
    """

    results: list[Any]
    passed_before: Collection[str]


def build(
    settings: Settings,
    variables: Mapping[str, Any],
    manifest: Mapping[str, Any],
    *,
    select: Sequence[str],
    run_id: str | None = None,
    say: Callable[[str], None] = lambda said: None,
    parse: Callable[[], Any] = lambda: None,
    on_event: Callable[[Any], None] | None = None,
) -> Built:
    """Build and test some models, each at the cost of what is new where that is possible.

    What is new is found out at the first models and handed down, so those that this run has not built yet are built
    with the ones they lead to.

    Args:
        settings: Where the warehouse lives.
        variables: What ``avila.yml`` declares, as dbt reads it.
        manifest: dbt's, as it writes it.
        select: The names of the models, or other words of dbt for them.
        run_id: The run that this is a part of, as `ops.restatements` is to call it; by default, a run of its own.
        say: Told what is built anew, and why.
        parse: Gives the project as dbt parsed it, to spare dbt reading it again; asked only if there is work for dbt.
        on_event: Told of all that dbt says while it runs.

    Raises:
        DbtFailed: A model or a test failed; what did succeed is kept.
    """
    with connect(settings) as connection:
        removed = drop_leftovers(connection, manifest)
        dropped = drop_outdated(connection, manifest, variables)
        seq = last_seq(connection)
        names = [*select, *unbuilt_ancestors(connection, manifest, select, run_id=run_id)]
        work = f"tests of {ledger.fingerprint_of(sorted(names))}"
        state = state_of(connection, manifest, variables, names)
        noted = ledger.known(connection, work, state)
        is_same = is_up_to_date(connection, manifest, variables, names, seq=seq) and not names_pruned_files(connection)
        # Whether predictions are those that were taken in, only the state tells.
        up_to_date = is_same and (noted is not None or not predictions_in(manifest, names))
        found: dict[str, bool] = json.loads(noted) if noted is not None and up_to_date else {}
        if not up_to_date:
            ledger.forget(connection, work)
    standing = {test for test, passed in found.items() if passed} - tests_of_lake(manifest)
    if up_to_date:
        say(f"dbt: nothing has changed since these models were built; {len(standing)} tests that passed stand")
    if removed:
        say(f"dbt: removed, for no model is called so any more: {', '.join(removed)}")
    if dropped:
        say(f"dbt: built anew, for their definition or one they follow from has changed: {', '.join(dropped)}")
    if run_id is not None:
        os.environ["AVILA_RUN_ID"] = run_id
    command = ["test" if up_to_date else "build", "--select", *names, "--indirect-selection", "buildable"]
    command += ["--exclude-resource-type", "unit_test"]
    if found:
        command = ["test", "--select", *(manifest["nodes"][test]["name"] for test in found if test not in standing)]
    failure, results = None, []
    if not found or len(standing) < len(found):
        try:
            results = list(run_dbt(command, settings, variables, on_event, parsed=parse()).results)
        except DbtFailed as error:
            results, failure = error.results, error
    found |= {r.node.unique_id: r.status == "pass" for r in results if r.node.resource_type == "test"}
    succeeded = [r.node.name for r in results if r.node.resource_type == "model" and r.status == "success"]
    with connect(settings) as connection:
        if up_to_date:
            note_standing(connection, names, run_id=run_id)
        else:
            note_built(connection, manifest, variables, built=succeeded, seq=seq, run_id=run_id)
            state = state_of(connection, manifest, variables, names)
        if up_to_date or failure is None:
            ledger.note(connection, work, state, json.dumps(found))
    if failure is not None:
        raise DbtFailed(str(failure), results, standing) from failure
    return Built(results=results, passed_before=standing)


def state_of(
    connection: duckdb.DuckDBPyConnection,
    manifest: Mapping[str, Any],
    variables: Mapping[str, Any],
    names: Collection[str],
) -> str:
    """A fingerprint of all that decides what some models' tests find, but for the lake's own files."""
    query = """
        select model, fingerprint, built_seq, built_at::varchar from increments.built_models
        where model in (select unnest(?)) order by model
    """
    built = connection.execute(query, [sorted(with_ancestors(manifest, names))]).fetchall()
    macros = {key: macro["macro_sql"] for key, macro in manifest["macros"].items() if macro["package_name"] == "avila"}
    tests = {key: [t["raw_code"], t["config"], t.get("test_metadata")] for key, t in tests_in(manifest).items()}
    facts = built, macros, tests, variables, ledger.code_of("orchestration")
    return ledger.fingerprint(connection, predictions_in(manifest, names), *facts)


def drop_leftovers(connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]) -> list[str]:
    """Drop what was a model once and is none now, in one transaction; returns the names.

    A mart would be published for ever as it last was, and a model that is kept no longer would be the one that has
    not taken in any load since.
    """
    kept = {(node["schema"], node["name"]) for node in models_of(manifest).values() if not is_ephemeral(node)}
    schemas = {schema for schema, _ in kept}
    query = "select table_schema, table_name, table_type from information_schema.tables order by all"
    tables = connection.execute(query).fetchall()
    left = [(schema, name, kind) for schema, name, kind in tables if schema in schemas and (schema, name) not in kept]
    connection.begin()
    for schema, name, kind in left:
        connection.execute(f'drop {"view" if kind == "VIEW" else "table"} {schema}."{name}"')
    query = "delete from increments.built_models where model not in (select unnest(?))"
    connection.execute(query, [sorted(name for _, name in kept)])
    connection.commit()
    return [name for _, name, _ in left]


def drop_outdated(
    connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any], variables: Mapping[str, Any]
) -> list[str]:
    """Drop every incremental model that has to be built anew, in one transaction; returns their names.

    Those are the ones whose definition is not the one they were built from, or that read one that has to be.
    """
    models, prints = models_of(manifest), fingerprints(manifest, variables)
    built = dict(connection.execute("select model, fingerprint from increments.built_models").fetchall())
    tables = {
        (schema, name): kind
        for schema, name, kind in connection.execute(
            "select table_schema, table_name, table_type from information_schema.tables"
        ).fetchall()
    }
    outdated: dict[str, bool] = {}

    def is_outdated(unique_id: str) -> bool:
        if unique_id not in outdated:
            node = models[unique_id]
            name = node["name"]
            known = (node["schema"], name) in tables and built.get(name) == prints[name]
            behind = any(is_outdated(parent) for parent in parents_of(node, models))
            outdated[unique_id] = behind or (is_incremental(node) and not known)
        return outdated[unique_id]

    dropped = []
    connection.begin()
    for unique_id, node in models.items():
        if is_outdated(unique_id) and is_incremental(node):
            kind = tables.get((node["schema"], node["name"]))
            if kind is not None:
                what = "view" if kind == "VIEW" else "table"
                connection.execute(f'drop {what} {node["schema"]}."{node["name"]}"')
                dropped.append(node["name"])
            connection.execute("delete from increments.built_models where model = ?", [node["name"]])
    connection.commit()
    return dropped


def unbuilt_ancestors(
    connection: duckdb.DuckDBPyConnection,
    manifest: Mapping[str, Any],
    names: Iterable[str],
    *,
    run_id: str | None,
) -> list[str]:
    """The models that some follow from, but for those among them and those that the run has built already."""
    query = "select model from increments.built_models where run_id = ?"
    built = {name for (name,) in connection.execute(query, [run_id]).fetchall()}
    return sorted(with_ancestors(manifest, names) - built - set(names))


def is_up_to_date(
    connection: duckdb.DuckDBPyConnection,
    manifest: Mapping[str, Any],
    variables: Mapping[str, Any],
    names: Iterable[str],
    *,
    seq: int,
) -> bool:
    """Whether all of some models were built from these definitions and loads."""
    nodes = {node["name"]: node for node in models_of(manifest).values()}
    prints = fingerprints(manifest, variables)
    query = "select model, fingerprint from increments.built_models where built_seq = ?"
    built = dict(connection.execute(query, [seq]).fetchall())
    return all(name in nodes and (built.get(name) == prints[name] or is_ephemeral(nodes[name])) for name in names)


def names_pruned_files(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the view of what came and went names files that are no more.

    Those of replaced and withdrawn dumps are pruned once all have taken that in, but the view, and those that read it,
    name them until they are built again.
    """
    view = "select count(*) from information_schema.tables where table_name = 'stg_events_changed'"
    if not connection.execute(view).fetchall()[0][0]:
        return False
    try:
        connection.execute("select 1 from staging.stg_events_changed limit 0").fetchall()
    except duckdb.IOException:
        return True
    return False


def behind(
    connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any], variables: Mapping[str, Any]
) -> list[str]:
    """The models that were not built from these definitions and all loads, by name."""
    prints, seq = fingerprints(manifest, variables), last_seq(connection)
    query = "select model, fingerprint from increments.built_models where built_seq = ?"
    built = dict(connection.execute(query, [seq]).fetchall())
    kept = {node["name"] for node in models_of(manifest).values() if not is_ephemeral(node)}
    return sorted(name for name in kept if built.get(name) != prints[name])


def last_seq(connection: duckdb.DuckDBPyConnection) -> int:
    """The number of the last load or retirement that `ops.loads` has; 0 without any."""
    has_loads = connection.execute(
        "select count(*) from information_schema.tables where table_schema = 'ops' and table_name = 'loads'"
    ).fetchall()[0][0]
    if not has_loads:
        return 0
    query = "select coalesce(max(greatest(load_seq, coalesce(retired_seq, 0))), 0) from ops.loads"
    return int(connection.execute(query).fetchall()[0][0])


def applied_seq(connection: duckdb.DuckDBPyConnection) -> int:
    """The number up to which every incremental model has taken in the loads; 0 where none is built."""
    query = "select coalesce(min(built_seq), 0) from increments.built_models where is_incremental"
    return int(connection.execute(query).fetchall()[0][0])


def note_built(
    connection: duckdb.DuckDBPyConnection,
    manifest: Mapping[str, Any],
    variables: Mapping[str, Any],
    *,
    built: Iterable[str],
    seq: int,
    run_id: str | None = None,
) -> None:
    """Note which models have taken in all loads up to a number, and forget the changes that all have.

    Args:
        connection: The open warehouse.
        manifest: dbt's.
        variables: What ``avila.yml`` declares.
        built: The names of the models dbt has built.
        seq: From `last_seq`, as it was when dbt began.
        run_id: The run that has built them.
    """
    prints, incremental = fingerprints(manifest, variables), incremental_models(manifest)
    names = sorted(set(built))
    connection.begin()
    connection.execute(
        """
        insert or replace into increments.built_models
        select unnest(?::varchar[]), unnest(?::boolean[]), unnest(?::varchar[]), ?, ?, now() at time zone 'UTC'
        """,
        [names, [name in incremental for name in names], [prints[name] for name in names], seq, run_id],
    )
    connection.execute("delete from increments.event_changes where change_seq <= ?", [applied_seq(connection)])
    connection.commit()


def note_standing(connection: duckdb.DuckDBPyConnection, names: Iterable[str], *, run_id: str | None) -> None:
    """Note that a run has found some models to be as it would build them."""
    query = "update increments.built_models set run_id = ? where model in (select unnest(?))"
    connection.execute(query, [run_id, list(names)])
