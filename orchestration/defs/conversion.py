"""The conversion model."""

from ml.conversion import CONVERSION
from orchestration.house import open_house
from orchestration.model_assets import scored_model

HOUSE = open_house()

defs = scored_model(CONVERSION, HOUSE, horizon_days=HOUSE.declarations.conversion.horizon_days)
