"""The churn model: who, active lately, will not come back within the horizon."""

from ml.features import BEHAVIOUR
from ml.spec import ModelSpec, TreeParameters

CHURN = ModelSpec(
    name="churn",
    label="churned",
    question="Will this user have no event in the next {horizon_days} days?",
    raises="higher risk",
    lowers="lower risk",
    features=BEHAVIOUR,
    rule_feature="recency_days",
    # All else equal, a longer silence is never a good sign and one more active day never a bad one.
    rising=("recency_days",),
    falling=("active_days_30d",),
    buy_till_you_die=True,
    trees=TreeParameters(max_depth=4, learning_rate=0.1),
)
