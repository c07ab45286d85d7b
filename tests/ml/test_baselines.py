from dataclasses import replace

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from ml.baselines import BaseRate, LogisticBaseline, RecencyRule
from ml.churn import CHURN
from ml.rules import fit_rules
from ml.snapshots import Snapshots
from ml.spec import Feature, ModelSpec
from tests.ml.synthetic import snapshots

SPEC = ModelSpec(
    name="toy",
    label="y",
    question="?",
    raises="up",
    lowers="down",
    features=tuple(Feature(name=name, phrase="{n}", theme=name) for name in ("recency", "other")),
    rule_feature="recency",
)


def test_the_base_rate_is_laplace_s_rule_of_succession() -> None:
    x = np.zeros((3, 2), dtype=np.float32)
    assert BaseRate(SPEC).fit(x, np.array([1.0, 0.0, 0.0])).predict_proba(x)[:, 1].tolist() == [0.4] * 3
    assert BaseRate(SPEC).fit(x[:0], np.array([])).predict_proba(x)[:, 1].tolist() == [0.5] * 3


def test_the_recency_rule_gives_each_group_its_rate() -> None:
    recency = np.repeat([1.0, 5.0, 9.0, np.nan], 100).astype(np.float32)
    x = np.column_stack([recency, np.zeros(400, dtype=np.float32)])
    y = np.concatenate([np.arange(100) < share for share in (10, 50, 90, 30)]).astype(float)
    rule = RecencyRule(SPEC).fit(x, y)
    rate = (180 + 1) / (400 + 2)
    p = rule.predict_proba(x)[:, 1]
    expected = np.repeat([(positives + rate) / 101 for positives in (10, 50, 90, 30)], 100)
    np.testing.assert_allclose(p, expected)
    # Between and beyond the values seen, the nearest group below and the ends.
    probe = np.array([[-100.0, 0], [100.0, 0]], dtype=np.float32)
    np.testing.assert_allclose(rule.predict_proba(probe)[:, 1], expected[[0, 200]])


def test_the_recency_rule_survives_a_column_of_nulls() -> None:
    x = np.full((10, 2), np.nan, dtype=np.float32)
    y = np.array([1.0] * 4 + [0.0] * 6)
    assert RecencyRule(SPEC).fit(x, y).predict_proba(x)[0, 1] == pytest.approx(0.4, abs=0.01)


def test_logistic_regression_equals_a_scikit_learn_pipeline() -> None:
    known = Snapshots.from_frame(snapshots(label="churned", users=60), CHURN).labelled()
    ours = LogisticBaseline(CHURN).fit(known.x, known.y)
    pipeline = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        FunctionTransformer(
            lambda x: np.hstack(
                [
                    np.sign(x[:, : len(CHURN.features)]) * np.log1p(np.abs(x[:, : len(CHURN.features)])),
                    x[:, len(CHURN.features) :],
                ]
            )
        ),
        StandardScaler(),
        LogisticRegression(C=1.0, max_iter=1000),
    ).fit(known.x.astype(float), known.y)
    np.testing.assert_allclose(ours.predict_proba(known.x), pipeline.predict_proba(known.x.astype(float)), atol=1e-4)


def test_what_all_had_in_common_says_nothing_of_others() -> None:
    """As where everyone so far came by themselves, and somebody now by an advertisement."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.uniform(0, 90, 3_000), np.ones(3_000)]).astype(np.float32)
    model = LogisticBaseline(SPEC).fit(x, (rng.uniform(0, 90, 3_000) < x[:, 0]).astype(float))
    assert (model.contributions(x)[:, 1] == 0).all()
    otherwise = x.copy()
    otherwise[:, 1] = 0
    assert model.predict_proba(otherwise) == pytest.approx(model.predict_proba(x), abs=1e-6)


def test_contributions_of_every_rule_add_up_to_the_log_odds() -> None:
    known = Snapshots.from_frame(snapshots(label="churned", users=60), CHURN).labelled()
    for rule in fit_rules(known, CHURN, horizon_days=14):
        p = rule.predict_proba(known.x)[:, 1]
        rest = np.log(p / (1 - p)) - rule.contributions(known.x).sum(axis=1)
        assert np.ptp(rest) < 1e-6, rule.name


def test_every_rule_survives_its_file_exactly() -> None:
    known = Snapshots.from_frame(snapshots(label="churned", users=30), CHURN).labelled()
    for rule in fit_rules(known, CHURN, horizon_days=14):
        again = type(rule).from_bytes(replace(CHURN), rule.to_bytes())
        np.testing.assert_array_equal(again.predict_proba(known.x), rule.predict_proba(known.x))
        np.testing.assert_array_equal(again.contributions(known.x), rule.contributions(known.x))
