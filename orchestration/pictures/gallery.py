"""The gallery: which pictures are drawn from which mart."""

from collections.abc import Callable

import duckdb

from orchestration.pictures import activity, credit, funnels, journeys, matrices, models
from orchestration.pictures.drawing import Picture

GALLERY: dict[str, Callable[[duckdb.DuckDBPyConnection], list[Picture]]] = {
    "active_users": activity.active_users,
    "lifecycle": activity.lifecycle,
    "stickiness": activity.stickiness,
    "funnel_steps": funnels.funnel_bars,
    "cohort_retention": matrices.retention_heat_maps,
    "rfm_scores": matrices.rfm_grid,
    "rfm_transitions": matrices.segment_transitions,
    "path_transitions": journeys.sankey,
    "paths_to_key_event": journeys.paths_to_key_event,
    "paths_from_key_event": journeys.paths_from_key_event,
    "attribution": credit.attribution,
    "conversion_paths": journeys.conversion_paths,
    "churn_scores": credit.churn_scores,
    "conversion_scores": credit.conversion_scores,
    "score_performance": models.score_performance,
    "clv": models.clv,
}
"""By mart, in the order of the report. A picture shows counts alone, never who was counted."""


def draw(connection: duckdb.DuckDBPyConnection, mart: str) -> list[Picture]:
    """The pictures of a mart that is built; none where it has none, or too little to show.

    Args:
        connection: The warehouse.
        mart: The name of the table in schema `marts`.
    """
    return GALLERY[mart](connection) if mart in GALLERY else []


def draw_all(connection: duckdb.DuckDBPyConnection) -> list[Picture]:
    """Every picture of the marts that are there."""
    built = {
        row[0]
        for row in connection.execute(
            "select table_name from duckdb_tables() where database_name = current_database() and schema_name = 'marts'"
        ).fetchall()
    }
    # Journeys are drawn from two marts.
    return [
        picture
        for mart in GALLERY
        if mart in built and (mart != "path_transitions" or "path_steps" in built)
        for picture in draw(connection, mart)
    ]
