"""How active users are: active users by day, lifecycle by period, stickiness."""

import duckdb

from orchestration.pictures.drawing import SMALL, WIDTH, Drawing, Picture
from orchestration.pictures.frame import LEFT, RIGHT, Frame, day, legend
from orchestration.pictures.words import counted, percent

MOST_DAYS = 120
MOST_PERIODS = 26
STATES = {"returning": "first", "resurrecting": "second", "new": "third", "dormant": "fourth"}


def active_users(connection: duckdb.DuckDBPyConnection) -> list[Picture]:
    """Users of each day, and of the 7 and the 30 days that end with it; the newest days."""
    rows = connection.execute(
        """
        select activity_date, dau, wau, mau from marts.active_users
        where is_complete order by activity_date desc limit ?
        """,
        [MOST_DAYS],
    ).fetchall()[::-1]
    if len(rows) < 2:
        return []
    drawing = Drawing(300)
    most = max(row[3] for row in rows)
    frame = Frame(drawing, top=34, bottom=262, low=0, high=most, columns=len(rows), right=WIDTH - 96)
    ends = []
    for place, (look, name) in enumerate((("first", "DAU"), ("second", "WAU"), ("third", "MAU")), start=1):
        points = [(frame.x(n) + frame.width / 2, frame.y(row[place])) for n, row in enumerate(rows)]
        drawing.line(points, f"line-{look}", told=f"{name}, {rows[0][0]} to {rows[-1][0]}")
        ends.append((points[-1], look, f"{name} {counted(rows[-1][place])}"))
    # The ends of lines that nearly meet are labelled one above the other.
    lowest = 280.0
    for (x, y), look, said in sorted(ends, key=lambda end: -end[0][1]):
        lowest = min(y + 4, lowest - 15)
        drawing.dot(x, y, 3, look)
        drawing.text(x + 8, lowest, said, size=SMALL)
    labels = ("first", "users of the day (DAU)"), ("second", "of 7 days (WAU)"), ("third", "of 30 days (MAU)")
    legend(drawing, labels, y=16)
    frame.label_columns([day(row[0]) for row in rows])
    last = rows[-1]
    return [
        Picture(
            name="active-users",
            mart="active_users",
            title="Active users",
            reading="Each line counts distinct users of the 1, 7 or 30 days that end with a day; the closer the lowest "
            "comes to the highest, the more of the month's users are here on any one day.",
            description=f"On {last[0]}, the last full day: {counted(last[1])} users of the day, {counted(last[2])} of "
            f"7 days and {counted(last[3])} of 30 days.",
            topic="Stickiness",
            drawing=drawing,
        )
    ]


def lifecycle(connection: duckdb.DuckDBPyConnection) -> list[Picture]:
    """Users of each period by state: who was active above the axis, who went silent below it."""
    full = connection.execute(
        "select grain, count(distinct period) from marts.lifecycle where is_complete group by grain"
    ).fetchall()
    periods = dict(full)
    grain = next((grain for grain in ("week", "day", "month") if periods.get(grain, 0) >= 3), None)
    if grain is None:
        return []
    rows = connection.execute(
        """
        select period, state, users, is_complete from marts.lifecycle
        where grain = ?
            and period in (select distinct period from marts.lifecycle where grain = ? order by 1 desc limit ?)
        order by period
        """,
        [grain, grain, MOST_PERIODS],
    ).fetchall()
    users: dict[object, dict[str, int]] = {}
    complete = {}
    for period, state, number, is_complete in rows:
        users.setdefault(period, {})[state] = number
        complete[period] = is_complete
    high = max(sum(states.values()) - states["dormant"] for states in users.values())
    low = -max(states["dormant"] for states in users.values())
    drawing = Drawing(320)
    frame = Frame(drawing, top=34, bottom=282, low=low, high=high, columns=len(users))
    for column, (period, states) in enumerate(users.items()):
        base = 0
        x, width = frame.x(column) + frame.width * 0.12, frame.width * 0.76
        for state, look in STATES.items():
            number = states[state]
            low_end, high_end = (-number, 0) if state == "dormant" else (base, base + number)
            base += 0 if state == "dormant" else number
            told = f"{grain} of {period}: {counted(number)} {state}"
            drawing.rect(x, frame.y(high_end), width, frame.y(low_end) - frame.y(high_end), look, told=told)
        if not complete[period]:
            top, bottom = frame.y(base), frame.y(-states["dormant"])
            drawing.rect(x - 2, top - 3, width + 4, bottom - top + 6, "open", told="not over at the end of the data")
    drawing.line([(LEFT, frame.y(0)), (WIDTH - RIGHT, frame.y(0))], "line-fourth")
    entries = [(look, state) for state, look in STATES.items()]
    legend(drawing, entries, y=16)
    drawing.text(WIDTH - RIGHT, 16, "dashed: the period is not over", look="muted", size=SMALL, anchor="end")
    frame.label_columns([day(period, with_year=grain == "month") for period in users])  # type: ignore[arg-type]
    last, states = next(((p, s) for p, s in reversed(users.items()) if complete[p]), next(iter(users.items())))
    return [
        Picture(
            name="lifecycle",
            mart="lifecycle",
            title=f"Where active users come from, by {grain}",
            reading="A bar above the axis is all that were active, by where they came from; below it hang those who "
            "were active in the period before and went silent. Where the new and the resurrecting outnumber the "
            "dormant, the number of active users grows.",
            description=f"In the {grain} of {last}, the last full one: "
            + ", ".join(f"{counted(states[state])} {state}" for state in STATES)
            + ".",
            topic="Lifecycle",
            drawing=drawing,
        )
    ]


def stickiness(connection: duckdb.DuckDBPyConnection) -> list[Picture]:
    """On how many days of the last full week and month users were active."""
    rows = connection.execute(
        """
        select grain, period, active_days, users, share from marts.stickiness
        where is_complete
        qualify period = max(period) over (partition by grain)
        order by grain desc, active_days
        """
    ).fetchall()
    panels = {grain: [row[1:] for row in rows if row[0] == grain] for grain in ("week", "month")}
    panels = {grain: found for grain, found in panels.items() if found}
    if not panels:
        return []
    drawing = Drawing(240)
    said = []
    for number, (grain, found) in enumerate(panels.items()):
        left = LEFT if number == 0 else 330.0
        right = WIDTH - RIGHT if grain == "month" or len(panels) == 1 else 290.0
        days = 7 if grain == "week" else max(row[1] for row in found)
        most = max(row[3] for row in found)
        frame = Frame(
            drawing, top=38, bottom=196, low=0, high=most, columns=days, left=left, right=right, as_percent=True
        )
        for period, active_days, users, share in found:
            x, top = frame.x(active_days - 1) + frame.width * 0.12, frame.y(share)
            told = f"{counted(users)} users ({percent(share)}) on {active_days} days of the {grain} of {period}"
            drawing.rect(x, top, frame.width * 0.76, frame.y(0) - top, "first", told=told)
        frame.label_columns([str(place + 1) for place in range(days)], apart=6)
        drawing.text(left, 18, f"{grain} of {found[0][0]}", look="bold", size=SMALL)
        drawing.text((left + right) / 2, 234, f"days of the {grain}", look="muted", size=SMALL, anchor="middle")
        often = sum(row[3] for row in found if row[1] > 1)
        said.append(
            f"{percent(often)} of the users of the {grain} of {found[0][0]} were active on more than one day of it"
        )
    return [
        Picture(
            name="stickiness",
            mart="stickiness",
            title="On how many days users are active",
            reading="Each bar is the share of the period's users who were active on exactly so many of its days; "
            "the further to the right, the more of a habit.",
            description="; ".join(said) + ".",
            topic="Stickiness",
            drawing=drawing,
        )
    ]
