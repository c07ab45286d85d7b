"""Promotion: whether a newly trained model may score in place of the one that does."""

from dataclasses import replace
from datetime import timedelta

from ml.baselines import BaseRate
from ml.boosting import BoostedTrees
from ml.churn import CHURN
from ml.promotion import decide
from ml.snapshots import Array
from ml.training import TrainingResult


class Aged(BoostedTrees):
    """Trees that have come to say the opposite of what holds."""

    def __init__(self, trees: BoostedTrees) -> None:
        self._trees = trees

    def predict_proba(self, x: Array) -> Array:
        return self._trees.predict_proba(x)[:, ::-1]


def as_rule(result: TrainingResult, predictor: object) -> TrainingResult:
    """A training whose trees lost to a rule."""
    return replace(result, verdict="simple_rule", predictor=predictor, version="rule")


def test_trees_that_score_are_given_up_for_a_rule_only_if_it_is_better(churn_result: TrainingResult) -> None:
    trees = churn_result.predictor
    assert isinstance(trees, BoostedTrees)
    as_good = decide(as_rule(churn_result, trees), trees, champion_version="champion")
    assert not as_good.promoted
    assert as_good.reason.startswith(
        "Refused: its trees do not beat every simple rule, and of the best one the log loss"
    )
    assert as_good.reason.endswith("champion scores on.")
    better = decide(as_rule(churn_result, trees), Aged(trees), champion_version="champion")
    assert better.promoted


def test_whoever_is_no_worse_than_the_champion_scores(churn_result: TrainingResult) -> None:
    trees = churn_result.predictor
    assert isinstance(trees, BoostedTrees)
    assert decide(churn_result, trees, champion_version="champion").promoted
    assert decide(churn_result, Aged(trees), champion_version="champion").promoted
    worse = decide(replace(churn_result, predictor=Aged(trees)), trees, champion_version="champion")
    assert not worse.promoted
    assert worse.reason.startswith("Refused: the log loss on the newest test part is ")


def test_without_a_test_only_a_base_rate_follows_another(churn_result: TrainingResult) -> None:
    untested = replace(churn_result, test_rows=None, version="newer")
    assert decide(untested, BaseRate(CHURN), champion_version="older").promoted
    assert not decide(untested, churn_result.predictor, champion_version="older").promoted


def test_a_champion_is_no_measure_on_what_it_has_learnt_from(churn_result: TrainingResult) -> None:
    """The end of the data has moved back: the champion knows what became of the users of the newest test part."""
    trees = churn_result.predictor
    assert isinstance(trees, BoostedTrees)
    challenger = replace(churn_result, predictor=Aged(trees), version="newer")
    first, last = churn_result.split.test[[0, -1]].astype(object)
    assert first < last

    def against(learnt_until: object) -> tuple[bool, str]:
        decision = decide(challenger, trees, champion_version="champion", champion_learnt_until=learnt_until)
        return decision.promoted, decision.reason

    assert against(first) == against(None)
    assert not against(first)[0]
    some = against(last)
    assert not some[0]
    assert some[1] != against(first)[1], "only later rows are compared"
    assert against(last + timedelta(days=1)) == (
        True,
        "Promoted: champion learnt from all that the newest test part asks, so it is no measure.",
    )
