"""Pictures of how a model did on its test part, as PNG."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve

from ml.boosting import BoostedTrees
from ml.metrics import gains, reliability
from ml.training import TrainingResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN_FEATURES = 15

_Draw = Callable[[TrainingResult, "Axes"], None]


def render(result: TrainingResult) -> dict[str, bytes]:
    """PNG images by name: precision_recall, calibration, gain and importance; none without a test.

    The first three show every estimator; the trees are drawn boldly.
    """
    if result.test.empty:
        return {}
    return {
        "precision_recall": _picture(result, _draw_precision_recall),
        "calibration": _picture(result, _draw_calibration),
        "gain": _picture(result, _draw_gain),
        "importance": _picture(result, _draw_importance),
    }


def _picture(result: TrainingResult, draw: _Draw) -> bytes:
    # Imported here: it takes a second that loading Dagster's definitions should not pay. `Figure` without
    # pyplot keeps no global state and needs no display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.5), dpi=110, layout="constrained")
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


def _draw_importance(result: TrainingResult, axes: Axes) -> None:
    ranked = sorted(result.importance.items(), key=lambda item: item[1])[-_SHOWN_FEATURES:]
    axes.barh(np.arange(len(ranked)), [effect for _, effect in ranked], color="0.35")
    axes.set_yticks(np.arange(len(ranked)), [name for name, _ in ranked])
    axes.set(title=f"{result.spec.name}: what moves the trees", xlabel="mean |SHAP value|, log-odds")
