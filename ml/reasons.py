"""Reasons: the few things that moved a user's probability most, in words."""

from __future__ import annotations

import numpy as np

from ml.snapshots import Array
from ml.spec import Feature, ModelSpec

MOST = 3
# A theme that moves the log-odds by less than this (about one part in a hundred of the odds) is no reason.
LEAST_EFFECT = 0.01

_DECIMALS = {"count": 0, "days": 0, "ratio": 1, "share": 2, "money": 2, "flag": 0}


def top_reasons(spec: ModelSpec, x: Array, contributions: Array) -> tuple[Array, Array]:
    """The up to three themes that moved each row most, either way, strongest first.

    Contributions add up, so a theme's effect is the sum over its features; many windows of one count thus
    make one reason instead of filling all three. The sentence quotes the feature that moved the theme
    furthest in the theme's own direction: "higher risk: 41 days since the last activity".

    Args:
        spec: The model.
        x: Shape (n, k), the features.
        contributions: Shape (n, k), in log-odds.

    Returns:
        Shape (n, 3), the sentences (object), and shape (n,), how many of them hold: the first ones.
    """
    themes = list(dict.fromkeys(feature.theme for feature in spec.features))
    members = [np.flatnonzero([feature.theme == theme for feature in spec.features]) for theme in themes]
    effect = np.column_stack([contributions[:, columns].sum(axis=1) for columns in members])
    leading = np.column_stack(
        [
            columns[np.argmax(contributions[:, columns] * np.sign(effect[:, [theme]]), axis=1)]
            for theme, columns in enumerate(members)
        ]
    )
    ranked = _strongest(np.abs(effect), min(MOST, len(themes)))
    effect = np.take_along_axis(effect, ranked, axis=1)
    leading = np.take_along_axis(leading, ranked, axis=1)
    holds = np.abs(effect) >= LEAST_EFFECT

    # Places that say the same of the same feature lie together, so that each is put into words at once.
    saying = np.where(holds, 2 * leading + (effect > 0), -1).astype(np.int16).ravel()
    order = np.argsort(saying, kind="stable")
    ends = np.searchsorted(saying[order], np.arange(2 * len(spec.features) + 1))
    sentences = np.full((len(x), MOST), "", dtype=object)
    for column, feature in enumerate(spec.features):
        for upwards, direction in ((0, spec.lowers), (1, spec.raises)):
            said = 2 * column + upwards
            rows, ranks = np.divmod(order[ends[said] : ends[said + 1]], ranked.shape[1])
            sentences[rows, ranks] = _phrases(feature, x[rows, column], prefix=f"{direction}: ")
    return sentences, holds.sum(axis=1)


def _strongest(size: Array, most: int) -> Array:
    """The columns of each row's largest values, largest first, of equal ones the first; a full sort would cost more."""
    left = size.copy()
    found = np.empty((len(size), most), dtype=np.int64)
    for place in range(most):
        found[:, place] = left.argmax(axis=1)
        left[np.arange(len(left)), found[:, place]] = -1
    return found


def _phrases(feature: Feature, values: Array, *, prefix: str) -> Array:
    """One phrase a value; each distinct rounded value is put into words once."""
    # Adding zero turns a rounded -0.0 into 0.0.
    rounded = np.round(values.astype(np.float64), _DECIMALS[feature.style]) + 0.0
    distinct, which = np.unique(rounded, return_inverse=True)
    phrases = np.array([prefix + describe(feature, float(value)) for value in distinct], dtype=object)
    return phrases[which]


def describe(feature: Feature, value: float) -> str:
    """A feature's value in words."""
    if np.isnan(value):
        return feature.absent or f"{feature.name.replace('_', ' ')} unknown"
    if feature.style == "flag":
        return feature.phrase if value else feature.otherwise
    number = f"{value:.0%}" if feature.style == "share" else f"{value:,.{_DECIMALS[feature.style]}f}"
    return feature.phrase.format(n=number, s="" if number == "1" else "s")
