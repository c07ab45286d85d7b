"""The Dagster code location: everything under ``defs/``, one step at a time.

One process may hold a DuckDB file, so steps share one.
"""

import warnings

from dagster import Definitions, PreviewWarning, in_process_executor
from dagster.components import load_from_defs_folder

from orchestration.house import open_house
from orchestration.settings import PROJECT_ROOT

with warnings.catch_warnings():
    warnings.simplefilter("ignore", PreviewWarning)
    defs = Definitions.merge(
        load_from_defs_folder(project_root=PROJECT_ROOT), Definitions(executor=in_process_executor)
    ).map_asset_specs(func=lambda spec: spec.replace_attributes(owners=open_house().declarations.owners))
