"""Champion and challenger: whether a newly trained model may score in place of the one that does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from ml.baselines import BaseRate
from ml.boosting import BoostedTrees
from ml.bootstrap import paired_difference
from ml.metrics import row_log_loss
from ml.predictor import Predictor
from ml.training import TrainingResult


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Which of the two scores from now on.

    Attributes:
        promoted: Whether it is the challenger.
        reason: Why, one sentence.
    """

    promoted: bool
    reason: str


def decide(
    challenger: TrainingResult,
    champion: Predictor | None,
    *,
    champion_version: str = "",
    champion_learnt_until: date | None = None,
    unopposed: str = "no model has scored before",
) -> Decision:
    """Promotes the challenger unless it is worse than the champion; a mere rule, only if it is better than its trees.

    It is worse, or better, where the 95 % interval of the difference of their log losses lies above zero, or below it,
    both on the same draws of the newest test part's users (see `ml.bootstrap`). Usually the champion learnt from
    nothing in that part, as its horizons end last. Where the end of the data has moved back, or the parts are cut
    otherwise, it may have: the two are compared on what comes after, and where nothing does, whoever knows the answers
    is no measure.

    Args:
        challenger: The newly trained model.
        champion: What scores so far, if it can still be read and answers the same question.
        champion_version: Its version.
        champion_learnt_until: The day before which all outcomes end that it learnt from.
        unopposed: Why there is no champion.
    """
    if champion is None:
        return Decision(promoted=True, reason=f"Promoted: {unopposed}.")
    if champion_version == challenger.version:
        return Decision(promoted=True, reason=f"Promoted: it is the champion, {champion_version}, trained again.")
    if challenger.test_rows is None:
        if isinstance(champion, BaseRate):
            return Decision(promoted=True, reason="Promoted: it is a newer base rate.")
        return Decision(
            promoted=False, reason=f"Refused: nothing could be trained and tested; {champion_version} scores on."
        )
    test = challenger.test_rows
    if champion_learnt_until is not None:
        test = test.take(test.as_of >= np.datetime64(champion_learnt_until, "D"))
    if not len(test):
        reason = f"Promoted: {champion_version} learnt from all that the newest test part asks, so it is no measure."
        return Decision(promoted=True, reason=reason)
    ours, theirs = (
        row_log_loss(test.y, predictor.predict_proba(test.x)[:, 1]) for predictor in (challenger.predictor, champion)
    )
    mean, low, high = paired_difference(ours, theirs, test.user_keys, seed=challenger.seed)
    compared = (
        f"the log loss on the newest test part is {ours.mean():.4f}, that of {champion_version} {theirs.mean():.4f} "
        f"(difference {mean:+.4f}, 95 % interval {low:+.4f} to {high:+.4f})"
    )
    is_rule = challenger.verdict == "simple_rule" and isinstance(champion, BoostedTrees)
    if low > 0 or (is_rule and high >= 0):
        why = "its trees do not beat every simple rule, and of the best one " if is_rule else ""
        return Decision(promoted=False, reason=f"Refused: {why}{compared}; {champion_version} scores on.")
    return Decision(promoted=True, reason=f"Promoted: {compared}.")
