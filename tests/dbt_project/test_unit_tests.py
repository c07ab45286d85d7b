"""dbt's own unit tests, over relations that hold nothing."""

from pathlib import Path

from orchestration.declarations import Declarations
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.warehouse import connect, run_dbt


def test_every_dbt_unit_test_passes(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    declarations = Declarations.load(PROJECT_ROOT / "data" / "avila.yml")
    with connect(settings):
        pass
    variables = declarations.dbt_vars()
    run_dbt(["run", "--empty"], settings, variables)
    results = run_dbt(["test", "--select", "test_type:unit"], settings, variables).results
    assert len(results) >= 15
    assert {result.status for result in results} == {"pass"}
