"""An expression sees its own row and nothing else; what it reads is known before it is run."""

import re

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.ingestion.expressions import HELPERS, Expression, ExpressionError
from orchestration.sql import quoted

CONNECTION = duckdb.connect()
for helper in HELPERS:
    CONNECTION.execute(helper)


def parse(text: str) -> Expression:
    return Expression(text, CONNECTION)


REFERENCES = {
    "a": {("a",)},
    '"A b" + c': {("A b",), ("c",)},
    "actor.login": {("actor", "login")},
    "actor->>'login'": {("actor",)},
    "json_extract_string(payload, '$.ref')": {("payload",)},
    "case type when 'x' then a.b.c end": {("type",), ("a", "b", "c")},
    "list_filter(xs, x -> x.k = y)": {("xs",), ("y",)},
    "list_transform(xs, lambda x: list_filter(zs, lambda z: z = x))": {("xs",), ("zs",)},
    "a -> 'x'": {("a",)},
    "a.b -> 'x' -> 0 ->> 'y'": {("a", "b")},
    "lower(a -> b ->> c)": {("a",), ("b",), ("c",)},
    "list_transform(a -> 'x', lambda x: x -> y)": {("a",), ("y",)},
    "list_filter(xs, (x, i) -> (x -> i) = y)": {("xs",), ("y",)},
    "[x -> y for x in xs]": {("xs",), ("y",)},
    "a.lower() || a.b.upper()": {("a",), ("a", "b")},
    "xs.list_transform(lambda x: x + y)": {("xs",), ("y",)},
    "'purchase'": set(),
    "cast(a as decimal(10, 2)) -- b": {("a",)},
    'coalesce(timestamp, "from")': {("timestamp",), ("from",)},
}


@pytest.mark.parametrize("text", REFERENCES)
def test_references(text: str) -> None:
    assert parse(text).references == REFERENCES[text]


WHOLE = {
    "a": {"a"},
    "a.b": set(),
    "upper(a) || b": {"a", "b"},
    "a -> 'x'": set(),
    "(a -> b)['c']": {"b"},
    "json_extract_string(cast(a as json), '$.x')": set(),
    "coalesce(a ->> 'x', a)": {"a"},
    "a[1] + b": {"b"},
    "param(a, 'x') || params(b)": {"b"},
    "list_transform(a, lambda x: x -> y)": {"a", "y"},
}


@pytest.mark.parametrize("text", WHOLE)
def test_what_is_read_as_a_whole(text: str) -> None:
    assert parse(text).whole == {(name,) for name in WHOLE[text]}


def test_only_a_column_alone_is_bare() -> None:
    assert parse("a").bare == ("a",)
    assert parse("a.b").bare == ("a", "b")
    assert parse("(a)").bare == ("a",)
    assert parse("a || ''").bare is None


# Where a number is wanted: in arithmetic, and in comparisons with what is no text.
NUMBERS = {
    "quantity * price": {"quantity", "price"},
    "price > 100": {"price"},
    "100 < price": {"price"},
    "price between 1 and 2": {"price"},
    "status in (200, 304)": {"status"},
    "status in ('200', '304')": set(),
    "type = 'x'": set(),
    "is_new = true": set(),
    "a || b": set(),
    "case when type = 'x' then price end": set(),
    "coalesce(a, b)": set(),
    "cast(a as double) * b": {"b"},
    "case event when 0 then 'view' end": {"event"},
}


@pytest.mark.parametrize("text", NUMBERS)
def test_where_numbers_are_wanted(text: str) -> None:
    wanted = set()

    def rename(reference: tuple[str, ...], as_number: bool) -> str:
        if as_number:
            wanted.add(reference[0])
        return reference[0]

    parse(text).render(rename)
    assert wanted == NUMBERS[text]


def test_rendering_renames_columns_and_nothing_else() -> None:
    expression = parse("list_filter(xs, x -> x.a = a.b) || 'a' || \"a\"")
    rendered = expression.render(lambda reference, _: "_".join(("r", *reference)))
    assert rendered == "((list_filter(r_xs, (lambda x: (x.a = r_a_b))) || 'a') || r_a)"


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12))
def test_any_column_name_can_be_quoted(name: str) -> None:
    assert parse(quoted(name)).bare == (name,)


REFUSED = {
    "": "cannot be read as SQL|expected one SQL expression",
    "a b c": "cannot be read as SQL",
    "a,b": "expected one SQL expression",
    "a; drop table x": "Only SELECT statements",
    "a; select 1": "expected one SQL expression",
    "a from read_csv('secrets.csv')": "expected one SQL expression",
    "a) from read_text('x') --": "cannot be read as SQL",
    "a where true": "expected one SQL expression",
    "a limit 1": "expected one SQL expression",
    "a union select 1": "cannot be read as SQL|expected one SQL expression",
    "a as b": "leave out `as",
    "*": "`\\*` is not allowed",
    "(select max(a) from t)": "a subquery is not allowed",
    "exists (from read_text('x'))": "a subquery is not allowed",
    "a in (select 1)": "a subquery is not allowed",
    "row_number() over ()": "a window function is not allowed",
    "lag(a) over (order by b)": "a window function is not allowed",
    "sum(a)": "sum\\(\\) is not allowed: an expression sees one row only",
    "count(*)": "is not allowed",
    "age(a)": "age\\(\\) of one time alone is not allowed: its result changes from run to run",
    "a.age()": "age\\(\\) of one time alone",
    "current_localtime()": "current_localtime\\(\\) is not allowed: its result changes from run to run",
    "current_localtimestamp()": "current_localtimestamp\\(\\) is not allowed: its result changes",
    "random()": "random\\(\\) is not allowed: its result changes from run to run",
    "now()": "now\\(\\) is not allowed",
    "coalesce(a, get_current_timestamp())": "is not allowed",
    "uuid()": "uuid\\(\\) is not allowed",
    "getenv('HOME')": "getenv\\(\\) is not allowed",
    "current_setting('temp_directory')": "is not allowed",
    "unnest(a)": "unnest\\(\\) is not allowed",
    "read_text('x')": "is not allowed",
    "nextval('s')": "is not allowed",
    "?": "a parameter is not allowed|cannot be read",
    "$1": "a parameter is not allowed|cannot be read",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_reads_more_than_its_row_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match=REFUSED[text]):
        parse(text)


NAMES = {
    "Customer ID": """'"Customer ID"'""",
    "1st": """'"1st"'""",
    "$insert_id": """'"$insert_id"'""",
    "order": """'"order"'""",
    "Order": """'"Order"'""",
    "left": """'"left"'""",
    "Preço unit.": """'"Preço unit."'""",
    "properties.$user_id": """'properties."$user_id"'""",
    "order.when": """'"order".when'""",
    "purchase completed": """"'purchase completed'\"""",
}


@pytest.mark.parametrize("text", NAMES)
def test_what_reads_like_a_name_is_refused_with_the_quotes_it_lacks(text: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(NAMES[text])):
        parse(text)


@pytest.mark.parametrize("text", ["a as b", "upper(a) b", "a +", "a where b = 1"])
def test_what_is_no_name_gets_no_such_hint(text: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse(text)
    assert "if it is a column" not in str(refused.value)


def test_no_statement_survives_as_an_expression() -> None:
    for statement in (
        "copy (select 1) to 'x'",
        "install httpfs",
        "set threads = 1",
        "pragma version",
        "create table t as select 1",
        "call range(1)",
    ):
        with pytest.raises(ExpressionError):
            parse(statement)


def test_helpers() -> None:
    def evaluate(sql: str) -> object:
        return CONNECTION.execute(f"select {sql}").fetchall()[0][0]

    for url, path in {
        "https://shop.example/a/b?c=d#e": "/a/b",
        "https://shop.example": None,
        "//shop.example/a#b": "/a",
        "/a": None,
        "android-app://shop/x": "/x",
    }.items():
        assert evaluate(f"url_path('{url}')") == path
    as_json = """'[{"key":"a","value":{"int_value":"1"}},{"key":"b","value":{"string_value":"x"}}]'"""
    as_structs = "[{'key': 'a', 'value': {'int_value': 1}}, {'key': 'b', 'value': {'int_value': null}}]"
    assert evaluate(f"param({as_json}, 'a')") == "1"
    assert evaluate(f"param({as_json}, 'b')") == "x"
    assert evaluate(f"param({as_json}, 'c')") is None
    assert evaluate(f"param({as_structs}, 'a')") == "1"
    assert evaluate(f"params({as_json})") == '{"a":"1","b":"x"}'
