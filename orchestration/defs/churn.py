"""The churn model."""

from ml.churn import CHURN
from orchestration.house import open_house
from orchestration.model_assets import scored_model

HOUSE = open_house()

defs = scored_model(CHURN, HOUSE, horizon_days=HOUSE.declarations.churn.horizon_days)
