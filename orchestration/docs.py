"""``make docs``: dbt's documentation of every model, column and macro, as one page that opens offline."""

import sys

import duckdb

from orchestration.declarations import DeclarationError
from orchestration.house import House, open_house
from orchestration.terminal import take_no_arguments, terminal
from orchestration.warehouse import DbtFailed, run_dbt


def main() -> int:
    """Write the page; gives 1 where dbt fails or a night is writing, 2 where there is nothing to document yet."""
    console = terminal(stderr=True)
    try:
        house = open_house()
    except DeclarationError as error:
        console.print(str(error), style="red")
        return 2
    settings = house.settings
    if not settings.warehouse.exists():
        console.print(f"There is no warehouse at {settings.warehouse} yet: run {settings.command('run')} first.")
        return 2
    try:
        # Whether a night is writing is told in its own words, not in dbt's.
        duckdb.connect(str(settings.warehouse)).close()
        write_docs(house)
    except duckdb.IOException as error:
        console.print(f"The warehouse is in use, perhaps by a night that is running: {error}")
        return 1
    except DbtFailed as error:
        console.print(str(error), style="red")
        return 1
    console.print(f"Open {settings.docs} in a browser.")
    return 0


def write_docs(house: House) -> None:
    """Have dbt describe the warehouse, and put its page where people look for it.

    Raises:
        DbtFailed: The project does not parse or compile.
    """
    settings = house.settings
    run_dbt(["docs", "generate", "--static"], settings, house.declarations.dbt_vars())
    new = settings.docs.with_name(f".new-{settings.docs.name}")
    new.parent.mkdir(parents=True, exist_ok=True)
    (settings.root / "warehouse" / "dbt_docs" / "static_index.html").replace(new)
    new.replace(settings.docs)


if __name__ == "__main__":
    take_no_arguments(__doc__)
    sys.exit(main())
