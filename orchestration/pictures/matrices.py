"""Matrices of shades: retention by cohort, the grid of RFM, how users move between segments."""

from datetime import date

import duckdb

from orchestration.pictures.drawing import SMALL, TEXT, WIDTH, Drawing, Picture
from orchestration.pictures.palette import SHADES, shade
from orchestration.pictures.words import counted, percent, short_number, shortened

MOST_COHORTS = {"day": 21, "week": 16, "month": 18}
MOST_PERIODS = 16
SEGMENTS = (
    "champions", "loyal", "potential_loyalist", "new", "promising", "need_attention", "about_to_sleep", "cant_lose",
    "at_risk", "hibernating", "lost",
)  # fmt: skip


def retention_heat_maps(connection: duckdb.DuckDBPyConnection) -> list[Picture]:
    """A picture of the newest cohorts of each grain by periods since; periods that are not over have a dashed edge."""
    pictures = []
    for grain in ("week", "month", "day"):
        rows = connection.execute(
            """
            select cohort_period, period_number, retention_rate, is_complete, cohort_users, retained_users
            from marts.cohort_retention
            where grain = ? and period_number < ?
                and cohort_period in (
                    select distinct cohort_period from marts.cohort_retention where grain = ? order by 1 desc limit ?
                )
            order by cohort_period, period_number
            """,
            [grain, MOST_PERIODS, grain, MOST_COHORTS[grain]],
        ).fetchall()
        if any(row[1] > 0 for row in rows):
            pictures.append(_heat_map(grain, rows))
    return pictures


def _heat_map(grain: str, rows: list[tuple[date, int, float, bool, int, int]]) -> Picture:
    cohorts = list(dict.fromkeys(row[0] for row in rows))
    periods = max(row[1] for row in rows) + 1
    most = max((row[2] or 0 for row in rows if row[1] > 0), default=0) or 1.0
    left, top, height = 184.0, 48.0, 24.0
    width = min((WIDTH - left - 8) / periods, 64.0)
    drawing = Drawing(top + height * len(cohorts) + 44)
    drawing.text(left - 64, top - 10, f"{grain} of the cohort", look="muted", size=SMALL, anchor="end")
    drawing.text(left - 8, top - 10, "users", look="muted", size=SMALL, anchor="end")
    for period in range(periods):
        drawing.text(left + (period + 0.5) * width, top - 10, str(period), look="muted", size=SMALL, anchor="middle")
    drawing.text(left, 16, f"{grain}s since", look="muted", size=SMALL)
    for line, cohort in enumerate(cohorts):
        users = next(row[4] for row in rows if row[0] == cohort)
        drawing.text(left - 64, top + line * height + 16, f"{cohort}", size=SMALL, anchor="end")
        drawing.text(left - 8, top + line * height + 16, counted(users), look="muted", size=SMALL, anchor="end")
    for cohort, period, rate, is_complete, users, retained in rows:
        x, y = left + period * width, top + cohorts.index(cohort) * height
        step = shade((rate or 0) / most)
        told = f"{grain} of {cohort}, {period} later: {counted(retained)} of {counted(users)} users"
        drawing.rect(x, y, width - 2, height - 2, "track" if period == 0 else f"shade{step}", told=told)
        if not is_complete:
            drawing.rect(x + 1, y + 1, width - 4, height - 4, "open")
        look = "" if period == 0 else f"on{step}"
        said = percent(rate) if width > 42 or rate >= 0.0995 or not rate else f"{rate:.0%}"
        drawing.text(x + width / 2 - 1, y + 15.5, said, look=look, size=SMALL - 0.5, anchor="middle")
    bottom = top + height * len(cohorts) + 26
    _scale(drawing, left, bottom, most)
    drawing.text(WIDTH - 8, bottom, "dashed: the period is not over", look="muted", size=SMALL, anchor="end")
    after = [row for row in rows if row[1] == 1 and row[3]]
    users, back = sum(row[4] for row in after), sum(row[5] for row in after)
    said = f"No cohort's second {grain} is over yet."
    if users:
        said = f"{percent(back / users)} of {counted(users)} users came back one {grain} later, of the cohorts shown."
    return Picture(
        name=f"retention-{grain}",
        mart="cohort_retention",
        title=f"Retention by {grain}",
        reading=f"A row is everyone who began in that {grain}; along it, the share of them who were active each "
        f"{grain} after. Compare rows downwards to see whether newer cohorts stay longer.",
        description=said,
        topic="Retention",
        drawing=drawing,
    )


def rfm_grid(connection: duckdb.DuckDBPyConnection) -> list[Picture]:
    """Recency by frequency as of the newest date: how many users each cell has, and of which segment it is."""
    rows = connection.execute(
        """
        select as_of_date, r_score, f_score, min(segment), count(*), sum(monetary)
        from marts.rfm_scores
        where as_of_date = (select max(as_of_date) from marts.rfm_scores)
        group by all
        """
    ).fetchall()
    if not rows:
        return []
    most, left, top = max(row[4] for row in rows), 116.0, 26.0
    width, height = (WIDTH - left - 12) / 5, 58.0
    drawing = Drawing(top + 5 * height + 62)
    for score in range(1, 6):
        hint = {5: "5 (latest)", 1: "1 (longest ago)"}.get(score, str(score))
        drawing.text(left - 10, top + (5.5 - score) * height + 4, hint, look="muted", size=SMALL, anchor="end")
        hint = {5: "5 (most often)", 1: "1 (least)"}.get(score, str(score))
        middle = left + (score - 0.5) * width
        drawing.text(middle, top + 5 * height + 16, hint, look="muted", size=SMALL, anchor="middle")
        for f_score in range(1, 6):
            x, y = left + (f_score - 1) * width, top + (5 - score) * height
            drawing.rect(x, y, width - 3, height - 3, "track")
    for _, r_score, f_score, segment, users, money in rows:
        x, y = left + (f_score - 1) * width, top + (5 - r_score) * height
        step, middle = shade(users / most), x + (width - 3) / 2
        told = f"R{r_score} F{f_score}, {segment}: {counted(users)} users, revenue {float(money or 0):,.2f}"
        drawing.rect(x, y, width - 3, height - 3, f"shade{step}", told=told)
        drawing.text(middle, y + 25, counted(users), look=f"bold on{step}", size=TEXT + 2, anchor="middle")
        name = shortened(str(segment).replace("_", " "), width - 10, SMALL)
        drawing.text(middle, y + 43, name, look=f"on{step}", size=SMALL, anchor="middle")
    drawing.text(left - 10, 14, "recency ↓", look="muted", size=SMALL, anchor="end")
    drawing.text(
        WIDTH - 12, top + 5 * height + 38, "frequency →  scores are fifths", look="muted", size=SMALL, anchor="end"
    )
    _scale(drawing, left, top + 5 * height + 46, most, "users")
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row[3]] = sizes.get(row[3], 0) + row[4]
    biggest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
    return [
        Picture(
            name="rfm-grid",
            mart="rfm_scores",
            title=f"RFM as of {rows[0][0]}",
            reading="Up is more recent, right is more often: the corner at the top right are your champions, and the "
            "lower right, who once came often, are the ones to win back.",
            description="Largest segments: "
            + ", ".join(f"{name.replace('_', ' ')} with {counted(users)} users" for name, users in biggest)
            + ".",
            topic="RFM",
            drawing=drawing,
        )
    ]


def segment_transitions(connection: duckdb.DuckDBPyConnection) -> list[Picture]:
    """From each segment a month-end before to each segment as of the newest one."""
    rows = connection.execute(
        """
        select as_of_date, from_segment, to_segment, users, share from marts.rfm_transitions
        where as_of_date = (select max(as_of_date) from marts.rfm_transitions)
        """
    ).fetchall()
    if not any(row[1] != "none" for row in rows):
        return []
    names = [*(name for name in SEGMENTS if any(name in row[1:3] for row in rows)), "none"]
    left, top, height = 150.0, 96.0, 26.0
    width = (WIDTH - left - 56) / len(names)
    drawing = Drawing(top + height * len(names) + 40)
    drawing.text(left - 8, top - 10, "from ↓   to →", look="muted", size=SMALL, anchor="end")
    for place, name in enumerate(names):
        said = name.replace("_", " ")
        drawing.text(left - 8, top + place * height + 17, said, size=SMALL, anchor="end", width=left - 14)
        drawing.text(left + (place + 0.4) * width, top - 8, said, size=SMALL, turn=-38)
        for other in range(len(names)):
            drawing.rect(left + other * width, top + place * height, width - 2, height - 2, "track")
    for _, source, target, users, share in rows:
        if source not in names or target not in names:
            continue
        x, y = left + names.index(target) * width, top + names.index(source) * height
        step = shade(share)
        told = f"{source} → {target}: {counted(users)} users, {percent(share)} of {source}"
        drawing.rect(x, y, width - 2, height - 2, f"shade{step}", told=told)
        drawing.text(x + width / 2 - 1, y + 17, short_number(users), look=f"on{step}", size=SMALL, anchor="middle")
    _scale(drawing, left, top + height * len(names) + 24, 1.0)
    drawing.text(WIDTH - 8, top + height * len(names) + 24, "numbers are users, shades the share of the row",
                 look="muted", size=SMALL, anchor="end")  # fmt: skip
    stayed = sum(row[3] for row in rows if row[1] == row[2])
    known = sum(row[3] for row in rows if row[1] != "none")
    return [
        Picture(
            name="rfm-transitions",
            mart="rfm_transitions",
            title=f"How users moved between segments until {rows[0][0]}",
            reading="A row is where users were at the month's end before, a column where they are now; what lies on "
            "the diagonal stayed, and “none” are those who had no score yet, or have none any more.",
            description=f"{percent(stayed / known)} of {counted(known)} users stayed in their segment.",
            topic="RFM",
            drawing=drawing,
        )
    ]


def _scale(drawing: Drawing, x: float, y: float, most: float, unit: str = "") -> None:
    """What the shades stand for, from none to the most."""
    for step in range(SHADES):
        drawing.rect(x + step * 14, y - 10, 14, 12, f"shade{step}")
    said = f"0 to {counted(most)} {unit}" if unit else f"0 to {percent(most)}"
    drawing.text(x + SHADES * 14 + 8, y, said, look="muted", size=SMALL)
