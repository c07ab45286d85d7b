"""What models foresee, and how good that was: lifetime value, scores that came true, one version after another."""

import json
from collections.abc import Sequence
from datetime import date

import duckdb

from orchestration.pictures.drawing import SMALL, WIDTH, Drawing, Picture
from orchestration.pictures.frame import LEFT, RIGHT, Frame, day, legend
from orchestration.pictures.words import counted, percent

TENTHS = 10
MOST_DATES = 52
OUTCOMES = {"churn": "stayed away", "conversion": "converted"}
MEASURES = {"roc_auc": "ROC-AUC", "pr_auc": "PR-AUC", "log_loss": "log loss", "calibration_error": "calibration error"}
LOOKS = ("first", "second", "third", "fourth")


def clv(connection: duckdb.DuckDBPyConnection) -> list[Picture]:
    """How much of what is expected each tenth of the customers is to bring."""
    rows = connection.execute(
        f"""
        with ranked as (
            select *, ntile({TENTHS}) over (order by clv desc, user_key) as tenth from marts.clv where clv is not null
        )
        select
            tenth, count(*), sum(clv)::double, sum(expected_purchases), avg(probability_alive), any_value(as_of),
            any_value(horizon_days)
        from ranked group by tenth order by tenth
        """
    ).fetchall()
    total = sum(row[2] for row in rows)
    if len(rows) < TENTHS or total <= 0:
        return []
    drawing = Drawing(248)
    most = max(row[2] for row in rows)
    frame = Frame(drawing, top=26, bottom=200, low=0, high=most, columns=TENTHS)
    for tenth, users, value, purchases, alive, *_ in rows:
        x, top = frame.x(tenth - 1), frame.y(value)
        told = (
            f"tenth {tenth}: {counted(users)} customers, {counted(round(purchases))} purchases worth {value:,.2f}; "
            f"on average {percent(alive)} likely to be customers still"
        )
        drawing.rect(x + 3, top, frame.width - 6, frame.y(0) - top, "first", told=told)
        drawing.text(x + frame.width / 2, top - 6, percent(value / total), size=SMALL, anchor="middle")
        drawing.text(x + frame.width / 2, 218, str(tenth), look="muted", size=SMALL, anchor="middle")
    said = "tenths of the customers, the most valuable first"
    drawing.text((LEFT + WIDTH - RIGHT) / 2, 240, said, look="muted", size=SMALL, anchor="middle")
    as_of, horizon = rows[0][5:]
    purchases, customers = sum(row[3] for row in rows), sum(row[1] for row in rows)
    return [
        Picture(
            name="clv",
            mart="clv",
            title=f"What customers are expected to bring in {horizon} days",
            reading="Each bar is what a tenth of the customers is expected to spend, and its share of the whole: the "
            "steeper the fall, the more depends on few.",
            description=f"As of {as_of}, {counted(customers)} customers are expected to make "
            f"{counted(round(purchases))} purchases worth {total:,.0f}; the first tenth {percent(rows[0][2] / total)} "
            "of that.",
            topic="Lifetime value",
            drawing=drawing,
        )
    ]


def score_performance(connection: duckdb.DuckDBPyConnection) -> list[Picture]:
    """For each model, what its scores said and what came of it, by the date they were given."""
    pictures = []
    for model, outcome in OUTCOMES.items():
        rows = connection.execute(
            """
            select
                as_of, sum(users)::bigint, sum(mean_probability * users) / sum(users), sum(positives) / sum(users),
                sum(roc_auc * users) / sum(users) filter (where roc_auc is not null)
            from marts.score_performance where model = ? group by as_of order by as_of desc limit ?
            """,
            [model, MOST_DATES],
        ).fetchall()[::-1]
        if rows:
            pictures.append(_performance(model, outcome, rows))
    return pictures


def _performance(model: str, outcome: str, rows: list[tuple[date, int, float, float, float | None]]) -> Picture:
    drawing = Drawing(262)
    frame = Frame(drawing, top=34, bottom=226, low=0, high=1, columns=len(rows), as_percent=True)
    days = [row[0] for row in rows]
    named = (("first", f"expected to have {outcome}"), ("third", "who did"), ("second", "ROC-AUC"))
    legend(drawing, named, y=16)
    series: list[list[float | None]] = [[row[2] for row in rows], [row[3] for row in rows], [row[4] for row in rows]]
    for (look, said), values in zip(named, series, strict=True):
        _line(drawing, frame, days, values, look, said)
    frame.label_columns([day(when, with_year=True) for when in days])
    as_of, users, expected, observed, auc = rows[-1]
    ranked = f"; a user of whom it came true had the higher score {percent(auc)} of the time" if auc is not None else ""
    return Picture(
        name=f"score-performance-{model}",
        mart="score_performance",
        title=f"How good the {model} scores were",
        reading="By the date the scores were given: where the first two lines meet, probabilities were honest; "
        "ROC-AUC says how well they ranked users, 50% being chance.",
        description=f"Of {counted(users)} users scored as of {as_of}, {percent(expected)} were expected to have "
        f"{outcome}, and {percent(observed)} did{ranked}.",
        topic="Models",
        drawing=drawing,
    )


def metric_history(connection: duckdb.DuckDBPyConnection, model: str) -> list[Picture]:
    """What scores, version by version, as measured on its own test; nothing where no version was tested.

    Args:
        connection: The warehouse, with `ops.model_versions`.
        model: churn or conversion.
    """
    found = connection.execute(
        """
        select coalesce(trained_as_of, cast(trained_at as date)), estimator, metrics, is_champion
        from ops.model_versions where model = ? order by trained_at desc limit ?
        """,
        [model, MOST_DATES],
    ).fetchall()[::-1]
    rows = []
    for trained, estimator, metrics, is_champion in found:
        measured = json.loads(metrics or "{}")
        values = [measured.get(f"{estimator}.{measure}") for measure in MEASURES]
        if any(value is not None for value in values):
            rows.append((trained, values, is_champion, estimator))
    if not rows:
        return []
    drawing = Drawing(262)
    high = max(value for _, values, *_ in rows for value in values if value is not None)
    frame = Frame(drawing, top=34, bottom=226, low=0, high=max(high, 1), columns=len(rows))
    legend(drawing, list(zip(LOOKS, MEASURES.values(), strict=True)), y=16)
    for place, (look, said) in enumerate(zip(LOOKS, MEASURES.values(), strict=True)):
        _line(drawing, frame, [row[0] for row in rows], [row[1][place] for row in rows], look, said)
    for column, (_, _, is_champion, _) in enumerate(rows):
        if is_champion:
            middle = frame.x(column) + frame.width / 2
            drawing.line([(middle, 34), (middle, 226)], "open", told="scores now")
    frame.label_columns([day(row[0], with_year=True) for row in rows])
    return [
        Picture(
            name=f"{model}-metric-history",
            mart=f"{model}_scores",
            title=f"{model}: its versions, each on its own test",
            reading="One place a version, in the order of training; the dashed line is at the one that scores.",
            description=f"{counted(len(rows))} versions, the newest of {rows[-1][0]}: "
            + ", ".join(
                f"{name} {value:.3f}"
                for name, value in zip(MEASURES.values(), rows[-1][1], strict=True)
                if value is not None
            )
            + ".",
            topic="Models",
            drawing=drawing,
        )
    ]


def _line(
    drawing: Drawing, frame: Frame, days: Sequence[date], values: Sequence[float | None], look: str, said: str
) -> None:
    """A line through the values that there are, with a dot at each."""
    points = [
        (frame.x(column) + frame.width / 2, frame.y(value), f"{when}: {said} {value:.3f}")
        for column, (when, value) in enumerate(zip(days, values, strict=True))
        if value is not None
    ]
    if len(points) > 1:
        drawing.line([(x, y) for x, y, _ in points], f"line-{look}")
    for x, y, told in points:
        drawing.dot(x, y, 3, look, told=told)
