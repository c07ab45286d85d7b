"""Credit and chances: key events by channel, users by what the models expect of them."""

from collections.abc import Callable
from functools import partial

import duckdb

from orchestration.pictures.drawing import SMALL, TEXT, WIDTH, Drawing, Picture
from orchestration.pictures.frame import LEFT, RIGHT, Frame, legend
from orchestration.pictures.words import counted, percent, short_number, tip

MODELS = {"first": "first", "last_non_direct": "second", "linear": "third", "position_based": "fourth"}
MOST_CHANNELS = 10
BINS = 20


def attribution(connection: duckdb.DuckDBPyConnection) -> list[Picture]:
    """Each channel's credit for key events under each model, over all of the history."""
    rows = connection.execute(
        "select channel, model, sum(key_events)::double, sum(revenue)::double from marts.attribution group by all"
    ).fetchall()
    credit: dict[str, dict[str, tuple[float, float]]] = {}
    for channel, model, key_events, revenue in rows:
        credit.setdefault(channel, {})[model] = key_events, revenue
    ranked = sorted(credit, key=lambda channel: (-max(n for n, _ in credit[channel].values()), channel))[:MOST_CHANNELS]
    if not ranked:
        return []
    left, bars, row, top = 160.0, 470.0, 50.0, 34.0
    most = max(number for channel in ranked for number, _ in credit[channel].values())
    drawing = Drawing(top + row * len(ranked))
    legend(drawing, [(look, model.replace("_", " ")) for model, look in MODELS.items()], y=16, x=left)
    for number, channel in enumerate(ranked):
        y = top + number * row
        drawing.text(left - 10, y + 25, channel, anchor="end", width=left - 14, size=TEXT)
        for place, (model, look) in enumerate(MODELS.items()):
            key_events, revenue = credit[channel].get(model, (0.0, 0.0))
            told = f"{tip(channel)}, {model}: {counted(round(key_events, 1))} key events, revenue {revenue:,.2f}"
            length = bars * max(key_events, 0) / most
            drawing.rect(left, y + 10 * place, max(length, 1), 9, look, told=told)
            drawing.text(left + length + 6, y + 10 * place + 8.5, short_number(key_events), look="muted", size=9.5)
    total = sum(number for channel in credit.values() for number, _ in [channel.get("last_non_direct", (0.0, 0.0))])
    best = max(credit, key=lambda channel: credit[channel].get("last_non_direct", (0.0, 0.0))[0])
    share = credit[best].get("last_non_direct", (0.0, 0.0))[0] / total if total else 0
    return [
        Picture(
            name="attribution",
            mart="attribution",
            title="Which channels the key events are credited to",
            reading="Four bars a channel, one for each way to deal out the credit; where they differ, the channel "
            "begins journeys (first is longer) or ends them (last non direct is longer).",
            description=f"By last_non_direct, {tip(best)} has the most: {percent(share)} of "
            f"{counted(round(total))} key events.",
            topic="Attribution",
            drawing=drawing,
        )
    ]


def _chances(connection: duckdb.DuckDBPyConnection, *, mart: str, title: str, what: str) -> list[Picture]:
    rows = connection.execute(
        f"""
        select
            least(cast(floor(probability * {BINS}) as integer), {BINS - 1}) as bin, count(*), any_value(as_of),
            sum(probability)
        from marts.{mart} group by 1
        """
    ).fetchall()
    if not rows:
        return []
    users = {row[0]: row[1] for row in rows}
    drawing = Drawing(240)
    frame = Frame(drawing, top=18, bottom=196, low=0, high=max(users.values()), columns=BINS, right=WIDTH - 28)
    for step, number in users.items():
        top = frame.y(number)
        told = f"{counted(number)} users between {step / BINS:.0%} and {(step + 1) / BINS:.0%}"
        drawing.rect(frame.x(step) + 1, top, frame.width - 2, frame.y(0) - top, "first", told=told)
    for step in range(0, BINS + 1, 4):
        drawing.text(frame.x(step), 214, f"{step / BINS:.0%}", look="muted", size=SMALL, anchor="middle")
    drawing.text((LEFT + WIDTH - RIGHT) / 2, 234, f"probability of {what}", look="muted", size=SMALL, anchor="middle")
    total, expected = sum(users.values()), sum(row[3] for row in rows)
    return [
        Picture(
            name=mart.replace("_", "-"),
            mart=mart,
            title=title,
            reading="Each bar counts users by the probability the model gives them; the more of them stand at either "
            "end, the surer it is.",
            description=f"As of {rows[0][2]}, of {counted(total)} users "
            f"{counted(round(expected))} are expected to have {what}.",
            topic="Churn and conversion",
            drawing=drawing,
        )
    ]


churn_scores: Callable[[duckdb.DuckDBPyConnection], list[Picture]] = partial(
    _chances, mart="churn_scores", title="How likely users are to stay away", what="no event within the horizon"
)
conversion_scores: Callable[[duckdb.DuckDBPyConnection], list[Picture]] = partial(
    _chances,
    mart="conversion_scores",
    title="How likely users are to convert",
    what="a conversion event within the horizon",
)
