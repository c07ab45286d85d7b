"""What a model is: the features it reads, the words for them, its constraints and hyper-parameters."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Literal

Style = Literal["count", "days", "ratio", "share", "money", "flag"]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of a features table: its name, its meaning in words and its lawful values.

    Attributes:
        name: The column's name.
        phrase: The value in words; `{n}` is the formatted value and `{s}` the plural ending. Of a flag, that it is so.
        theme: What the feature is about. Reasons name a theme once, however many features share it.
        style: How the value is written.
        absent: The words for a null.
        otherwise: Of a flag, the words for that it is not so.
        minimum: The least lawful value, or None.
        maximum: The greatest lawful value, or None.
        within: A feature this one can never exceed, such as the next wider window of the same count.
        required: Whether a null is a fault.
        grows: Whether it grows with the history by itself, so that its drift says nothing.
    """

    name: str
    phrase: str
    theme: str
    style: Style = "count"
    absent: str = ""
    otherwise: str = ""
    minimum: float | None = 0.0
    maximum: float | None = None
    within: str | None = None
    required: bool = False
    grows: bool = False


@dataclass(frozen=True, kw_only=True)
class TreeParameters:
    """Hyper-parameters of the boosted trees; the names are XGBoost's where it has one.

    Attributes:
        max_depth: Depth of a tree. Shallow trees keep interactions few and SHAP values affordable.
        learning_rate: Shrinkage of each tree.
        max_rounds: The most trees, when early stopping never stops.
        patience: Rounds without a better validation log loss before stopping.
        rounds_without_validation: Trees grown when the history is too short for a validation part.
        min_child_weight: Least sum of p(1-p) in a leaf: a leaf never rests on a handful of users.
        subsample: Share of rows each tree sees.
        colsample_bytree: Share of features each tree sees.
        reg_lambda: L2 penalty on leaf values.
        max_bin: Histogram bins a feature.
    """

    max_depth: int = 4
    learning_rate: float = 0.1
    max_rounds: int = 400
    patience: int = 25
    rounds_without_validation: int = 50
    min_child_weight: float = 5.0
    subsample: float = 0.8
    colsample_bytree: float = 0.8
    reg_lambda: float = 1.0
    max_bin: int = 256


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Everything that defines a model except its data.

    Attributes:
        name: The model's name in tables and on disk.
        label: The boolean column to predict.
        question: What the probability answers; `{horizon_days}` is filled in.
        raises: What to call a feature that pushes the probability up.
        lowers: What to call a feature that pushes it down.
        features: The columns it reads, in order.
        rule_feature: The one column the simple rule reads.
        rising: Features whose growth may never lower the probability.
        falling: Features whose growth may never raise it.
        calibration: How raw scores become probabilities. Platt's two parameters are learnt from little and
            keep the ranking; isotonic regression fits any shape but wants thousands of rows and makes ties.
        buy_till_you_die: Whether the trees start from BG/NBD on active days, which where there is revenue is one of
            the simple rules, too.
        min_class_rows: Rows of each outcome that every part of the split must hold.
        trees: Hyper-parameters.
    """

    name: str
    label: str
    question: str
    raises: str
    lowers: str
    features: tuple[Feature, ...]
    rule_feature: str
    rising: tuple[str, ...] = ()
    falling: tuple[str, ...] = ()
    calibration: Literal["platt", "isotonic"] = "platt"
    buy_till_you_die: bool = False
    min_class_rows: int = 20
    trees: TreeParameters = field(default_factory=TreeParameters)

    def __post_init__(self) -> None:
        names = self.feature_names
        if len(set(names)) < len(names):
            repeated = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"model {self.name} lists {', '.join(repeated)} twice; keep each feature once")
        if both := set(self.rising) & set(self.falling):
            raise ValueError(f"model {self.name} has {', '.join(sorted(both))} both rising and falling")
        if unknown := {self.rule_feature, *self.rising, *self.falling} - set(names):
            raise ValueError(f"model {self.name} constrains {', '.join(sorted(unknown))}, not in its features")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns the model reads, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def monotone_constraints(self) -> tuple[int, ...]:
        """One of -1, 0, +1 for each feature, in order."""
        return tuple((name in self.rising) - (name in self.falling) for name in self.feature_names)

    def fingerprint(self) -> str:
        """SHA-256 of the whole definition: any change of features, constraints or parameters changes it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
