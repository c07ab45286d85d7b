"""A person is forgotten as SECURITY.md says: its query finds all of their dumps, and what is landed takes them away."""

import re

import duckdb

from orchestration.settings import PROJECT_ROOT
from tests.ingestion.conftest import House, source

ANA, BOB = "2025-03-01,view,ana@shop.example\n", "2025-03-02,view,bob@shop.example\n"
HEADER = "ts,ev,u\n"
EVERYWHERE = source(path=("landing/**/*",))


def found(house: House) -> list[tuple[str, str]]:
    """What the query of SECURITY.md gives: source and file."""
    text = (PROJECT_ROOT / "SECURITY.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sql\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 1
    with duckdb.connect() as connection:
        house.lake.publish_catalog(connection)
        return connection.execute(blocks[0].replace("/data/shop", str(house.root))).fetchall()


def test_all_dumps_with_a_person_are_found_and_their_rows_go(house: House) -> None:
    house.write("both.csv", HEADER + ANA + BOB)
    house.write("overlap.csv", HEADER + BOB + ANA)
    house.write("copy.csv", HEADER + BOB + ANA)
    house.write("alone.csv", HEADER + ANA)
    house.write("rejected.csv", HEADER + BOB + "never,view,ana@shop.example\n")
    house.write("gone.csv", HEADER + ANA + BOB + BOB)
    house.write("before.csv", HEADER + BOB + BOB + ANA)
    house.write("bob.csv", HEADER + BOB)
    house.load(EVERYWHERE)
    landing = house.root / "landing"
    (landing / "gone.csv").unlink()
    (landing / "archive").mkdir()
    (landing / "before.csv").rename(landing / "archive" / "after.csv")
    house.load(EVERYWHERE)
    names = ["alone", "archive/after", "before", "both", "copy", "gone", "overlap", "rejected"]
    assert found(house) == [("web", f"landing/{name}.csv") for name in names]

    for name in names:
        dump = landing / f"{name}.csv"
        lines = dump.read_text().splitlines(keepends=True) if dump.exists() else []
        left = [line for line in lines if "ana@" not in line]
        dump.write_text("" if left == [HEADER] else "".join(left))
    house.load(EVERYWHERE)
    house.lake.prune(max(load.load_seq for load in house.lake.loads()) + 1)
    assert found(house) == []
    assert {row["user_id"] for row in house.events()} == {"bob@shop.example"}
    assert not any((house.root / "lake" / "rejects").iterdir())
