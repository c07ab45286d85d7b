"""What the columns of a query are worked out from."""

from pathlib import Path

import duckdb
import pytest

from orchestration.lineage import LineageBook, column_lineage

SHOP = """
create schema shop;
create table shop.orders (order_id int, buyer varchar, price decimal(18, 4), quantity int, ordered_at timestamp);
create table shop.buyers (buyer varchar, country varchar);
"""
ORDERS = {column: ("shop", "orders", column) for column in ("order_id", "buyer", "price", "quantity", "ordered_at")}
COUNTRY = ("shop", "buyers", "country")
QUERIES = {
    "an expression": ("select price * quantity as paid from shop.orders", {"paid": {"price", "quantity"}}),
    "a constant": ("select 1 as one from shop.orders", {"one": set()}),
    "a condition decides on rows alone": (
        "select order_id from shop.orders where price > 1 and ordered_at is not null",
        {"order_id": {"order_id"}},
    ),
    "a column under another name, through a star": (
        "with bought as (select *, price as cost from shop.orders), all_of as (from bought) select cost from all_of",
        {"cost": {"price"}},
    ),
    "a window": (
        "select row_number() over (partition by buyer order by ordered_at) as nth from shop.orders",
        {"nth": {"buyer", "ordered_at"}},
    ),
    "both sides of a union": (
        "select price as number from shop.orders union all select quantity as number from shop.orders",
        {"number": {"price", "quantity"}},
    ),
    "an aggregate with a filter": (
        "select sum(price) filter (where quantity > 1) as paid from shop.orders",
        {"paid": {"price", "quantity"}},
    ),
    "what is joined, by its own name": (
        "select o.buyer, b.country from shop.orders as o left join shop.buyers as b on o.buyer = b.buyer",
        {"buyer": {"buyer"}, "country": {"country"}},
    ),
}


@pytest.fixture
def shop() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(SHOP)
    return connection


@pytest.mark.parametrize(("sql", "expected"), QUERIES.values(), ids=list(QUERIES))
def test_columns_are_followed_to_tables(
    shop: duckdb.DuckDBPyConnection, sql: str, expected: dict[str, set[str]]
) -> None:
    sources = {**ORDERS, "country": COUNTRY}
    assert column_lineage(shop, sql) == {
        column: {sources[name] for name in names} for column, names in expected.items()
    }


def test_a_lineage_is_read_once_for_a_definition(shop: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = tmp_path / "column_lineage.json"
    said: list[str] = []
    book = LineageBook(path, {"paid": "as it was", "counted": "as it is", "torn": "as it is"}, said.append)
    book.read(shop, "paid", "select price as paid from shop.orders")
    book.read(shop, "counted", "select quantity as counted from shop.orders")
    book.read(shop, "torn", "select from (")
    book.keep()
    assert [text.split(":")[0] for text in said] == ["torn"]

    book = LineageBook(path, {"paid": "otherwise", "counted": "as it is"}, said.append)
    assert book.of("paid") == {}
    assert book.of("counted") == {"counted": [ORDERS["quantity"]]}
    book.read(shop, "paid", "select price * quantity as paid from shop.orders")
    book.read(shop, "counted", "this is not even read")
    book.keep()
    assert LineageBook(path, {"paid": "otherwise"}, said.append).of("paid") == {
        "paid": [ORDERS["price"], ORDERS["quantity"]]
    }
