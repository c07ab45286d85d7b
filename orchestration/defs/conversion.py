"""The conversion model."""

from ml.conversion import CONVERSION
from orchestration.house import open_house
from orchestration.model_assets import scored_model

HOUSE = open_house()
DECLARED = HOUSE.declarations.conversion

defs = scored_model(CONVERSION, HOUSE, horizon_days=DECLARED.horizon_days, event=DECLARED.event)
