"""One warehouse as this process sees it: its settings and its declarations, read once."""

from dataclasses import dataclass
from functools import cache

from orchestration.declarations import Declarations
from orchestration.settings import Settings


@dataclass(frozen=True, kw_only=True, eq=False)
class House:
    """Where the warehouse lives and what it is to hold."""

    settings: Settings
    declarations: Declarations


@cache
def open_house() -> House:
    """Read the environment and ``avila.yml``.

    Raises:
        DeclarationError: ``avila.yml`` is missing or wrong; the message names the line and the cure.
    """
    settings = Settings.of_environment()
    return House(settings=settings, declarations=Declarations.load(settings.declarations))
