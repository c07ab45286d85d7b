"""What the parts of `avila.yml` have in common."""

from pydantic import BaseModel, ConfigDict


class Declared(BaseModel):
    """A part of `avila.yml`: frozen, and without keys of its own making."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def list_of_one(value: object) -> object:
    """A text alone, where a list is expected, is a list of it."""
    return (value,) if isinstance(value, str) else value
