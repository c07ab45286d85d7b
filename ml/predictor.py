"""The habits every estimator here shares, whether a rule of thumb or boosted trees."""

from __future__ import annotations

from typing import ClassVar, Protocol, Self

from ml.snapshots import Array
from ml.spec import ModelSpec


class Predictor(Protocol):
    """Something that gives probabilities and says which features moved them.

    Feature matrices have shape (n, k), float32, columns in the order of the spec's features, nulls as NaN.
    Learnt attributes end in an underscore.
    """

    name: ClassVar[str]
    file_name: ClassVar[str]
    spec: ModelSpec

    def predict_proba(self, x: Array) -> Array:
        """Shape (n, 2): the probabilities of outcomes 0 and 1."""
        ...

    def contributions(self, x: Array) -> Array:
        """Shape (n, k): how far each feature moved the log-odds away from the average's."""
        ...

    def to_bytes(self) -> bytes:
        """All that is needed to predict again, besides the spec."""
        ...

    @classmethod
    def from_bytes(cls, spec: ModelSpec, data: bytes) -> Self:
        """The estimator `to_bytes` wrote."""
        ...
