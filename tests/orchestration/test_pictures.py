"""Pictures and the report: true to the marts, safe with any name, sensible with nothing to show."""

import re
from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from itertools import combinations
from xml.etree import ElementTree

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.page import compose, definitions
from orchestration.pictures.drawing import WIDTH, Drawing, Picture
from orchestration.pictures.gallery import GALLERY, draw, draw_all
from orchestration.pictures.journeys import FEWEST_USERS
from orchestration.pictures.models import metric_history
from orchestration.pictures.palette import DARK, LIGHT, SERIES, contrast, luminance, shades, stylesheet
from orchestration.pictures.words import plain, shortened, width_of
from tests.conftest import BuildWarehouse, funnel

SVG = "{http://www.w3.org/2000/svg}"
NOW = datetime(2025, 3, 1, 5)
SCORED = {"churn_scores", "conversion_scores", "score_performance", "clv"}

HOSTILE = [
    "<script>alert('x')</script>",
    '"><img src=http://evil.example/x onerror=alert(1)>',
    "]]></style></svg><svg onload=alert(1)>",
    "/" + "very-long-" * 60 + "end",
    "日本語の長いページ名" * 20,
    "\u202eright to left\u202c and a\nnew line\tand \x00\x07 controls \ufffe",
    "אתר עם שם ארוך 🛒👩‍👩‍👧 e\u0301",
    "{{ 7 * 7 }} {% raw %} & &amp; 100%",
    "   ",
    "' or 1=1; drop table marts.events; --",
]


def journeys(pages: list[str], *, users: int, days: int, tag: str = "user") -> pd.DataFrame:
    """Every user walks all pages on every so many days, and buys every third day."""
    rows = []
    for user in range(users):
        for day in range(user % 5, days, 1 + user % 4):
            start = pd.Timestamp("2025-01-01 12:00") + pd.Timedelta(days=day)
            for step, page in enumerate(pages):
                moment = start + pd.Timedelta(minutes=step)
                rows.append((f"{tag}{user}", "page_view", page, moment, None))
            if day % 3 == 0:
                rows.append((f"{tag}{user}", "purchase", None, start + pd.Timedelta(minutes=len(pages)), 10 + user))
    return pd.DataFrame(rows, columns=["user_id", "event_name", "page", "event_ts", "revenue"])


@pytest.fixture(scope="module")
def shop(build_warehouse: BuildWarehouse) -> duckdb.DuckDBPyConnection:
    """Two months of a shop whose pages, and funnels, are called what a visitor may make them."""
    usual = journeys(HOSTILE, users=30, days=60, tag="secret-person-")
    rare = journeys(["/orders/secret-order"], users=FEWEST_USERS - 1, days=3, tag="rare-person-")
    steps: list[str | dict[str, str]] = [{"event": "page_view", "where": f"page like '{mark}%'"} for mark in ("<", '"')]
    declared = [funnel(name, [*steps, "purchase"], window=3600, order="ordered") for name in (*HOSTILE[:4], "日本 🛒")]
    connection = build_warehouse(pd.concat([usual, rare]), {"funnels": declared})
    connection.execute(
        """
        create or replace table ops.loads as select 'shop <b>' as source, 'live' as status, 9::bigint as rows,
            1::bigint as rejected, min(event_ts) as first_event_ts, max(event_ts) as last_event_ts from marts.events
        """
    )
    return connection


@pytest.fixture(scope="module")
def pages(shop: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return compose(shop, timezone="America/Sao_Paulo", published_at=NOW)


class Page(HTMLParser):
    """What a browser would find in the report."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_picture_is_drawn_and_well_formed(shop: duckdb.DuckDBPyConnection, pages: dict[str, str]) -> None:
    pictures = draw_all(shop)
    # No model has scored here.
    assert {picture.mart for picture in pictures} == set(GALLERY) - SCORED
    assert len({picture.name for picture in pictures}) == len(pictures)
    assert set(pages) == {"report.html", *(f"pictures/{picture.name}.svg" for picture in pictures)}
    for picture in pictures:
        root = ElementTree.fromstring(picture.to_file())
        assert root.tag == f"{SVG}svg"
        assert root.get("role") == "img"
        assert root.findtext(f"{SVG}title"), picture.name
        assert root.findtext(f"{SVG}desc"), picture.name
        assert re.fullmatch("[a-z0-9-]+", picture.name)
        assert picture.reading.endswith(".")


def test_texts_stay_on_the_canvas(shop: duckdb.DuckDBPyConnection) -> None:
    texts_stay_on_the_canvas(draw_all(shop))


def texts_stay_on_the_canvas(pictures: list[Picture]) -> None:
    for picture in pictures:
        for shape in ElementTree.fromstring(picture.to_part()).iter(f"{SVG}text"):
            if shape.get("transform"):
                continue
            shown = shape.text or (shape[0].tail if len(shape) else "") or ""
            wide, at = width_of(shown, float(shape.get("font-size", 0))), float(shape.get("x", 0))
            left = {"end": at - wide, "middle": at - wide / 2}.get(shape.get("text-anchor", ""), at)
            assert left >= -2, (picture.name, shown)
            assert left + wide <= WIDTH + 8, (picture.name, shown)
            assert 0 <= float(shape.get("y", 0)) <= picture.drawing.height, (picture.name, shown)


def test_the_report_asks_for_nothing_and_runs_nothing(pages: dict[str, str]) -> None:
    page = Page(pages["report.html"])
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "iframe", "object", "embed", "base", "form", "foreignobject", "image", "use"}
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes), attributes
        for name in ("src", "href", "srcset", "action", "data", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith("#") or value == "data:,", (tag, attributes)
    for text in pages.values():
        assert not re.search(r"@import|url\(", text)
    policy = next(attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]
    assert links
    assert {link[1:] for link in links} <= targets


def test_names_are_shown_as_texts(pages: dict[str, str]) -> None:
    page = Page(pages["report.html"])
    assert "Funnel: <script>alert('x')</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "shop <b>" in page.text
    for text in pages.values():
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069\ufffe]", text)


def test_no_user_and_nothing_that_few_did_is_named(pages: dict[str, str]) -> None:
    for text in pages.values():
        assert "person" not in text
        assert "secret-order" not in text


def test_the_report_says_what_it_is_about(pages: dict[str, str], shop: duckdb.DuckDBPyConnection) -> None:
    text = " ".join(Page(pages["report.html"]).text.split())
    (events, last) = shop.execute("select count(*), max(event_ts) from marts.events").fetchall()[0]
    assert f"{events:,} events" in text
    assert f"{last:%Y-%m-%d %H:%M} UTC" in text
    assert "America/Sao_Paulo" in text
    day = shop.execute("select max(activity_date) from marts.active_users where is_complete").fetchall()[0][0]
    assert f"{day:%A}, {day}, the last full day" in text
    for picture in draw_all(shop):
        assert " ".join(picture.reading.split()) in text
        assert f"marts.{picture.mart}" in text


def test_every_picture_has_its_meaning_in_the_readme(shop: duckdb.DuckDBPyConnection) -> None:
    meanings = definitions()
    assert all(meanings[picture.topic] for picture in draw_all(shop))
    assert "Churn and conversion" in meanings


def test_the_journeys_ribbons_are_all_events(shop: duckdb.DuckDBPyConnection) -> None:
    (picture,) = draw(shop, "path_transitions")
    told = [title.text or "" for title in ElementTree.fromstring(picture.to_file()).iter(f"{SVG}title")]
    ribbons = [re.search(r": ([\d,]+), \d.* of the left$", said) for said in told]
    drawn = sum(int(match[1].replace(",", "")) for match in ribbons if match)
    events, sessions = shop.execute("select sum(events), sum(entries) from marts.path_steps").fetchall()[0]
    # Each event is left once, and each session is entered once.
    assert drawn == events + sessions


@pytest.fixture
def foreseen() -> Iterator[duckdb.DuckDBPyConnection]:
    """What models leave: a hundred customers, a month of scores and three versions, the second of which scores."""
    with duckdb.connect() as connection:
        connection.execute(
            """
            create schema marts; create schema ops;
            create table marts.clv as select 'secret-person-' || n as user_key, date '2025-03-01' as as_of,
                90 as horizon_days, 0.5 as probability_alive, 2.0 as expected_purchases,
                (case when n < 10 then 50 else 5 end)::decimal(18, 4) as clv from range(100) as t(n)
            union all select 'secret-person-none', date '2025-03-01', 90, null, null, null;
            create table marts.score_performance as select model, date '2025-01-06' + 7 * n::integer as as_of,
                'v' as model_version, 200::bigint as users, (60 + 10 * n)::bigint as positives,
                0.3::double as mean_probability, case when n > 0 then 0.9 end as roc_auc
            from range(4) as t(n), (values ('churn'), ('conversion')) as m(model);
            create table ops.model_versions as select 'churn' as model, 'v' || n as version,
                timestamp '2025-01-01' + to_days(n::integer) as trained_at, 'xgboost' as estimator,
                n = 1 as is_champion,
                date '2025-01-01' + n::integer as trained_as_of, '{"xgboost.roc_auc": 0.' || (7 + n)
                || ', "xgboost.log_loss": 1.25, "base_rate.roc_auc": 0.5}' as metrics from range(3) as t(n)
            union all select 'conversion', 'v', now()::timestamp, 'base_rate', true, null, '{}'
            """
        )
        yield connection


def told_by(picture: Picture) -> list[str]:
    root = ElementTree.fromstring(picture.to_file())
    return [title.text or "" for title in root.iter(f"{SVG}title")]


def test_what_is_foreseen_is_drawn_as_it_is_in_the_marts(foreseen: duckdb.DuckDBPyConnection) -> None:
    churn, conversion, value = draw_all(foreseen)
    # Ten of 50 and ninety of 5: the first tenth brings 500 of 950.
    assert (
        "100 customers are expected to make 200 purchases worth 950; the first tenth 53% of that" in value.description
    )
    assert sum("10 customers, 20 purchases worth 500.00" in said for said in told_by(value)) == 1
    assert sum("10 customers, 20 purchases worth 50.00" in said for said in told_by(value)) == 9
    assert (
        "Of 200 users scored as of 2025-01-27, 30% were expected to have stayed away, and 45% did" in churn.description
    )
    assert "to have converted" in conversion.description
    # Four dates; the first has no AUC.
    assert sum("expected to have stayed away 0.300" in said for said in told_by(churn)) == 4
    assert sum("ROC-AUC 0.900" in said for said in told_by(churn)) == 3
    (versions,) = metric_history(foreseen, "churn")
    assert "3 versions, the newest of 2025-01-03: ROC-AUC 0.900, log loss 1.250." in versions.description
    assert [said for said in told_by(versions) if "ROC-AUC" in said] == [
        f"2025-01-0{n}: ROC-AUC 0.{6 + n}00" for n in (1, 2, 3)
    ]
    assert told_by(versions).count("scores now") == 1
    assert metric_history(foreseen, "conversion") == []
    for picture in (churn, conversion, value, versions):
        assert "secret-person" not in picture.to_file()
        assert definitions()[picture.topic]
        assert re.fullmatch("[a-z0-9-]+", picture.name)
    texts_stay_on_the_canvas([churn, conversion, value, versions])


def test_nothing_foreseen_is_no_picture(foreseen: duckdb.DuckDBPyConnection) -> None:
    foreseen.execute("update marts.clv set clv = null; delete from marts.score_performance where model = 'churn'")
    (conversion,) = draw_all(foreseen)
    assert conversion.name == "score-performance-conversion"


def test_a_single_day_is_a_sensible_page(build_warehouse: BuildWarehouse) -> None:
    events = journeys(["/"], users=2, days=1)
    warehouse = build_warehouse(events[events["event_name"] == "page_view"])
    _without_loads(warehouse)
    page = Page(compose(warehouse, timezone="UTC", published_at=NOW)["report.html"])
    assert "No day is over yet" in page.text
    assert "nan" not in page.text.lower()


def test_without_funnels_and_key_events_the_rest_is_drawn(build_warehouse: BuildWarehouse) -> None:
    events = journeys(["/", "/a"], users=12, days=40)
    warehouse = build_warehouse(events[events["event_name"] == "page_view"])
    _without_loads(warehouse)
    drawn = {picture.mart for picture in draw_all(warehouse)}
    assert {"active_users", "lifecycle", "cohort_retention", "path_transitions"} <= drawn
    assert not drawn & {"funnel_steps", "rfm_scores", "rfm_transitions", "paths_to_key_event", "attribution"}


def test_nobody_retained_and_a_funnel_nobody_entered(build_warehouse: BuildWarehouse) -> None:
    events = pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in range(30)],
            "event_name": "visit",
            "event_ts": [pd.Timestamp("2025-01-01") + pd.Timedelta(days=n) for n in range(30)],
        }
    )
    warehouse = build_warehouse(events, {"funnels": [funnel("f", ["never", "later"], window=60, order="ordered")]})
    _without_loads(warehouse)
    pages = compose(warehouse, timezone="UTC", published_at=NOW)
    assert "nobody has entered it" in pages["report.html"]
    assert "0% of" in " ".join(draw(warehouse, "cohort_retention")[0].description.split())


def test_marts_that_are_not_built_are_left_out() -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema ops; create schema marts")
        _without_loads(connection)
        pages = compose(connection, timezone="UTC", published_at=NOW)
    assert set(pages) == {"report.html"}
    assert "too little to draw" in pages["report.html"]


def _without_loads(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        """
        create or replace table ops.loads (source varchar, status varchar, rows bigint, rejected bigint,
            first_event_ts timestamp, last_event_ts timestamp)
        """
    )


@given(st.text(max_size=80), st.floats(20, 400), st.floats(8, 20))
def test_any_text_fits_its_place_in_one_clean_line(text: str, width: float, size: float) -> None:
    assert width_of(shortened(text, width, size), size) <= max(width, width_of("…", size)) + 1e-6
    drawing = Drawing(20)
    drawing.text(0, 10, text, width=width, size=size)
    drawing.rect(0, 0, 1, 1, "first", told=text)
    picture = Picture(
        name="p", mart="m", title=text, reading="r.", description=text, topic="Paths", drawing=drawing
    )  # fmt: skip
    root = ElementTree.fromstring(picture.to_file())
    assert root.findtext(f"{SVG}title") == plain(text)


def simulated(colour: str, matrix: np.ndarray) -> np.ndarray:
    """A colour in CIE L*a*b* as an eye sees it whose cones a matrix describes."""
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
    )
    xyz = to_xyz @ np.clip(matrix @ linear, 0, 1) / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira and Fernandes (2009), severity 1.
EYES = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("eye", EYES)
def test_series_keep_apart_for_every_eye(theme: dict[str, str], eye: str) -> None:
    for one, other in combinations(SERIES, 2):
        distance = np.linalg.norm(simulated(theme[one], EYES[eye]) - simulated(theme[other], EYES[eye]))
        assert distance > 20, (one, other)


@pytest.mark.parametrize(("name", "theme"), [("light", LIGHT), ("dark", DARK)])
def test_contrasts_are_those_of_wcag(name: str, theme: dict[str, str]) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for text in ("ink", "muted"):
        assert contrast(theme[text], theme["surface"]) >= 4.5
    assert contrast(theme["ink"], theme["track"]) >= 4.5
    assert contrast(theme["muted"], theme["track"]) >= 4.5
    for series in SERIES:
        assert contrast(theme[series], theme["surface"]) >= 3
    levels = [luminance(fill) for fill, _ in shades(name)]
    assert levels == sorted(levels, reverse=name == "light")
    for fill, text in shades(name):
        assert contrast(fill, text) >= 4.5
    assert all(f"--{key}:{colour}" in stylesheet() for key, colour in theme.items())
