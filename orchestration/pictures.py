"""Pictures of marts, as PNG bytes: what an asset's page shows beside its numbers."""

import io
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAR = "#3b6fb6"
REST = "#d7dfeb"
MOST_COHORTS = 16


def funnel_bars(connection: duckdb.DuckDBPyConnection) -> bytes | None:
    """Every declared funnel over all of the history: users a step, and the share that came from the step before.

    None where no funnel is declared or nobody entered one.
    """
    from matplotlib.figure import Figure

    rows = connection.execute(
        """
        select funnel, step_name, users, from_previous, from_start from marts.funnel_steps
        where entry_grain = 'all' and breakdown = 'all' order by funnel, step_number
        """
    ).fetchall()
    funnels: dict[str, list[tuple[str, int, float | None, float | None]]] = {}
    for name, step, users, from_previous, from_start in rows:
        funnels.setdefault(name, []).append((step, users, from_previous, from_start))
    funnels = {name: steps for name, steps in funnels.items() if steps[0][1] > 0}
    if not funnels:
        return None
    heights = [len(steps) + 0.8 for steps in funnels.values()]
    figure = Figure(figsize=(8, 0.55 * sum(heights) + 0.3), layout="constrained")
    axes = figure.subplots(len(funnels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axis, (name, steps) in zip(axes[:, 0], funnels.items(), strict=True):
        entered = steps[0][1]
        for place, (step, users, from_previous, from_start) in enumerate(steps):
            axis.barh(place, entered, color=REST, height=0.7)
            axis.barh(place, users, color=BAR, height=0.7)
            label = f"{users:,}  ({from_start or 0:.1%}"
            label += f", {from_previous or 0:.1%} of the step before)" if place else ")"
            axis.text(entered * 1.01, place, label, va="center", fontsize=8)
            axis.text(-entered * 0.01, place, step, va="center", ha="right", fontsize=9)
        axis.set_title(name, loc="left", fontsize=10, fontweight="bold")
        axis.set_xlim(0, entered * 1.5)
        axis.invert_yaxis()
        axis.axis("off")
    return _png(figure)


def retention_heat_map(connection: duckdb.DuckDBPyConnection) -> bytes | None:
    """The newest weekly (else the first declared grain's) cohorts by periods since; unfinished cells are hatched."""
    import numpy as np
    from matplotlib.figure import Figure

    grains = [row[0] for row in connection.execute("select distinct grain from marts.cohort_retention").fetchall()]
    if not grains:
        return None
    grain = "week" if "week" in grains else sorted(grains)[0]
    rows = connection.execute(
        """
        select cohort_period, period_number, retention_rate, is_complete, cohort_users from marts.cohort_retention
        where grain = ? order by 1, 2
        """,
        [grain],
    ).fetchall()
    cohorts = sorted({row[0] for row in rows})[-MOST_COHORTS:]
    periods = max(row[1] for row in rows if row[0] in cohorts) + 1
    rates = np.full((len(cohorts), periods), np.nan)
    sizes = {row[0]: row[4] for row in rows}
    figure = Figure(figsize=(max(5.0, 0.55 * periods + 2.2), 0.36 * len(cohorts) + 1.2), layout="constrained")
    axis = figure.subplots()
    for cohort, period, rate, is_complete, _ in rows:
        if cohort not in cohorts:
            continue
        line = cohorts.index(cohort)
        rates[line, period] = rate
        colour = "white" if rate > 0.6 else "black"
        axis.text(period, line, f"{rate:.0%}", ha="center", va="center", fontsize=7, color=colour)
        if not is_complete:
            axis.fill_between([period - 0.5, period + 0.5], line - 0.5, line + 0.5, facecolor="none",
                              edgecolor="#888888", hatch="///", linewidth=0)  # fmt: skip
    axis.imshow(rates, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_yticks(range(len(cohorts)), [f"{cohort:%Y-%m-%d}  ({sizes[cohort]:,})" for cohort in cohorts], fontsize=8)
    axis.set_xticks(range(periods), [str(period) for period in range(periods)], fontsize=8)
    axis.set_xlabel(f"{grain}s since the first visit; hatched: the period is not over", fontsize=8)
    axis.set_title(f"Users who came back, by {grain} of first visit", loc="left", fontsize=10, fontweight="bold")
    return _png(figure)


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor="white")
    return buffer.getvalue()
