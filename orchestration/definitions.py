"""The Dagster code location: everything under ``defs/``, one step at a time.

One process may hold a DuckDB file, so steps share one.
"""

from dagster import Definitions, in_process_executor
from dagster.components import load_from_defs_folder

from orchestration.house import open_house
from orchestration.settings import PROJECT_ROOT

defs = Definitions.merge(
    load_from_defs_folder(project_root=PROJECT_ROOT), Definitions(executor=in_process_executor)
).map_asset_specs(func=lambda spec: spec.replace_attributes(owners=open_house().declarations.owners))
