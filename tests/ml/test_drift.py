import json

import numpy as np
import pytest

from ml.churn import CHURN
from ml.drift import DRIFTED, Distribution, Reference
from ml.snapshots import Snapshots
from tests.ml.synthetic import snapshots


def test_the_index_by_hand() -> None:
    before = Distribution.of(np.repeat([0.0, 1.0], [50, 50]))
    # Half and half became a quarter and three quarters.
    expected = (0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5)
    assert before.psi(np.repeat([0.0, 1.0], [25, 75])) == pytest.approx(expected)
    assert before.psi(np.repeat([1.0, 0.0], [200, 200])) == pytest.approx(0.0)


def test_nulls_have_a_bin_of_their_own() -> None:
    values = np.arange(100.0)
    before = Distribution.of(np.where(values < 50, np.nan, values))
    assert before.shares[-1] == 0.5
    assert before.psi(np.where(values < 50, np.nan, values)) == pytest.approx(0.0, abs=1e-9)
    assert before.psi(values) > DRIFTED


def test_another_sample_has_not_drifted_and_a_moved_one_has() -> None:
    rng = np.random.default_rng(0)
    before = Distribution.of(rng.normal(size=5_000))
    assert before.psi(rng.normal(size=5_000)) < 0.02
    assert before.psi(rng.normal(loc=1.0, size=5_000)) > DRIFTED


def test_chance_alone_is_no_drift_where_users_are_few() -> None:
    rng = np.random.default_rng(0)
    before = Distribution.of(rng.normal(size=5_000))
    for rows in (10, 30, 50, 100):
        indices = [before.psi(rng.normal(size=rows)) for _ in range(300)]
        assert max(indices) > DRIFTED, "as a fixed limit would have it"
        assert max(indices) <= before.limit(rows)
    assert before.psi(rng.normal(loc=1.5, size=50)) > before.limit(50)
    assert before.limit(5_000) == DRIFTED


def test_a_reference_survives_json_and_leaves_out_what_grows_by_itself() -> None:
    rows = Snapshots.from_frame(snapshots(label="churned", users=50), CHURN)
    probability = np.linspace(0, 1, len(rows))
    reference = Reference.of(CHURN, rows.x, probability)
    assert Reference.from_dict(json.loads(json.dumps(reference.to_dict()))) == reference
    psi = reference.psi(CHURN, rows.x, probability)
    assert max(psi.values()) < 1e-4
    assert "probability" in psi
    assert psi.keys() <= reference.limits(len(rows)).keys()
    assert "tenure_days" not in psi
    assert "events_lifetime" not in psi
    assert list(psi.values()) == sorted(psi.values(), reverse=True)
