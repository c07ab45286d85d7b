"""The conversion model: who, active lately, will convert within the horizon."""

from ml.features import BEHAVIOUR
from ml.spec import ModelSpec, TreeParameters

CONVERSION = ModelSpec(
    name="conversion",
    label="converted",
    question="Will this user convert in the next {horizon_days} days?",
    raises="more likely",
    lowers="less likely",
    features=BEHAVIOUR,
    rule_feature="recency_days",
    # All else equal, a longer silence never makes a conversion likelier, and a step further into a funnel never
    # makes it less likely.
    rising=("funnel_depth_7d",),
    falling=("recency_days",),
    # Conversions are rare: shallower trees on fuller leaves.
    trees=TreeParameters(max_depth=3, learning_rate=0.1, min_child_weight=10.0),
)
