"""Pictures of how a model did on its test part, as PNG."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, precision_recall_curve

from ml.boosting import BoostedTrees
from ml.metrics import gains, reliability
from ml.snapshots import Array
from ml.training import TrainingResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN_FEATURES = 15
_SWARM_BINS = 150
# Log-odds up to here are drawn to scale, and beyond it by their logarithm: recency would leave no room for the rest.
_TO_SCALE = 0.25
_TICKS = (-30, -10, -3, -1, -0.3, 0, 0.3, 1, 3, 10, 30)

_Draw = Callable[[TrainingResult, "Axes"], None]


def render(result: TrainingResult) -> dict[str, bytes]:
    """PNG images by name: precision_recall, calibration, gain and shap_summary; none without a test.

    The first three show every estimator; the trees are drawn boldly. The last is of the trees, whatever scores.
    """
    if result.test.empty:
        return {}
    return {
        "precision_recall": _picture(result, _draw_precision_recall),
        "calibration": _picture(result, _draw_calibration),
        "gain": _picture(result, _draw_gain),
        "shap_summary": _picture(result, _draw_shap_summary, height=6.0),
    }


def _picture(result: TrainingResult, draw: _Draw, *, height: float = 4.5) -> bytes:
    # Imported here: it takes a second that loading Dagster's definitions should not pay. `Figure` without
    # pyplot keeps no global state and needs no display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(result, axes)
    axes.spines[["top", "right"]].set_visible(False)
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def _lines(result: TrainingResult) -> list[tuple[str, dict[str, Any]]]:
    """Each estimator's column in the test frame and how its line is drawn."""
    names = [name for name in result.test.columns if name not in ("user_key", "as_of", result.spec.label)]
    return [
        (
            name,
            {"label": name.replace("_", " "), "linewidth": 2.2 if name == BoostedTrees.name else 1.1},
        )
        for name in names
    ]


def _draw_precision_recall(result: TrainingResult, axes: Axes) -> None:
    y = result.test[result.spec.label].to_numpy()
    for name, style in _lines(result):
        p = result.test[name].to_numpy()
        precision, recall, _ = precision_recall_curve(y, p)
        style["label"] = f"{style['label']} ({average_precision_score(y, p):.3f})"
        axes.step(recall, precision, where="post", **style)
    axes.set(
        title=f"{result.spec.name}: precision and recall",
        xlabel="recall",
        ylabel="precision",
        xlim=(0, 1),
        ylim=(0, 1.02),
    )
    axes.legend(title="average precision", frameon=False)


def _draw_calibration(result: TrainingResult, axes: Axes) -> None:
    y = result.test[result.spec.label].to_numpy()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
    for name, style in _lines(result):
        predicted, observed, _ = reliability(y, result.test[name].to_numpy())
        axes.plot(predicted, observed, marker="o", markersize=4, **style)
    axes.set(
        title=f"{result.spec.name}: calibration",
        xlabel="mean predicted probability",
        ylabel="observed rate",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.legend(frameon=False)


def _draw_gain(result: TrainingResult, axes: Axes) -> None:
    y = result.test[result.spec.label].to_numpy()
    for name, style in _lines(result):
        axes.plot(*gains(y, result.test[name].to_numpy()), **style)
    axes.set(
        title=f"{result.spec.name}: cumulative gain",
        xlabel="share of users, highest probability first",
        ylabel="share of positives found",
        xlim=(0, 1),
        ylim=(0, 1.02),
    )
    axes.legend(frameon=False)


def plain_name(feature: str) -> str:
    """A feature's name as people would write it: `active_days_30d` is "active days, last 30 days"."""
    words = feature.removesuffix("_days") + " (days)" if feature.endswith("_days") else feature
    window = re.fullmatch(r"(.+?)_(\d+)d", words)
    if window:
        words = f"{window[1]}, last {'day' if window[2] == '1' else f'{window[2]} days'}"
    return words.replace("_lifetime", ", ever").replace("_", " ")


def _draw_shap_summary(result: TrainingResult, axes: Axes) -> None:
    """A beeswarm: a dot a user, to the right where the feature raises the odds, dark where its value is high."""
    mean = np.abs(result.shap).mean(axis=0)
    ranked = np.argsort(mean, kind="stable")[-_SHOWN_FEATURES:]
    width = np.ptp(np.arcsinh(result.shap[:, ranked] / _TO_SCALE)) / _SWARM_BINS
    for row, column in enumerate(ranked):
        effect, value = result.shap[:, column].astype(np.float64), result.shap_x[:, column].astype(np.float64)
        known = ~np.isnan(value)
        place = pd.Series(value).rank(pct=True).to_numpy()
        spread = 0.38 * _swarm(np.arcsinh(effect / _TO_SCALE), width=width)
        axes.scatter(effect[~known], row + spread[~known], s=4, color="0.75", linewidths=0, rasterized=True)
        axes.scatter(
            effect[known], row + spread[known], s=4, c=place[known], cmap="viridis_r", vmin=0, vmax=1, linewidths=0,
            rasterized=True,
        )  # fmt: skip
    axes.set_xscale("asinh", linear_width=_TO_SCALE)
    axes.minorticks_off()
    ends = result.shap[:, ranked].min(), result.shap[:, ranked].max()
    ticks = [tick for tick in _TICKS if ends[0] <= tick <= ends[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.axvline(0, color="0.7", linewidth=1, zorder=0)
    axes.set_yticks(
        np.arange(len(ranked)),
        [f"{plain_name(result.spec.feature_names[column])}  {mean[column]:.2f}" for column in ranked],
    )
    axes.set(
        title=f"{result.spec.name}: what moves the trees, user by user",
        xlabel="SHAP value, log-odds (beside names: its mean size)\ndark: a high value of the feature; grey: none",
    )


def _swarm(effect: Array, *, width: float) -> Array:
    """How far each dot stands off its line, -1 to 1, so that dots of about the same effect stand side by side."""
    bins = np.floor(effect / (width or 1.0)).astype(np.int64)
    _, which, count = np.unique(bins, return_inverse=True, return_counts=True)
    order = np.argsort(which, kind="stable")
    place = np.empty(len(effect))
    place[order] = np.arange(len(effect)) - np.repeat(np.cumsum(count) - count, count)
    # 0, 1, -1, 2, -2, ...: from the line outwards.
    side = np.where(place % 2 == 1, (place + 1) / 2, -place / 2)
    return np.asarray(2 * side / max(count.max(), 1))
